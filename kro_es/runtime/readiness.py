"""includeWhen and readyWhen: whether a node takes part, and whether what is observed is enough (spec/03 §4.5, §4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cel.errors import CelError, DataPending
from kro_es.graph.node import Node


@dataclass(frozen=True, slots=True)
class Readiness:
    """``fatal`` tells an expression that can never work from one that waits."""

    ready: bool
    reason: str = ""
    fatal: bool = False


def node_ready(node: Node, observed: JsonObject | None) -> Readiness:
    """Observed and every readyWhen true; null counts as false."""
    if observed is None:
        return Readiness(False, f'node "{node.id}": no observed state: waiting for readiness')
    for condition in node.ready_when:
        try:
            value = condition.program.evaluate_json({node.id: observed})
        except DataPending:
            text = (
                f'node "{node.id}": failed to evaluate readyWhen expression: "{condition.text}" (waiting for readiness)'
            )
            return Readiness(False, text)
        except CelError as error:
            text = f'node "{node.id}": failed to evaluate readyWhen expression: "{condition.text}" ({error})'
            return Readiness(False, text, fatal=True)
        if value is not True:
            text = f'readyWhen condition evaluated to false: "{condition.text}" (waiting for readiness)'
            return Readiness(False, text)
    return Readiness(True)


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
            text = f'includeWhen "{condition.text}": eval "{condition.text}": {pending}'
            # a missing field of the instance's own spec is an error: no event will ever bring it
            if node.include_dependencies:
                return Inclusion(False, pending=f"{text} (data pending)")
            return Inclusion(False, error=text)
        except CelError as error:
            return Inclusion(False, error=f'includeWhen "{condition.text}": eval "{condition.text}": {error}')
        if value is not True:
            return Inclusion(False)
    return Inclusion(True)
