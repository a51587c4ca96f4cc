"""The status an instance shows: projected fields, and the text of why it is not ready (spec/03 §8, §9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cel.errors import CelError, DataPending, verb
from kro_es.cel.libraries.runtime import VALUE, Condition
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.node import AuthorCondition, ResourceGraph
from kro_es.runtime.resolve import NodeResult
from kro_es.schema.gotext import quote

_OURS = ("state", "conditions")


class StatusError(CelError):
    """A status expression that can never work: no status at all is written in this pass (spec/03 §9.5)."""


def projection(graph: ResourceGraph, bindings: Mapping[str, JsonValue]) -> JsonObject:
    """The definition's status fields, rebuilt from scratch: what cannot be evaluated now is left out.

    Raises StatusError.
    """
    found: JsonObject = {}
    for field in graph.status:
        try:
            value = field.program.evaluate_json(bindings)
        except DataPending:
            continue
        except CelError as error:
            raise StatusError(f"{verb(error)} {quote(field.text)}: {error}") from error
        if value is not None and field.path[0] not in _OURS:
            _put(found, field.path, value)
    return found


@dataclass(frozen=True, slots=True)
class Authored:
    """What the definition's own conditions say now (spec/03 §9.7)."""

    conditions: tuple[JsonObject, ...]
    """``{type, status, reason, message}`` in the order declared."""
    complete: bool
    """Every entry gave its conditions; otherwise those shown before stay where nothing replaces them."""
    dropped: frozenset[str] = frozenset()
    """Types that two entries gave."""
    problems: tuple[str, ...] = ()
    """Entries that can never work as they stand; the state of the instance is ERROR then."""


def authored(
    entries: Sequence[AuthorCondition], bindings: Mapping[str, JsonValue], built_in: Sequence[JsonObject]
) -> Authored:
    """``built_in``: kro's own conditions of this pass, which ``runtime.condition(schema, ...)`` reads."""
    schema = {**bindings["schema"], "status": {"conditions": list(built_in)}}
    scope = {**bindings, "schema": schema, "runtime": VALUE}
    found: list[JsonObject] = []
    problems: list[str] = []
    pending = False
    for entry in entries:
        try:
            value = entry.program.evaluate(scope)
        except DataPending:
            pending = True
        except CelError as error:
            problems.append(f"condition {quote(entry.text)}: {error}")
        else:
            given = value if isinstance(value, list) else [value]
            good = [dict(item) for item in given if isinstance(item, Condition)]
            if len(good) < len(given):
                problems.append(f'condition "{entry.text}": the result is not made with runtime.newCondition(...)')
            found += good
    counts = Counter(item["type"] for item in found)
    dropped = frozenset(name for name, count in counts.items() if count > 1)
    problems += [f'condition type "{name}" is given more than once' for name in sorted(dropped)]
    kept = tuple(item for item in found if item["type"] not in dropped)
    return Authored(kept, not (pending or problems), dropped, tuple(problems))


def _put(root: JsonObject, path: FieldPath, value: JsonValue) -> None:
    """Parents appear with their first leaf; a list keeps positions, so a gap before a leaf is null."""
    at: JsonValue = root
    for step, following in pairwise(path):
        empty: JsonValue = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            at.extend([None] * (step + 1 - len(at)))
            if at[step] is None:
                at[step] = empty
            at = at[step]
        else:
            at = at.setdefault(step, empty)
    last = path[-1]
    if isinstance(last, int):
        at.extend([None] * (last + 1 - len(at)))
    at[last] = value


def not_ready(results: Sequence[NodeResult], errors: Mapping[str, str]) -> str:
    """Why ResourcesReady is false, in kro's words; empty when nothing stands in the way.

    Errors are sorted, so that the text does not change from pass to pass.
    """
    texts = sorted({*errors.values(), *(result.waiting for result in results if result.waiting)})
    if texts:
        return "resource reconciliation failed: apply results contain errors: " + "\n".join(texts)
    for result in results:
        if result.pending:
            where = result.node.resource.text
            return f'resource reconciliation failed: waiting for unresolved resource: gvr "{where}": {result.pending}'
    return ""


def state_of(states: Sequence[str], *, ready: bool, deleting: bool) -> str:
    """Spec/03 §9.1."""
    if ready:
        return "ACTIVE"
    if deleting:
        return "DELETING"
    if "ERROR" in states:
        return "ERROR"
    return "ACTIVE" if all(state in ("SYNCED", "SKIPPED") for state in states) else "IN_PROGRESS"
