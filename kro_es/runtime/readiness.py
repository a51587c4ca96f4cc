"""includeWhen and readyWhen: whether a node takes part, and whether what is observed is enough (spec/03 §4.5, §4.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cel.errors import CelError, DataPending
from kro_es.graph.node import Node
from kro_es.graph.nodes import EACH
from kro_es.schema.gotext import quote


@dataclass(frozen=True, slots=True)
class Readiness:
    """``fatal`` tells an expression that can never work from one that waits."""

    ready: bool
    reason: str = ""
    fatal: bool = False


READY = Readiness(True)


def node_ready(node: Node, observed: JsonObject | None) -> Readiness:
    """Observed and every readyWhen true; null counts as false."""
    if observed is None:
        return Readiness(False, f'node "{node.id}": no observed state: waiting for readiness')
    return _judged(node, observed)


def selection_ready(node: Node, found: Sequence[JsonObject]) -> Readiness:
    """readyWhen sees the whole list, and is asked of an empty one too: an author may want to wait for the first."""
    return _judged(node, list(found))


def collection_ready(node: Node, desired: int, observed: Sequence[JsonObject]) -> Readiness:
    """Every item is there and satisfies every readyWhen."""
    if len(observed) < desired:
        counts = f"collection not ready: observed {len(observed)} but desired {desired}"
        return Readiness(False, f'node "{node.id}": {counts} (waiting for readiness)')
    for index, item in enumerate(observed):
        found = _item_ready(node, index, item)
        if not found.ready:
            return found
    return READY


def _item_ready(node: Node, index: int, item: JsonObject) -> Readiness:
    for condition in node.ready_when:
        failed = f'node "{node.id}": failed to evaluate readyWhen {quote(condition.text)} (item {index})'
        try:
            value = condition.program.evaluate_json({EACH: item})
        except DataPending:
            return Readiness(False, f"{failed} (waiting for readiness)")
        except CelError as error:
            return Readiness(False, f"{failed}: {error}", fatal=True)
        if not isinstance(value, bool):
            return Readiness(False, f"readyWhen {quote(condition.text)} did not return bool", fatal=True)
        if not value:
            return _false(condition.text)
    return READY


def _judged(node: Node, observed: JsonValue) -> Readiness:
    for condition in node.ready_when:
        failed = f'node "{node.id}": failed to evaluate readyWhen expression: {quote(condition.text)}'
        try:
            value = condition.program.evaluate_json({node.id: observed})
        except DataPending:
            return Readiness(False, f"{failed} (waiting for readiness)")
        except CelError as error:
            return Readiness(False, f"{failed} ({error})", fatal=True)
        if value is not True:
            return _false(condition.text)
    return READY


def _false(text: str) -> Readiness:
    return Readiness(False, f"readyWhen condition evaluated to false: {quote(text)} (waiting for readiness)")


@dataclass(frozen=True, slots=True)
class Inclusion:
    included: bool
    pending: str = ""
    error: str = ""


def inclusion(node: Node, bindings: Mapping[str, JsonValue], unready: Mapping[str, str]) -> Inclusion:
    """Expressions in order; the first that is not true excludes. ``unready``: reason by id of what is not ready."""
    for name in node.include_dependencies:
        if name in unready:
            return Inclusion(
                False, pending=f'includeWhen dependency "{name}" not ready: {unready[name]} (data pending)'
            )
    for condition in node.include_when:
        try:
            value = condition.program.evaluate_json(bindings)
        except DataPending as pending:
            text = f"includeWhen {quote(condition.text)}: eval {quote(condition.text)}: {pending}"
            # a missing field of the instance's own spec is an error: no event will ever bring it
            if node.include_dependencies:
                return Inclusion(False, pending=f"{text} (data pending)")
            return Inclusion(False, error=text)
        except CelError as error:
            return Inclusion(False, error=f"includeWhen {quote(condition.text)}: eval {quote(condition.text)}: {error}")
        if value is not True:
            return Inclusion(False)
    return Inclusion(True)
