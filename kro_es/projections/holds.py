"""What is held: definitions and instances whose spec is the log's, whatever the cluster shows, until they are released."""

from __future__ import annotations

from kro_es.events.types import CommandHold, CommandRelease, Event, InstanceGone
from kro_es.projections.projection import Column, Row


class Holds:
    """Key: uid of the definition or instance."""

    name = "holds"
    version = 1
    columns = (
        Column("api_group", "text", "API group of the object"),
        Column("kind", "text", "kind of the object"),
        Column("namespace", "text", "namespace; empty for definitions"),
        Column("name", "text", "name of the object"),
        Column("spec", "json", "the spec that counts"),
        Column("mark", "text", "what the annotation on the object says"),
        Column("since", "int", "when it was held, microseconds since the epoch"),
        Column("stream", "text", "stream of the command"),
        Column("stream_version", "int", "version of that stream at the command"),
        Column("position", "int", "position of the command"),
        Column("actor", "text", "who asked for it"),
        Column("reason", "text", "why"),
    )
    bodies = (CommandHold, CommandRelease, InstanceGone)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case CommandHold(held_uid=uid) | CommandRelease(held_uid=uid):
                return (uid,)
            case InstanceGone():
                return (event.stream.removeprefix("instance/"),)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if not isinstance(body, CommandHold):
            return None
        return {
            "api_group": event.subject.group,
            "kind": event.subject.kind,
            "namespace": event.subject.namespace,
            "name": event.subject.name,
            "spec": body.spec,
            "mark": body.mark,
            "since": event.occurred_at,
            "stream": event.stream,
            "stream_version": event.stream_version,
            "position": event.position,
            "actor": event.actor.name,
            "reason": body.reason,
        }
