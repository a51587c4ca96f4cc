"""What is pinned: instances that run one revision of their definition, whatever revision is active, until they are unpinned."""

from __future__ import annotations

from kro_es.events.types import CommandPin, CommandUnpin, Event, InstanceGone, InstancePinned, InstanceUnpinned
from kro_es.projections.orders import COMMAND, OBJECT, ordered
from kro_es.projections.projection import Column, Row


class Pins:
    """Key: uid of the instance."""

    name = "pins"
    version = 2
    columns = (
        *OBJECT,
        Column("definition_uid", "text", "uid of the definition", indexed=True),
        Column("definition", "text", "name of the definition"),
        Column("number", "int", "revision it stays on"),
        Column("selector", "text", "labels it is pinned by; empty for a pin of its own"),
        Column("by", "int", "position of the command with that selector; 0 for a pin of its own"),
        *COMMAND,
    )
    bodies = (CommandPin, CommandUnpin, InstancePinned, InstanceUnpinned, InstanceGone)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case CommandPin(instance_uid=uid) | CommandUnpin(instance_uid=uid):
                return (uid,)
            case InstancePinned() | InstanceUnpinned() | InstanceGone():
                return (event.stream.removeprefix("instance/"),)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        body = event.body
        if isinstance(body, InstancePinned | InstanceUnpinned) and row is not None and row["by"] == 0:
            return row  # pinned by its own name while the controller looked at its labels
        if not isinstance(body, CommandPin | InstancePinned):
            return None
        found = {
            **ordered(event, body),
            "definition_uid": body.definition_uid,
            "definition": body.definition,
            "number": body.number,
            "selector": "",
            "by": 0,
        }
        if isinstance(body, InstancePinned):
            return {**found, "selector": body.selector, "by": body.by, "actor": body.asked_by}
        return found
