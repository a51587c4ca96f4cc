"""Projections follow the log in the log's own transaction; one that fails on an event misses that event only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from kro_es.events.types import Event
from kro_es.projections.projection import Projection, Routes, Row
from kro_es.store.lru import Lru
from kro_es.store.mirror import Changes
from kro_es.store.rows import NO_TEXTS, RowForm
from kro_es.store.sql import Values, marks, run, run_many

_ROWS_KEPT = 2048
_ASKED_AT_ONCE = 500
_PARK = "INSERT INTO parked (position, projection, error) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


class FoldedProjection:
    """One projection and the rows of it that are at hand."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.position = 0
        self.follows = False
        """False while the rows are of another version of the projection than this program's."""
        self._form = RowForm(projection)
        self._rows: Lru[str, Values | None] = Lru(_ROWS_KEPT)
        """As they are stored: objects take several times as much room when they are not text."""
        self._top_key = ""

    def resume(self, connection: Connection, stored: tuple[int, int] | None, *, rebuild: bool) -> None:
        """Takes up at the stored (version, position); with ``rebuild`` rows of another version are started over."""
        self._rows.clear()
        version, self.position = stored or (self.projection.version, 0)
        self.follows = version == self.projection.version
        if not self.follows and rebuild:
            self._start_over(connection)
        elif stored is None:
            self._checkpoint(
                connection, "INSERT INTO projection_checkpoints (version, position, name) VALUES (?, ?, ?)"
            )
        top = run(connection, f"SELECT max(key) FROM {self._form.table}").scalar()  # noqa: S608 the name is ours
        self._top_key = top or ""

    def fold(
        self, connection: Connection, events: Sequence[Event], position: int, texts: Mapping[int, bytes] = NO_TEXTS
    ) -> Changes | None:
        """The rows after the events up to ``position``; those up to the projection's own position are skipped."""
        if not self.follows or position <= self.position:
            return None
        behind, self.position = self.position, position
        fresh = events if events and events[0].position > behind else [one for one in events if one.position > behind]
        if not fresh:
            return None
        touched, parked = self._touched(fresh)
        self._fetch(connection, {key for _, keys in touched for key in keys})
        changed: dict[str, Values | None] = {}
        found: dict[str, Values | None] = {}
        for event, keys in touched:
            try:
                changed.update(self._changes(event, keys, found, texts))
            except Exception as error:  # noqa: BLE001 a fault of one projection must not stop the log
                parked.append(self._parked(event, error))
        self._write(connection, changed, found)
        run_many(connection, _PARK, parked)
        self._rows.trim()
        return self._form, changed

    def _start_over(self, connection: Connection) -> None:
        run(connection, f"DELETE FROM {self._form.table}")  # noqa: S608 the name is ours
        run(connection, "DELETE FROM parked WHERE projection = ?", (self.projection.name,))
        self.position = 0
        self.follows = True
        self._checkpoint(connection, "UPDATE projection_checkpoints SET version = ?, position = ? WHERE name = ?")

    def _checkpoint(self, connection: Connection, sql: str) -> None:
        run(connection, sql, (self.projection.version, self.position, self.projection.name))

    def _touched(self, events: Sequence[Event]) -> tuple[list[tuple[Event, tuple[str, ...]]], list[Values]]:
        touched: list[tuple[Event, tuple[str, ...]]] = []
        parked: list[Values] = []
        for event in events:
            try:
                keys = _checked(self.projection.keys(event))
            except Exception as error:  # noqa: BLE001 a fault of one projection must not stop the log
                parked.append(self._parked(event, error))
            else:
                if keys:
                    touched.append((event, keys))
        return touched, parked

    def _parked(self, event: Event, error: Exception) -> Values:
        text = f"{type(error).__name__}: {error}".replace("\0", "")
        return (event.position, self.projection.name, text)

    def _fetch(self, connection: Connection, keys: set[str]) -> None:
        """Brings the rows to hand; a key beyond the greatest stored one needs no question."""
        wanted = []
        for key in keys:
            if key in self._rows:
                self._rows.get(key)
            elif key > self._top_key:
                self._rows.put(key, None)
            else:
                wanted.append(key)
        wanted.sort()
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            part = tuple(wanted[start : start + _ASKED_AT_ONCE])
            for key in part:
                self._rows.put(key, None)
            # In a few lengths only: the driver keeps a statement for the next time, not one for every number of keys.
            asked = part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
            for values in run(connection, f"{self._form.select} WHERE key IN ({marks(len(asked))})", asked).all():
                self._rows.put(values[0], tuple(values))

    def _changes(
        self, event: Event, keys: Iterable[str], found: dict[str, Values | None], texts: Mapping[int, bytes]
    ) -> dict[str, Values | None]:
        """All changes of one event, or none when any of them raises; ``found`` gets the rows as they are stored."""
        after: dict[str, Row | None] = {}
        stored: dict[str, Values | None] = {}
        for key in keys:
            kept = self._rows.get(key)
            before = after[key] if key in after else None if kept is None else self._form.row_by_need(kept)
            row = self.projection.fold(key, before, event)
            if row is not before:
                found.setdefault(key, kept)
                after[key] = row
                stored[key] = None if row is None else self._form.values(key, row, texts)
        for key, values in stored.items():
            self._rows.put(key, values)
        return stored

    def _write(
        self, connection: Connection, changed: dict[str, Values | None], found: dict[str, Values | None]
    ) -> None:
        self._form.write(connection, changed, found)
        stored = [key for key, values in changed.items() if values is not None]
        if stored:
            self._top_key = max(self._top_key, *stored)


