"""What is pinned: instances that run one revision of their definition, whatever revision is active, until they are unpinned."""

from __future__ import annotations

from kro_es.events.types import CommandPin, CommandUnpin, Event, InstanceGone
from kro_es.projections.projection import Column, Row


class Pins:
    """Key: uid of the instance."""

    name = "pins"
    version = 1
    columns = (
        Column("api_group", "text", "API group of the instance"),
        Column("kind", "text", "kind of the instance"),
        Column("namespace", "text", "namespace; empty for cluster-scoped kinds"),
        Column("name", "text", "name of the instance"),
        Column("definition_uid", "text", "uid of the definition", indexed=True),
        Column("definition", "text", "name of the definition"),
        Column("number", "int", "revision it stays on"),
        Column("mark", "text", "what the annotation on the instance says"),
        Column("since", "int", "when it was pinned, microseconds since the epoch"),
        Column("stream", "text", "stream of the command"),
        Column("stream_version", "int", "version of that stream at the command"),
        Column("position", "int", "position of the command"),
        Column("actor", "text", "who asked for it"),
        Column("reason", "text", "why"),
    )
    bodies = (CommandPin, CommandUnpin, InstanceGone)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case CommandPin(instance_uid=uid) | CommandUnpin(instance_uid=uid):
                return (uid,)
            case InstanceGone():
                return (event.stream.removeprefix("instance/"),)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if not isinstance(body, CommandPin):
            return None
        return {
            "api_group": event.subject.group,
            "kind": event.subject.kind,
            "namespace": event.subject.namespace,
            "name": event.subject.name,
            "definition_uid": body.definition_uid,
            "definition": body.definition,
            "number": body.number,
            "mark": body.mark,
            "since": event.occurred_at,
            "stream": event.stream,
            "stream_version": event.stream_version,
            "position": event.position,
            "actor": event.actor.name,
            "reason": body.reason,
        }
