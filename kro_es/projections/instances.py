"""The instance graph as last decided: one row per instance, one per node of it."""

from __future__ import annotations

from kro_es.events.types import (
    Event,
    InstanceGone,
    InstanceSettled,
    NodeReport,
    ReconcileDecided,
    ResourceApplied,
    ResourceDeleted,
    ResourceTakenOver,
    WriteFailed,
)
from kro_es.projections.projection import Column, Row

_PREFIX = "instance/"


def _instance_uid(event: Event) -> str | None:
    return event.stream.removeprefix(_PREFIX) if event.stream.startswith(_PREFIX) else None


class Instances:
    """Key: instance uid."""

    name = "instances"
    version = 1
    columns = (
        Column("definition_uid", "text", "uid of the definition", indexed=True),
        Column("api_group", "text", "API group of the instance"),
        Column("kind", "text", "kind of the instance"),
        Column("namespace", "text", "namespace; empty for cluster-scoped kinds"),
        Column("name", "text", "name"),
        Column("revision", "int", "revision the last decision followed"),
        Column("state", "text", "state last written: IN_PROGRESS, ACTIVE, ERROR, DELETING"),
        Column("ready", "int", "1 when the instance settled as ready"),
        Column("message", "text", "why it is not ready"),
        Column("settled_revision", "int", "revision it last settled at"),
        Column("settled_generation", "int", "generation it last settled at"),
        Column("since", "int", "when it reached this state, microseconds since the epoch"),
        Column("decided_position", "int", "position of the last decision"),
    )
    bodies = (ReconcileDecided, InstanceSettled, InstanceGone)

    def keys(self, event: Event) -> tuple[str, ...]:
        uid = _instance_uid(event)
        if uid and isinstance(event.body, ReconcileDecided | InstanceSettled | InstanceGone):
            return (uid,)
        return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        before = row or _new_instance(event)
        match event.body:
            case ReconcileDecided() as decided:
                return _decided(before, decided, event)
            case InstanceSettled() as settled:
                return _settled(before, settled, event)
            case InstanceGone():
                return None
            case _:
                return row


def _new_instance(event: Event) -> Row:
    return {
        "definition_uid": "",
        "api_group": event.subject.group,
        "kind": event.subject.kind,
        "namespace": event.subject.namespace,
        "name": event.subject.name,
        "revision": 0,
        "state": "",
        "ready": 0,
        "message": "",
        "settled_revision": 0,
        "settled_generation": 0,
        "since": event.occurred_at,
        "decided_position": 0,
    }


def _decided(row: Row, decided: ReconcileDecided, event: Event) -> Row:
    return {
        **row,
        "revision": decided.revision,
        "definition_uid": decided.definition_uid,
        "state": decided.state,
        "since": row["since"] if row["state"] == decided.state else event.occurred_at,
        "decided_position": event.position,
    }


def _settled(row: Row, settled: InstanceSettled, event: Event) -> Row:
    return {
        **row,
        "definition_uid": settled.definition_uid,
        "state": settled.state,
        "ready": int(settled.ready),
        "message": settled.message,
        "settled_revision": settled.revision,
        "settled_generation": settled.generation,
        "since": event.occurred_at,
    }


class Nodes:
    """Key: ``<instance uid>/<node id>``, with ``/<namespace>/<name>`` behind it for an item of a collection.

    What was last applied and how it stands; a collection has a row of its own besides those of its items.
    """

    name = "nodes"
    version = 1
    columns = (
        Column("instance_uid", "text", "uid of the instance", indexed=True),
        Column("node", "text", "node id in the resource graph; of an item id/namespace/name"),
        Column("api_group", "text", "API group of the object"),
        Column("api_version", "text", "version it is applied at"),
        Column("kind", "text", "kind of the object"),
        Column("namespace", "text", "namespace of the object"),
        Column("name", "text", "name of the object"),
        Column("uid", "text", "uid of the object last applied"),
        Column("state", "text", "node state (spec/03 §4.8); of an item APPLIED or ERROR"),
        Column("reason", "text", "what it waits for, or the error"),
        Column("since", "int", "when it reached this state, microseconds since the epoch"),
        Column("revision", "int", "revision it was last applied from; 0 for an item, its collection has it"),
        Column("desired_digest", "text", "digest of the object we last applied"),
        Column("owned_digest", "text", "digest of the fields we own, as the server returned them"),
        Column("fields_digest", "text", "digest of our managedFields entry"),
        Column("applied_position", "int", "position of that apply"),
    )
    bodies = (
        ReconcileDecided,
        ResourceApplied,
        ResourceTakenOver,
        ResourceDeleted,
        WriteFailed,
        InstanceGone,
    )

    def keys(self, event: Event) -> tuple[str, ...]:
        uid = _instance_uid(event)
        if not uid:
            return ()
        match event.body:
            case ReconcileDecided(nodes=nodes):
                return tuple(f"{uid}/{node.node}" for node in nodes)
            case ResourceApplied(node=node) | ResourceTakenOver(node=node):
                return (f"{uid}/{node}",)
            case ResourceDeleted(node=node) | WriteFailed(node=node) if node:
                return (f"{uid}/{node}",)
            case InstanceGone(nodes=names):
                return tuple(f"{uid}/{name}" for name in names)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        before = row or _new_node(key, event)
        match event.body:
            case ReconcileDecided() as decided:
                report = next(node for node in decided.nodes if node.node == before["node"])
                return _moved({**before, "revision": decided.revision}, report, event)
            case ResourceApplied() | ResourceTakenOver() as applied:
                return _applied(before, applied, event)
            case WriteFailed(message=message):
                return _moved(before, NodeReport(str(before["node"]), "ERROR", message), event)
            case ResourceDeleted():
                # a node that moved to another name deletes the old object after the new one was applied
                return None if row is None or row["name"] in ("", event.subject.name) else row
            case InstanceGone():
                return None
            case _:
                return row


def _new_node(key: str, event: Event) -> Row:
    uid, node = key.split("/", 1)
    return {
        "instance_uid": uid,
        "node": node,
        "api_group": "",
        "api_version": "",
        "kind": "",
        "namespace": "",
        "name": "",
        "uid": "",
        "state": "",
        "reason": "",
        "since": event.occurred_at,
        "revision": 0,
        "desired_digest": "",
        "owned_digest": "",
        "fields_digest": "",
        "applied_position": 0,
    }


def _applied(row: Row, applied: ResourceApplied | ResourceTakenOver, event: Event) -> Row:
    """A node's state comes with the next decision; an item has no report of its own, and a failed one is mended by this."""
    subject = event.subject
    found = {
        **row,
        "api_group": subject.group,
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
        "uid": subject.uid,
        "desired_digest": applied.desired_digest,
        "owned_digest": applied.owned_digest,
        "fields_digest": applied.fields_digest,
        "applied_position": event.position,
    }
    node = str(row["node"])
    return _moved(found, NodeReport(node, "APPLIED"), event) if "/" in node else found


def _moved(row: Row, report: NodeReport, event: Event) -> Row:
    since = row["since"] if row["state"] == report.state else event.occurred_at
    return {**row, "state": report.state, "reason": report.reason, "since": since}
