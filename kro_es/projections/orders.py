"""What stands because somebody ordered it: the columns every such row has, whatever was ordered."""

from __future__ import annotations

from typing import TypeAlias

from kro_es.events.types import CommandHold, CommandPin, Event, InstancePinned
from kro_es.projections.projection import Column, Row

OBJECT = (
    Column("api_group", "text", "API group of the object"),
    Column("kind", "text", "kind of the object"),
    Column("namespace", "text", "namespace; empty for cluster-scoped kinds"),
    Column("name", "text", "name of the object"),
)
COMMAND = (
    Column("mark", "text", "what the annotation on the object says"),
    Column("since", "int", "when it was ordered, microseconds since the epoch"),
    Column("stream", "text", "stream of the command"),
    Column("stream_version", "int", "version of that stream at the command"),
    Column("position", "int", "position of the command"),
    Column("actor", "text", "who asked for it"),
    Column("reason", "text", "why"),
)
Order: TypeAlias = CommandHold | CommandPin | InstancePinned


def ordered(event: Event, order: Order) -> Row:
    """Values of :data:`OBJECT` and :data:`COMMAND`."""
    return {
        "api_group": event.subject.group,
        "kind": event.subject.kind,
        "namespace": event.subject.namespace,
        "name": event.subject.name,
        "mark": order.mark,
        "since": event.occurred_at,
        "stream": event.stream,
        "stream_version": event.stream_version,
        "position": event.position,
        "actor": event.actor.name,
        "reason": order.reason,
    }
