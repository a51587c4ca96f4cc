"""What the controller must remember across a crash: writes without an outcome, field sets, and hours nobody watched."""

from __future__ import annotations

from kro_es.events.types import (
    Event,
    FieldsSeen,
    ObjectDeleted,
    ObjectGoneUnseen,
    OutcomeUnknown,
    ReconcileDecided,
    ResourceApplied,
    ResourceDeleted,
    ResourceTakenOver,
    WatchGap,
    WatchLost,
    WatchResumed,
    WriteDone,
    WriteFailed,
    WriteUnsent,
)
from kro_es.projections.projection import Column, Row


class OpenWrites:
    """Key: ``<position of the intent, twenty digits>/<index>``; the row goes with the outcome."""

    name = "open_writes"
    version = 1
    columns = (
        Column("stream", "text", "stream of the decision", indexed=True),
        Column("verb", "text", "apply, create, delete, patch or put"),
        Column("api_group", "text", "API group of the target"),
        Column("api_version", "text", "version of the target"),
        Column("kind", "text", "kind of the target"),
        Column("namespace", "text", "namespace of the target"),
        Column("name", "text", "name of the target"),
        Column("subresource", "text", "subresource; empty for the object itself"),
        Column("node", "text", "node id in the resource graph"),
        Column("at", "int", "when it was decided, microseconds since the epoch"),
    )
    bodies = (ReconcileDecided, ResourceApplied, ResourceDeleted, WriteDone, WriteFailed, WriteUnsent, OutcomeUnknown)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case ReconcileDecided(writes=writes):
                return tuple(f"{event.position:020d}/{write.index}" for write in writes)
            case (
                ResourceApplied(intent=intent, index=index)
                | ResourceDeleted(intent=intent, index=index)
                | WriteDone(intent=intent, index=index)
                | WriteFailed(intent=intent, index=index)
                | WriteUnsent(intent=intent, index=index)
                | OutcomeUnknown(intent=intent, index=index)
            ):
                return (f"{intent:020d}/{index}",)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        if not isinstance(event.body, ReconcileDecided):
            return None
        index = int(key.split("/")[1])
        write = next(write for write in event.body.writes if write.index == index)
        return {
            "stream": event.stream,
            "verb": write.verb,
            "api_group": write.group,
            "api_version": write.version,
            "kind": write.kind,
            "namespace": write.namespace,
            "name": write.name,
            "subresource": write.subresource,
            "node": write.node,
            "at": event.body.at,
        }


class FieldSets:
    """Key: digest of a managedFields entry of ours; stored once however many objects share it."""

    name = "field_sets"
    version = 1
    columns = (Column("fields", "json", "the fieldsV1 entry"),)
    bodies = (ResourceApplied, FieldsSeen)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case ResourceApplied(fields=fields, fields_digest=digest) if fields is not None:
                return (digest,)
            case FieldsSeen(fields_digest=digest):
                return (digest,)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        known = isinstance(body, ResourceApplied | FieldsSeen) and body.fields is not None
        return {"fields": body.fields} if known else row  # type: ignore[union-attr]


class SeenFields:
    """Key: uid of a child that our field manager owns fields of and this log has no apply of."""

    name = "seen_fields"
    version = 1
    columns = (
        Column("fields_digest", "text", "digest of our managedFields entry"),
        Column("position", "int", "position of the event that showed it"),
    )
    bodies = (FieldsSeen, ResourceApplied, ResourceTakenOver, ObjectDeleted, ObjectGoneUnseen)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case FieldsSeen() | ResourceApplied() | ResourceTakenOver() | ObjectDeleted() | ObjectGoneUnseen():
                return (event.subject.uid,)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if isinstance(body, FieldsSeen):
            return {"fields_digest": body.fields_digest, "position": event.position}
        return None


class Gaps:
    """Key: position of the gap's event."""

    name = "gaps"
    version = 1
    columns = (
        Column("kind", "text", "kind nobody watched", indexed=True),
        Column("selector", "text", "label selector of the watch"),
        Column("since", "int", "from, microseconds since the epoch"),
        Column("until", "int", "to, microseconds since the epoch"),
        Column("reason", "text", "restart, expired, disconnect ..."),
        Column("position", "int", "position of the gap's event"),
    )
    bodies = (WatchGap,)

    def keys(self, event: Event) -> tuple[str, ...]:
        return (f"{event.position:020d}",) if isinstance(event.body, WatchGap) else ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if not isinstance(body, WatchGap):
            return row
        return {
            "kind": body.kind,
            "selector": body.selector,
            "since": body.since,
            "until": body.until,
            "reason": body.reason,
            "position": event.position,
        }


class LostWatches:
    """Key: stream of the watch. What nobody watches now; the row goes with the gap it leaves, or with none."""

    name = "lost_watches"
    version = 1
    columns = (
        Column("kind", "text", "kind nobody watches"),
        Column("selector", "text", "label selector of the watch"),
        Column("since", "int", "from, microseconds since the epoch"),
        Column("reason", "text", "Forbidden, disconnect ..."),
        Column("position", "int", "position of the event that says so"),
    )
    bodies = (WatchLost, WatchGap, WatchResumed)

    def keys(self, event: Event) -> tuple[str, ...]:
        return (event.stream,) if isinstance(event.body, WatchLost | WatchGap | WatchResumed) else ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if not isinstance(body, WatchLost):
            return None
        return {
            "kind": body.kind,
            "selector": body.selector,
            "since": body.since,
            "reason": body.reason,
            "position": event.position,
        }
