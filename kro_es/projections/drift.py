"""Drift: what somebody changed of the fields we own, and when it was put back."""

from __future__ import annotations

from kro_es.events.types import Event, ReconcileDecided, ResourceApplied
from kro_es.projections.projection import Column, Row

_PREFIX = "instance/"


class Drifts:
    """Key: ``<position of the decision, twenty digits>/<node>``; the outcome of the decision's write closes the row."""

    name = "drift"
    version = 1
    columns = (
        Column("position", "int", "position of the decision that found it"),
        Column("instance_uid", "text", "uid of the instance", indexed=True),
        Column("definition_uid", "text", "uid of the definition", indexed=True),
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
    )

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case ReconcileDecided(drift=drift) if drift and event.stream.startswith(_PREFIX):
                nodes = dict.fromkeys(str(change["node"]) for change in drift)
                return tuple(f"{event.position:020d}/{node}" for node in nodes)
            case ResourceApplied(intent=intent, node=node):
                return (f"{intent:020d}/{node}",)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if isinstance(body, ReconcileDecided):
            return _found(key.split("/", 1)[1], body, event)
        return None if row is None else {**row, "healed_at": event.occurred_at}


def _found(node: str, body: ReconcileDecided, event: Event) -> Row:
    write = next((write for write in body.writes if write.node == node), None)
    return {
        "position": event.position,
        "instance_uid": event.stream.removeprefix(_PREFIX),
        "definition_uid": body.definition_uid,
        "revision": body.revision,
        "instance_kind": event.subject.kind,
        "instance_name": event.subject.name,
        "node": node,
        "kind": write.kind if write else "",
        "namespace": write.namespace if write else "",
        "name": write.name if write else "",
        "fields": [
            {"path": change["path"], "from": change.get("from"), "to": change.get("to")}
            for change in body.drift
            if change["node"] == node
        ],
        "cause": event.cause,
        "found_at": event.occurred_at,
        "healed_at": 0,
    }