def _checked(keys: tuple[str, ...]) -> tuple[str, ...]:
    # One database refuses NUL in text; refused here it costs one event of one projection, there the whole commit.
    for key in keys:
        if "\0" in key:
            raise ValueError("a key with a NUL character")
    return keys


class Folding:
    """All projections of one writer."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._folded = [FoldedProjection(projection) for projection in projections]
        self._changes: list[Changes] = []
        self._routes = Routes(projections)
        names = [projection.name for projection in projections]
        self._names = tuple(names)
        self._checkpoint = f"UPDATE projection_checkpoints SET position = ? WHERE name IN ({marks(len(names))})"  # noqa: S608

    def resume(self, connection: Connection, *, rebuild: bool) -> None:
        """Reads the checkpoints and drops every row at hand; with ``rebuild`` changed projections start over."""
        found = run(connection, "SELECT name, version, position FROM projection_checkpoints")
        stored = {name: (version, position) for name, version, position in found}
        self._changes.clear()
        for folded in self._folded:
            folded.resume(connection, stored.get(folded.projection.name), rebuild=rebuild)

    @property
    def behind(self) -> int | None:
        """The least position a projection that follows is at; None when none follows."""
        return min((folded.position for folded in self._folded if folded.follows), default=None)

    def lacking(self, head: int) -> tuple[str, ...]:
        """Types of the events that those behind the head are made of."""
        late = (folded.projection for folded in self._folded if folded.follows and folded.position < head)
        return tuple(sorted({body.TYPE for projection in late for body in projection.bodies}))

    def taken(self) -> list[Changes]:
        """What was changed since this was asked last."""
        found, self._changes = self._changes, []
        return found

    def fold(
        self,
        connection: Connection,
        events: Sequence[Event],
        texts: Mapping[int, bytes] = NO_TEXTS,
        *,
        until: int | None = None,
    ) -> None:
        """Folds the events and moves the checkpoints, all in the caller's transaction.

        ``texts``: canonical texts of values in the events, by identity, as far as they are known. ``until``: the position
        these are all events up to that concern anybody behind it; without, that of the last one.
        """
        if not self._folded or not (events or until):
            return
        last = until or events[-1].position
        for folded, of_it in zip(self._folded, self._routes.split(events), strict=True):
            changes = folded.fold(connection, of_it, last, texts)
            if changes is not None:
                self._changes.append(changes)
        following = [folded for folded in self._folded if folded.follows]
        if len(following) == len(self._folded) and len({folded.position for folded in following}) == 1:
            run(connection, self._checkpoint, (following[0].position, *self._names))
            return
        rows = [(folded.position, folded.projection.name) for folded in following]
        run_many(connection, "UPDATE projection_checkpoints SET position = ? WHERE name = ?", rows)
