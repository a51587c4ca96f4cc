"""The graph of an instance, as it stands or as it stood: each node, its object, and what it waits for."""

from __future__ import annotations

from kro_es.api.objects import JsonObject
from kro_es.errors import UserError
from kro_es.events.types import RevisionIssued
from kro_es.history.gaps import notes
from kro_es.history.positions import instance_of
from kro_es.history.source import Answer, History, Table
from kro_es.history.targets import Target
from kro_es.history.times import iso
from kro_es.projections.instances import Nodes
from kro_es.projections.projection import Projection, Row


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
    rows = nodes(history, uid, position)
    shown = [_shown(row) for row in rows]
    columns = ("node", "object", "state", "since", "revision", "reason")
    until = history.now if position is None else _time(history, position)
    since = min((int(str(row["since"])) for row in rows), default=0)
    kinds = {f"{row['api_group']}/{row['kind']}" for row in rows}
    return Answer(shown, columns, (*columns[:-1], "applied", "uid", "reason"), notes(history, since, until, kinds))


def nodes(history: History, uid: str, position: int | None = None) -> Table:
    """Rows of ``p_nodes`` in the order of the graph, and ``object``: what the node is about, as far as it can be told.

    An item of a collection has the revision of its collection.
    """
    if position is None:
        rows = history.rows("SELECT * FROM p_nodes WHERE instance_uid = ? ORDER BY key", (uid,))
    else:
        rows = [dict(row) for row in _folded(history, Nodes(), uid, position).values()]
    issued = _issued(history, rows)
    order = {name: index for index, name in enumerate(issued.topological_order)} if issued else {}
    templates = _templates(issued) if issued else {}
    own = {str(row["node"]): row for row in rows}
    for row in rows:
        name = _id(row)
        if name != row["node"] and name in own:
            row["revision"] = own[name]["revision"]
        row["object"] = f"{str(row['kind']).lower()}/{row['name']}" if row["kind"] else templates.get(name, "")
    return sorted(rows, key=lambda row: order.get(_id(row), 0))


def _id(row: Row) -> str:
    """Of the node in the graph; that of its collection for an item."""
    return str(row["node"]).split("/")[0]


def _templates(issued: RevisionIssued) -> dict[str, str]:
    """What the definition itself says of each node's object: its kind, and its name where that is no expression."""
    found = {}
    for resource in issued.spec.get("resources") or ():
        written = resource.get("template") or resource.get("externalRef") or {}
        name = str((written.get("metadata") or {}).get("name") or "")
        kind = str(written.get("kind", "")).lower()
        found[str(resource["id"])] = kind if not name or "${" in name else f"{kind}/{name}"
    return found


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


def _issued(history: History, rows: Table) -> RevisionIssued | None:
    """The revision the nodes last followed; None when the log does not show it."""
    uids = {str(row["instance_uid"]) for row in rows}
    if not uids:
        return None
    sql = (
        "SELECT r.position FROM p_instances i JOIN p_revisions r ON r.definition_uid = i.definition_uid"
        " AND r.number = i.revision WHERE i.key = ?"
    )
    found = history.rows(sql, (next(iter(uids)),))
    event = history.log.event(int(str(found[0]["position"]))) if found else None
    return event.body if event is not None and isinstance(event.body, RevisionIssued) else None


def _shown(row: Row) -> JsonObject:
    return {
        "node": row["node"],
        "object": row["object"],
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
