"""What a projection is: a named, versioned fold from events to rows of one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

from kro_es.events.types import Body, Event

ColumnType: TypeAlias = Literal["text", "int", "json", "blob"]
Row: TypeAlias = Mapping[str, object]
"""Column name to value; ``json`` columns hold plain JSON values. A row without a change is returned as it came."""

EVERY: tuple[type[Body], ...] = get_args(Body)
"""What a projection names that may be touched by whatever happens."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: ColumnType
    doc: str
    """Shown to people in the documentation of the views."""
    indexed: bool = False
    then: tuple[str, ...] = ()
    """Columns behind it in the index: rows of one value are in their order, and they are read from there."""
    common: tuple[str, ...] = ()
    """Values that most rows have: the index lacks them, and serves who asks for :attr:`rare` ones too."""

    @property
    def rare(self) -> str:
        """The condition, in SQL, that the value is none of the common ones."""
        return f"{self.name} NOT IN ({', '.join(repr(value) for value in self.common)})"


class Projection(Protocol):
    """A pure fold; its rows live in table ``p_<name>`` with the primary key column ``key``."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def bodies(self) -> tuple[type[Body], ...]:
        """What :meth:`keys` may give keys for: nobody needs to ask it about other events."""
        ...

    def keys(self, event: Event) -> tuple[str, ...]:
        """The rows this event touches; empty when none."""
        ...

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        """The row after the event; None deletes it. ``row`` is never changed in place."""
        ...


class Routes:
    """Which events concern which projection, by what each says about itself."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._count = len(projections)
        self._places: dict[type, list[int]] = {}
        for place, projection in enumerate(projections):
            for body in projection.bodies:
                self._places.setdefault(body, []).append(place)

    def split(self, events: Iterable[Event]) -> list[list[Event]]:
        """For every projection, in order, the events that may touch its rows."""
        found: list[list[Event]] = [[] for _ in range(self._count)]
        for event in events:
            for place in self._places.get(type(event.body), ()):
                found[place].append(event)
        return found
