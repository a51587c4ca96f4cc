"""Drift: what somebody changed of the fields we own, when it was put back, and who does it again and again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from kro_es.api.objects import JsonObject
from kro_es.events.types import Event, OutcomeUnknown, ReconcileDecided, ResourceApplied, WriteFailed, WriteUnsent
from kro_es.projections.projection import Column, Row

_PREFIX = "instance/"


class Drifts:
    """Key: ``<position of the decision, twenty digits>/<node>``; the write that succeeds closes the row, whichever try it is."""

    name = "drift"
    version = 3
    columns = (
        Column("position", "int", "position of the decision that found it"),
        Column("instance_uid", "text", "uid of the instance", indexed=True, then=("position",)),
        Column("definition_uid", "text", "uid of the definition", indexed=True, then=("position",)),
        Column("revision", "int", "revision whose content was put back"),
        Column("instance_kind", "text", "kind of the instance"),
        Column("instance_name", "text", "name of the instance"),
        Column("node", "text", "node id in the resource graph"),
        Column("kind", "text", "kind of the object"),
        Column("namespace", "text", "namespace of the object"),
        Column("name", "text", "name of the object"),
        Column("fields", "json", "list of {path, from, to}"),
        Column("cause", "int", "position of the observation that showed it; 0 when unknown"),
        Column("found_at", "int", "when it was found, microseconds since the epoch"),
        Column("healed_at", "int", "when the write that put it back was answered; 0 while it is not"),
        Column(
            "ended",
            "text",
            "healed; accepted: wanted by now; resumed: found again when it could be put back; replaced: another change "
            "of the object took its place; empty: it is there",
        ),
        Column("tries", "int", "repairs that the API server refused, or did not answer"),
    )
    bodies = (ReconcileDecided, ResourceApplied, WriteFailed, WriteUnsent, OutcomeUnknown)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case ReconcileDecided(drift=drift, accepted=accepted) if event.stream.startswith(_PREFIX):
                found = dict.fromkeys(_key(event.position, change) for change in drift)
                ended = dict.fromkeys(
                    _key(change["since"], change) for change in (*drift, *accepted) if "since" in change
                )
                return (*found, *ended)
            case ResourceApplied(intent=intent, node=node, puts_back=put_back):
                return (f"{put_back.get('since', intent):020d}/{node}",)
            case (
                WriteFailed(puts_back=put_back) | WriteUnsent(puts_back=put_back) | OutcomeUnknown(puts_back=put_back)
            ) if put_back:
                return (_key(put_back["since"], put_back),)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if isinstance(body, WriteFailed | WriteUnsent | OutcomeUnknown):
            return None if row is None else {**row, "tries": int(str(row["tries"])) + 1}
        if isinstance(body, ResourceApplied):
            return None if row is None else {**row, "healed_at": event.occurred_at, "ended": "healed"}
        assert isinstance(body, ReconcileDecided)
        if row is None:
            return _found(key.split("/", 1)[1], body, event)
        fields = _fields(key.split("/", 1)[1], body)
        if not fields:
            return {**row, "ended": "accepted"}
        return {**row, "ended": "resumed" if found_digest(fields) == found_digest(_rows(row)) else "replaced"}


def _key(position: int, change: JsonObject) -> str:
    return f"{position:020d}/{change['node']}"


def _fields(node: str, body: ReconcileDecided) -> list[JsonObject]:
    return [
        {"path": change["path"], "from": change.get("from"), "to": change.get("to")}
        for change in body.drift
        if change["node"] == node
    ]


def _rows(row: Row) -> list[JsonObject]:
    fields = row["fields"]
    assert isinstance(fields, list)
    return fields


def _found(node: str, body: ReconcileDecided, event: Event) -> Row:
    write = next((write for write in body.writes if write.node == node), None)
    first = next(change for change in body.drift if change["node"] == node)
    return {
        "position": event.position,
        "instance_uid": event.stream.removeprefix(_PREFIX),
        "definition_uid": body.definition_uid,
        "revision": body.revision,
        "instance_kind": event.subject.kind,
        "instance_name": event.subject.name,
        "node": node,
        "kind": write.kind if write else first.get("kind", ""),
        "namespace": write.namespace if write else first.get("namespace", ""),
        "name": write.name if write else first.get("name", ""),
        "fields": _fields(node, body),
        "cause": event.cause,
        "found_at": event.occurred_at,
        "healed_at": 0,
        "ended": "",
        "tries": 0,
    }


_SECOND = 1_000_000
_FREE = 5
"""Repairs in a row that are done at once."""
_LONGEST = 300
_TOGETHER = 60
"""Seconds: drift that comes back within this time, and twice the pause, is one row."""


def found_digest(changes: Iterable[JsonObject]) -> str:
    """Equal for the same fields changed to the same values."""
    found = [[change["path"], change.get("from"), change.get("to")] for change in changes]
    return hashlib.sha256(orjson.dumps(found, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def patience(streak: int) -> int:
    """Microseconds to wait after the ``streak``-th repair in a row before the next one."""
    return min(2 ** (streak - _FREE), _LONGEST) * _SECOND if streak >= _FREE else 0


class Offenders:
    """Key: ``<instance uid>/<node>/<manager>``: who changes what we own, how often, how often in a row."""

    name = "offenders"
    version = 2
    columns = (
        Column("instance_uid", "text", "uid of the instance", indexed=True),
        Column("node", "text", "node id in the resource graph; of an item id/namespace/name"),
        Column("manager", "text", "field manager that made the change; empty when it is not known"),
        Column("times", "int", "how often it was found"),
        Column("streak", "int", "how often in a row: each soon after the one before"),
        Column("first_at", "int", "when it was found first, microseconds since the epoch"),
        Column("last_at", "int", "when it was found last, microseconds since the epoch"),
        Column("paths", "json", "the fields it was about when it was found last"),
        Column("unhealed", "int", "position of the decision that found it and could not put it back; 0 for none"),
        Column("position", "int", "position of the decision that found it last"),
        Column("found", "text", "digest of the changes it found"),
        Column("tries", "int", "repairs of these changes that the API server refused, or did not answer"),
    )
    bodies = (ReconcileDecided, ResourceApplied, WriteFailed, WriteUnsent, OutcomeUnknown)

    def keys(self, event: Event) -> tuple[str, ...]:
        if not event.stream.startswith(_PREFIX):
            return ()
        match event.body:
            case ReconcileDecided(drift=drift, accepted=accepted):
                return tuple(dict.fromkeys(_offender(event, change) for change in (*drift, *accepted)))
            case (
                ResourceApplied(puts_back=put_back)
                | WriteFailed(puts_back=put_back)
                | WriteUnsent(puts_back=put_back)
                | OutcomeUnknown(puts_back=put_back)
            ) if put_back:
                return (_offender(event, put_back),)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if isinstance(body, ResourceApplied):
            return None if row is None else {**row, "unhealed": 0, "tries": 0}
        if isinstance(body, WriteFailed | WriteUnsent | OutcomeUnknown):
            since = body.puts_back["since"]
            return None if row is None else {**row, "unhealed": since, "tries": int(str(row["tries"])) + 1}
        assert isinstance(body, ReconcileDecided)
        mine = [change for change in body.drift if _offender(event, change) == key]
        if not mine:
            return None if row is None else {**row, "unhealed": 0, "tries": 0}
        node = mine[0]["node"]
        streak = 1
        if row is not None:
            pause = event.occurred_at - int(str(row["last_at"]))
            together = _TOGETHER * _SECOND + 2 * patience(int(str(row["streak"])))
            streak = int(str(row["streak"])) + 1 if pause <= together else 1
        return {
            "instance_uid": event.stream.removeprefix(_PREFIX),
            "node": node,
            "manager": mine[0].get("manager", ""),
            "times": int(str(row["times"])) + 1 if row else 1,
            "streak": streak,
            "first_at": row["first_at"] if row else event.occurred_at,
            "last_at": event.occurred_at,
            "paths": [change["path"] for change in mine],
            "unhealed": 0 if any(write.node == node for write in body.writes) else event.position,
            "position": event.position,
            "found": found_digest(mine),
            "tries": 0,
        }


def _offender(event: Event, change: JsonObject) -> str:
    return f"{event.stream.removeprefix(_PREFIX)}/{change['node']}/{change.get('manager', '')}"
