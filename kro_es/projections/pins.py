"""What is pinned: instances that run one revision of their definition, whatever revision is active, until they are unpinned."""

from __future__ import annotations

from kro_es.events.types import CommandPin, CommandUnpin, Event, InstanceGone
from kro_es.projections.orders import COMMAND, OBJECT, ordered
from kro_es.projections.projection import Column, Row


class Pins:
    """Key: uid of the instance."""

    name = "pins"
    version = 1
    columns = (
        *OBJECT,
        Column("definition_uid", "text", "uid of the definition", indexed=True),
        Column("definition", "text", "name of the definition"),
        Column("number", "int", "revision it stays on"),
        *COMMAND,
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
            **ordered(event, body),
            "definition_uid": body.definition_uid,
            "definition": body.definition,
            "number": body.number,
        }
