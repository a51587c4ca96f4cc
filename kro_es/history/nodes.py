"""The graph of an instance, as it stands or as it stood, and what an instance that is not ready waits for."""

from __future__ import annotations

from kro_es.api.objects import JsonObject
from kro_es.errors import UserError
from kro_es.events.types import Event, ObjectObserved, RevisionIssued, WriteFailed
from kro_es.history.gaps import notes
from kro_es.history.positions import instance_of
from kro_es.history.source import Answer, History, Table
from kro_es.history.targets import Target
from kro_es.history.timeline import key
from kro_es.history.times import iso, lasted
from kro_es.projections.instances import Nodes
from kro_es.projections.projection import Projection, Row

_ERRORS = 5
_DONE = frozenset({"SYNCED", "SKIPPED", "DELETED"})


def instance_uid(history: History, target: Target) -> str:
    """Of an instance itself, or of the one a child belongs to. Raises UserError for anything else."""
    uid = target.uid if target.is_instance else instance_of(history, target)
    if not uid:
        raise UserError(f"{target.name} is no instance and belongs to none{_instances_of(history, target)}")
    return uid


def _instances_of(history: History, target: Target) -> str:
    """Whom the question may be about, when it names the definition instead."""
    sql = "SELECT DISTINCT kind, name FROM p_instances WHERE definition_uid = ? ORDER BY name LIMIT 3"
    rows = history.rows(sql, (target.uid,)) if target.is_definition else []
    names = ", ".join(f"{str(row['kind']).lower()}/{row['name']}" for row in rows)
    return f"; name one of its instances, e.g. {names}" if names else ""


def graph(history: History, target: Target, position: int | None = None) -> Answer:
    """One row a node: state, since when, what it waits for; ``position`` None: now."""
    uid = instance_uid(history, target)
    rows = _nodes(history, uid, position)
    order = _order(history, rows)
    shown = [_shown(row) for row in sorted(rows, key=lambda row: order.get(str(row["node"]).split("/")[0], 0))]
    columns = ("node", "object", "state", "since", "revision", "reason")
    until = history.now if position is None else _time(history, position)
    since = min((int(str(row["since"])) for row in rows), default=0)
    kinds = {f"{row['api_group']}/{row['kind']}" for row in rows}
    return Answer(shown, columns, (*columns[:-1], "applied", "uid", "reason"), notes(history, since, until, kinds))


def _nodes(history: History, uid: str, position: int | None) -> Table:
    if position is None:
        return history.rows("SELECT * FROM p_nodes WHERE instance_uid = ? ORDER BY key", (uid,))
    return [dict(row) for row in _folded(history, Nodes(), uid, position).values()]


def _folded(history: History, fold: Projection, uid: str, position: int) -> dict[str, Row]:
    """The projection itself, folded up to the position: one meaning of "node", now and then."""
    rows: dict[str, Row] = {}
    for event in history.log.read_stream(f"instance/{uid}"):
        if event.position > position:
            break
        for name in fold.keys(event):
            after = fold.fold(name, rows.get(name), event)
            rows.pop(name, None)
            if after is not None:
                rows[name] = after
    return {name: rows[name] for name in sorted(rows)}


def _order(history: History, rows: Table) -> dict[str, int]:
    """Places of the nodes in the graph of the revision last followed; empty when the log does not have it."""
    uids = {str(row["instance_uid"]) for row in rows}
    if not uids:
        return {}
    sql = (
        "SELECT r.position FROM p_instances i JOIN p_revisions r ON r.definition_uid = i.definition_uid"
        " AND r.number = i.revision WHERE i.key = ?"
    )
    found = history.rows(sql, (next(iter(uids)),))
    event = history.log.event(int(str(found[0]["position"]))) if found else None
    if event is None or not isinstance(event.body, RevisionIssued):
        return {}
    return {name: index for index, name in enumerate(event.body.topological_order)}


def _shown(row: Row) -> JsonObject:
    return {
        "node": row["node"],
        "object": f"{str(row['kind']).lower()}/{row['name']}" if row["kind"] else "",
        "namespace": row["namespace"],
        "state": row["state"],
        "reason": row["reason"],
        "since": iso(int(str(row["since"]))),
        "revision": row["revision"],
        "applied": row["applied_position"],
        "uid": row["uid"],
    }


def _time(history: History, position: int) -> int:
    event = history.log.event(position)
    return event.recorded_at if event else history.now


