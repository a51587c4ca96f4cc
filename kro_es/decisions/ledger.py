"""The drift of one decision as it is recorded: what is new, what was known, what is none any more; and fights held back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.decisions.inputs import InstanceInputs
from kro_es.projections.drift import found_digest, patience
from kro_es.projections.projection import Row


@dataclass(frozen=True, slots=True)
class Fight:
    """Somebody changes our fields each time we put them back: the next repair has to wait."""

    text: str
    wait: int
    """Microseconds until the next repair."""


def fight(inputs: InstanceInputs, ref: ObjectRef, drift: tuple[JsonObject, ...]) -> Fight | None:
    """None when the object may be repaired now. The text has no counters: it must not change from try to try."""
    if not drift:
        return None
    row = _offender(inputs, drift[0])
    wait = _int(row, "last_at") + patience(_int(row, "streak")) - inputs.now if row else 0
    if row is None or wait <= 0:
        return None
    where = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    paths = ", ".join(sorted({str(change["path"]) for change in drift}))
    theirs = row["manager"] or "somebody"
    text = (
        f'two writers fight over {ref.kind} {where}: "{theirs}" changes {paths} each time '
        f'"{metadata.CHILD_MANAGER}" puts it back; the next repair waits'
    )
    return Fight(text, wait)


def same_hand(inputs: InstanceInputs, drift: tuple[JsonObject, ...]) -> tuple[JsonObject, ...]:
    """Changes that were found before and could not be put back are still those of whoever made them.

    The object may have had another editor since, who changed none of our fields.
    """
    digest = found_digest(drift)
    nodes = {change["node"] for change in drift}
    for row in inputs.offenders:
        if row["unhealed"] and row["node"] in nodes and row["found"] == digest:
            return tuple({**change, "manager": row["manager"]} for change in drift)
    return drift


def put_back(inputs: InstanceInputs, drift: Sequence[JsonObject]) -> JsonObject:
    """What a write of the object puts back: {node, manager, since}; since 0 where no earlier write tried it."""
    if not drift:
        return {}
    row = _offender(inputs, drift[0])
    tried = row is not None and row["unhealed"] and row["tries"] and row["found"] == found_digest(drift)
    since = _int(row, "unhealed") if row is not None and tried else 0
    return {"node": drift[0]["node"], "manager": drift[0].get("manager", ""), "since": since}


def known(inputs: InstanceInputs, drift: Iterable[JsonObject]) -> tuple[JsonObject, ...]:
    """Each change with the position it was found at before, where it was and nobody could put it back."""
    found = []
    for change in drift:
        row = _offender(inputs, change)
        since = _int(row, "unhealed") if row else 0
        found.append({**change, "since": since} if since else change)
    return tuple(found)


def news(inputs: InstanceInputs, ref: ObjectRef, drift: Iterable[JsonObject]) -> tuple[JsonObject, ...]:
    """Drift of an object that is left as it is, with the object; nothing while the same fields are recorded already."""
    changes = tuple(drift)
    row = _offender(inputs, changes[0]) if changes else None
    if row is not None and row["unhealed"] and row["paths"] == [change["path"] for change in changes]:
        return ()
    where = {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
    return tuple({**change, **where} for change in known(inputs, changes))


def ended(
    inputs: InstanceInputs, drift: Iterable[JsonObject], recorded: Iterable[JsonObject], pending: frozenset[str]
) -> tuple[JsonObject, ...]:
    """Recorded drift that was never put back and is none any more, or in whose place this decision records another hand's.

    ``recorded``: the part of ``drift`` this decision records. ``pending``: nodes of which nothing is known now.
    """
    there = {(change["node"], change.get("manager", "")) for change in drift}
    drifted, replaced = {node for node, _ in there}, {change["node"] for change in recorded}
    return tuple(
        {"node": row["node"], "manager": row["manager"], "since": row["unhealed"]}
        for row in inputs.offenders
        if row["unhealed"]
        and (row["node"], row["manager"]) not in there
        and (row["node"] not in drifted or row["node"] in replaced)
        and str(row["node"]).split("/")[0] not in pending
    )


def _offender(inputs: InstanceInputs, change: JsonObject) -> Row | None:
    wanted = (change["node"], change.get("manager", ""))
    return next((row for row in inputs.offenders if (row["node"], row["manager"]) == wanted), None)


def _int(row: Row, column: str) -> int:
    return int(str(row[column]))
