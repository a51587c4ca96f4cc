"""The last seen state of every live object, one row per reference."""

from __future__ import annotations

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, labels
from kro_es.events.types import Event, ObjectDeleted, ObjectGoneUnseen, ObjectLeftSelection, ObjectObserved
from kro_es.projections.projection import Column, Row

_PREFIX = "object/"
_PARTS = frozenset({"metadata", "status"})
_MOVED = frozenset({"resourceVersion"})
_ANSWER = frozenset({"resourceVersion", "annotations"})


class Objects:
    """Key: ``group/Kind/namespace/name``. A late observation (lower resourceVersion, same uid) never replaces the head."""

    name = "objects"
    version = 3
    columns = (
        Column("kind_key", "text", "group/Kind", indexed=True),
        Column("api_version", "text", "apiVersion it was watched at"),
        Column("namespace", "text", "namespace; empty for cluster-scoped kinds"),
        Column("name", "text", "name"),
        Column("uid", "text", "uid"),
        Column("resource_version", "int", "resourceVersion as a number"),
        Column("generation", "int", "metadata.generation"),
        Column("position", "int", "position of the event that showed this state"),
        Column("stream_version", "int", "version of the object's stream at that event"),
        Column("part_of", "text", "apply set it is a member of", indexed=True),
        Column("instance_uid", "text", "uid of the instance it belongs to", indexed=True),
        Column("node", "text", "node id in the resource graph"),
        Column("actor", "text", "field manager whose change this state shows; empty when unknown"),
        Column(
            "editor", "text", "field manager of the last change beyond status that was not ours; empty when unknown"
        ),
        Column("object", "json", "the object, without managedFields, secret leaves redacted"),
    )
    bodies = (ObjectObserved, ObjectDeleted, ObjectGoneUnseen, ObjectLeftSelection)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case ObjectObserved() | ObjectDeleted() | ObjectGoneUnseen() | ObjectLeftSelection():
                return (event.stream.removeprefix(_PREFIX),)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if not isinstance(body, ObjectObserved):
            same = row is not None and row["uid"] == event.subject.uid
            return None if same else row
        if (
            row is not None
            and row["uid"] == event.subject.uid
            and int(str(row["resource_version"])) > event.resource_version
        ):
            return row
        same = row is not None and row["uid"] == event.subject.uid
        return _row(body.object, event, _editor(row if same else None, event, body.object))


def _editor(row: Row | None, event: Event, obj: JsonObject) -> str:
    """What we apply is a new beginning. A controller answers an edit with a status, often an annotation: no edit of its own."""
    before = str(row["editor"]) if row is not None else ""
    if event.actor.source == "controller" or event.actor.name == metadata.CONTROLLER_MANAGER:
        return "" if event.actor.name == metadata.CHILD_MANAGER else before
    if row is None:
        return event.actor.name
    if before == event.actor.name:
        return before
    found = row["object"]
    assert isinstance(found, dict)
    return before if _only_answered(found, obj, _ANSWER if before else _MOVED) else event.actor.name


def _only_answered(before: JsonObject, after: JsonObject, free: frozenset[str]) -> bool:
    """Whether nothing differs but the status and the ``free`` fields of the metadata; most differ in little else."""
    return _same(before["metadata"], after["metadata"], free) and _same(before, after, _PARTS)


def _same(before: JsonObject, after: JsonObject, free: frozenset[str]) -> bool:
    for name, value in before.items():
        if name not in free and (name not in after or value != after[name]):
            return False
    return after.keys() - before.keys() <= free


def _row(obj: JsonObject, event: Event, editor: str) -> Row:
    found = labels(obj)
    return {
        "kind_key": f"{event.subject.group}/{event.subject.kind}",
        "api_version": obj["apiVersion"],
        "namespace": event.subject.namespace,
        "name": event.subject.name,
        "uid": event.subject.uid,
        "resource_version": event.resource_version,
        "generation": obj["metadata"].get("generation", 0),
        "position": event.position,
        "stream_version": event.stream_version,
        "part_of": found.get(metadata.PART_OF, ""),
        "instance_uid": found.get(metadata.INSTANCE_ID, ""),
        "node": found.get(metadata.NODE_ID, ""),
        "actor": event.actor.name,
        "editor": editor,
        "object": obj,
    }