def doctor(history: History, target: Target) -> tuple[bool, JsonObject, tuple[str, ...]]:
    """Whether the instance is ready, what is known of why not, and the gaps in that knowledge."""
    uid = instance_uid(history, target)
    found = history.rows("SELECT * FROM p_instances WHERE key = ?", (uid,))
    if not found:
        last = history.rows("SELECT max(position) AS p FROM p_timeline WHERE instance_uid = ?", (uid,))[0]["p"]
        return False, {"instance": target.name, "state": "GONE", "last_event": last}, ()
    row = found[0]
    since = int(str(row["since"]))
    nodes = _nodes(history, uid, None)
    waiting = [_waiting(history, node) for node in nodes if node["state"] not in _DONE]
    report: JsonObject = {
        "instance": f"{str(row['kind']).lower()} {row['namespace']}/{row['name']}",
        "state": row["state"],
        "ready": bool(row["ready"]),
        "since": iso(since),
        "for": lasted((history.now - since) / 1_000_000),
        "revision": row["revision"],
        "message": row["message"],
        "waiting": waiting,
        "errors": _errors(history, uid),
        "definition": _definition(history, row),
        "before": _before(history, uid, str(row["definition_uid"])),
        "pinned": _pinned(history, uid),
    }
    ready = bool(row["ready"]) and row["state"] == "ACTIVE"
    kinds = {f"{node['api_group']}/{node['kind']}" for node in nodes}
    return ready, report, notes(history, since, history.now, kinds)


def _pinned(history: History, uid: str) -> str:
    """To which revision it is pinned, since when, by whom and why; empty when it is not."""
    found = history.rows("SELECT * FROM p_pins WHERE key = ?", (uid,))
    if not found:
        return ""
    row = found[0]
    labels = f" by its labels ({row['selector']})" if row.get("by") else ""
    return f"pinned to revision {row['number']}{labels} since {iso(int(str(row['since'])))} by {row['actor']}: {row['reason']}"


def _waiting(history: History, node: Row) -> JsonObject:
    since = int(str(node["since"]))
    return {
        "node": node["node"],
        "object": f"{str(node['kind']).lower()}/{node['name']}" if node["kind"] else "",
        "state": node["state"],
        "since": iso(since),
        "for": lasted((history.now - since) / 1_000_000),
        "on": node["reason"],
        "conditions": _conditions(history, node),
    }


def _conditions(history: History, node: Row) -> list[str]:
    """What the object itself says is not well, in its own words."""
    if not node["name"]:
        return []
    stream = f"object/{node['api_group']}/{node['kind']}/{node['namespace']}/{node['name']}"
    event: Event | None = history.log.state_at(stream)
    if event is None or not isinstance(event.body, ObjectObserved):
        return []
    found = (event.body.object.get("status") or {}).get("conditions") or []
    return [
        f"{one.get('type')}={one.get('status')}: {one.get('message') or one.get('reason') or ''}".rstrip(": ")
        for one in found
        if isinstance(one, dict) and one.get("status") != "True"
    ]


def _errors(history: History, uid: str) -> list[JsonObject]:
    """The last refused writes since the instance was last ready."""
    ready = "SELECT max(position) AS p FROM p_timeline WHERE instance_uid = ? AND what = ? AND summary LIKE ?"
    last = history.rows(ready, (uid, "instance.settled", "%, ready, %"))[0]["p"] or 0
    sql = "SELECT position FROM p_timeline WHERE instance_uid = ? AND what = ? AND key > ? ORDER BY key DESC LIMIT ?"
    rows = history.rows(sql, (uid, WriteFailed.TYPE, key(int(str(last))), _ERRORS))
    found = []
    for row in rows:
        event = history.log.event(int(str(row["position"])))
        assert event is not None
        assert isinstance(event.body, WriteFailed)
        body, subject = event.body, event.subject
        found.append(
            {
                "event": event.position,
                "time": iso(event.occurred_at),
                "object": f"{subject.kind.lower()}/{subject.name}",
                "status": body.status,
                "reason": body.reason,
                "message": body.message,
            }
        )
    return found


def _definition(history: History, row: Row) -> JsonObject:
    """The definition's own trouble: an instance cannot be better than what it follows."""
    sql = "SELECT definition, newest, active, rejected_hash, rejected_faults FROM p_definitions WHERE key = ?"
    found = history.rows(sql, (row["definition_uid"],))
    if not found:
        return {}
    head = found[0]
    return {
        "name": head["definition"],
        "active": head["active"],
        "newest": head["newest"],
        "last_edit_refused": bool(head["rejected_hash"]),
    }


def _before(history: History, uid: str, definition_uid: str) -> list[JsonObject]:
    """How long earlier rollouts of this instance took: what to expect."""
    sql = (
        "SELECT o.number, o.started_at, o.finished_at, o.state, o.message FROM p_revisions r"
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
