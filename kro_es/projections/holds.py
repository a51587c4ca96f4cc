"""What is held: definitions and instances whose spec is the log's, whatever the cluster shows, until they are released."""

from __future__ import annotations

from kro_es.events.types import CommandHold, CommandRelease, Event, InstanceGone
from kro_es.projections.orders import COMMAND, OBJECT, ordered
from kro_es.projections.projection import Column, Row


class Holds:
    """Key: uid of the definition or instance."""

    name = "holds"
    version = 1
    columns = (
        *OBJECT,
        Column("spec", "json", "the spec that counts"),
        *COMMAND,
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
        return {**ordered(event, body), "spec": body.spec}
