"""Why an instance, or a definition, is not ready: causes first, what only waits for them after, each thing said once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.errors import UserError
from kro_es.events.types import Event, ObjectObserved, WriteFailed, object_stream
from kro_es.history.gaps import notes
from kro_es.history.nodes import instance_uid, nodes
from kro_es.history.revisions import parsed
from kro_es.history.source import History, Table
from kro_es.history.targets import Target
from kro_es.history.timeline import key
from kro_es.history.times import iso, lasted
from kro_es.projections.projection import Row

Findings = tuple[bool, JsonObject, tuple[str, ...]]
"""Whether it is ready, what is known of why not, and the gaps in that knowledge."""
_ERRORS, _LOOKED_AT = 5, 200
"""Different errors that are told, and refused writes that are read for them."""
_NAMED = 10
"""Instances of a definition that are told one by one."""
_DONE = frozenset({"SYNCED", "SKIPPED", "DELETED"})
_BEHIND = re.compile(r'node "[^"]*": dependent node "([^"]*)" not ready')
_AWAITED = "AwaitingReconciliation"


def doctor(history: History, target: Target) -> Findings:
    """Of an instance, of the one a child belongs to, or of a definition. Raises UserError for anything else."""
    return _of_definition(history, target) if target.is_definition else _of_instance(history, target)


def _of_instance(history: History, target: Target) -> Findings:
    uid = instance_uid(history, target)
    found = history.rows("SELECT * FROM p_instances WHERE key = ?", (uid,))
    if not found:
        last = history.rows("SELECT max(position) AS p FROM p_timeline WHERE instance_uid = ?", (uid,))[0]["p"]
        return False, {"instance": target.name, "state": "GONE", "last_event": last}, ()
    row = found[0]
    since = int(str(row["since"]))
    rows = nodes(history, uid)
    ready = _is_ready(row)
    report: JsonObject = {
        "instance": _name(row),
        "state": row["state"],
        "ready": bool(row["ready"]),
        "since": iso(since),
        "for": lasted((history.now - since) / 1_000_000),
        "revision": row["revision"],
        "message": row["message"],
        "waiting": list(_waiting(history, rows)),
        "errors": _errors(history, uid),
        "definition": _definition(history, str(row["definition_uid"])),
        "before": _before(history, uid, str(row["definition_uid"])),
        "pinned": _pinned(history, uid),
    }
    kinds = {f"{node['api_group']}/{node['kind']}" for node in rows}
    return ready, report, notes(history, since, history.now, kinds)


def _of_definition(history: History, target: Target) -> Findings:
    head = _definition(history, target.uid)
    state = _object(history, target.stream).get("status") or {}
    if not head and not state:
        raise UserError(f"{target.name} was not judged yet, or is gone: kro-history log {target.ref.name}")
    sql = "SELECT * FROM p_instances WHERE definition_uid = ? ORDER BY ready, since, key"
    rows = history.rows(sql, (target.uid,))
    waiting = [row for row in rows if not _is_ready(row)]
    report: JsonObject = {
        "definition": target.ref.name,
        "state": state.get("state", ""),
        **{name: head.get(name, 0) for name in ("active", "newest")},
        "trouble": head.get("trouble") or _trouble(history, target.stream),
        "refused": head.get("refused", []),
        "instances": len(rows),
        "not_ready": len(waiting),
        "waiting": [
            {
                "instance": _name(row),
                "target": f"{str(row['kind']).lower()}/{row['name']}",
                "namespace": row["namespace"],
                "state": row["state"],
                "for": lasted((history.now - int(str(row["since"]))) / 1_000_000),
                "message": row["message"],
            }
            for row in waiting[:_NAMED]
        ],
    }
    return not (report["trouble"] or report["refused"] or waiting), report, ()


def _is_ready(row: Row) -> bool:
    return bool(row["ready"]) and row["state"] == "ACTIVE"


def _name(row: Row) -> str:
    return f"{str(row['kind']).lower()} {row['namespace']}/{row['name']}"


def _pinned(history: History, uid: str) -> str:
    """To which revision it is pinned, since when, by whom and why; empty when it is not."""
    found = history.rows("SELECT * FROM p_pins WHERE key = ?", (uid,))
    if not found:
        return ""
    row = found[0]
    labels = f" by its labels ({row['selector']})" if row.get("by") else ""
    return f"pinned to revision {row['number']}{labels} since {iso(int(str(row['since'])))} by {row['actor']}: {row['reason']}"


def _waiting(history: History, rows: Table) -> Iterator[JsonObject]:
    """Nodes that are not done, those that wait for another node last."""
    states = {str(node["node"]): node["state"] for node in rows}
    found = []
    for node in rows:
        conditions = _conditions(history, node)
        if _is_done(node, states, conditions):
            continue
        since = int(str(node["since"]))
        behind = _BEHIND.match(str(node["reason"]))
        told = {
            "node": node["node"],
            "object": node["object"],
            "state": node["state"],
            "since": iso(since),
            "for": lasted((history.now - since) / 1_000_000),
            "on": node["reason"],
            "behind": behind[1] if behind else None,
            "conditions": conditions,
        }
        found.append(told)
    yield from sorted(found, key=lambda told: told["behind"] is not None)


def _is_done(node: Row, states: dict[str, object], conditions: list[str]) -> bool:
    """An item that was applied is done with its collection; before that, unless its object says what is not well."""
    collection, _, item = str(node["node"]).partition("/")
    if item and node["state"] == "APPLIED":
        return states.get(collection) in _DONE or not conditions
    return node["state"] in _DONE


def _conditions(history: History, node: Row) -> list[str]:
    """What the object itself says is not well, in its own words."""
    if not node["name"]:
        return []
    stream = _stream(*(node[part] for part in ("api_group", "kind", "namespace", "name")))
    return [
        f"{one.get('type')}={one.get('status')}: {one.get('message') or one.get('reason') or ''}".rstrip(": ")
        for one in _not_true(_object(history, stream))
    ]


def _stream(*names: object) -> str:
    """Of an object: group, kind, namespace, name."""
    return object_stream(ObjectRef(*map(str, names)).key)


def _object(history: History, stream: str) -> JsonObject:
    """As last seen; empty when it was not."""
    event: Event | None = history.log.state_at(stream)
    return event.body.object if event is not None and isinstance(event.body, ObjectObserved) else {}


def _not_true(obj: JsonObject) -> Iterator[JsonObject]:
    for one in (obj.get("status") or {}).get("conditions") or ():
        if isinstance(one, dict) and one.get("status") != "True":
            yield one


def _errors(history: History, uid: str) -> list[JsonObject]:
    """The last refused writes since the instance was last ready; equal ones are one, with how often and its newest event."""
    ready = "SELECT max(position) AS p FROM p_timeline WHERE instance_uid = ? AND what = ? AND summary LIKE ?"
    last = history.rows(ready, (uid, "instance.settled", "%, ready, %"))[0]["p"] or 0
    sql = "SELECT position FROM p_timeline WHERE instance_uid = ? AND what = ? AND key > ? ORDER BY key DESC LIMIT ?"
    rows = history.rows(sql, (uid, WriteFailed.TYPE, key(int(str(last))), _LOOKED_AT))
    found: dict[tuple[str, int, str], JsonObject] = {}
    for event in history.log.events_at([int(str(row["position"])) for row in rows]) if rows else ():
        assert isinstance(event.body, WriteFailed)
        body, name = event.body, f"{event.subject.kind.lower()}/{event.subject.name}"
        told = found.setdefault(
            (name, body.status, body.message),
            {
                "event": 0,
                "time": "",
                "object": name,
                "status": body.status,
                "reason": body.reason,
                "message": body.message,
                "times": 0,
            },
        )
        told["times"] += 1
        if event.position > told["event"]:
            told.update(event=event.position, time=iso(event.occurred_at))
    return sorted(found.values(), key=lambda told: -int(told["event"]))[:_ERRORS]


def _definition(history: History, uid: str) -> JsonObject:
    """The definition's own trouble: an instance cannot be better than what it follows."""
    sql = "SELECT definition, newest, active, rejected_hash, rejected_faults FROM p_definitions WHERE key = ?"
    found = history.rows(sql, (uid,))
    if not found:
        return {}
    head = found[0]
    refused = parsed(head["rejected_faults"]) if head["rejected_hash"] else []
    return {
        "name": head["definition"],
        "active": head["active"],
        "newest": head["newest"],
        "last_edit_refused": bool(head["rejected_hash"]),
        "refused": [str(fault["message"]) for fault in refused or ()],
        "trouble": _trouble(history, _stream(metadata.GROUP, metadata.DEFINITION_KIND, "", head["definition"])),
    }


def _trouble(history: History, stream: str) -> list[str]:
    """Conditions of a definition that do not hold; not what sums up, waits for others, or is told by the faults."""
    return [
        f"{one.get('type')}={one.get('status')}: {one.get('message') or one.get('reason')}"
        for one in _not_true(_object(history, stream))
        if one.get("type") not in ("Ready", "GraphAccepted") and one.get("reason") != _AWAITED
    ]


def _before(history: History, uid: str, definition_uid: str) -> list[JsonObject]:
    """How long earlier rollouts of this instance took: what to expect."""
    sql = (
        "SELECT o.number, o.started_at, o.finished_at, o.state, o.message, o.instance_uid FROM p_revisions r"
        " JOIN p_rollouts o ON o.key = r.key || '/' || ? WHERE r.definition_uid = ? ORDER BY o.number"
    )
    return [
        {
            "revision": row["number"],
            "state": row["state"],
            "took": lasted((int(str(row["finished_at"])) - int(str(row["started_at"]))) / 1_000_000)
            if row["finished_at"]
            else "",
            "message": row["message"],
        }
        for row in history.rows(sql, (uid, definition_uid))
    ]
