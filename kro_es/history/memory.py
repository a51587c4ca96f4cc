"""Projections folded in memory, one event after the other: the rows as they were at any position on the way."""

from __future__ import annotations

from collections.abc import Sequence

from kro_es.events.types import Event
from kro_es.projections.projection import Projection, Row


class Memory:
    """Satisfies the ``Reader`` that decisions are loaded from, at the position it has come to."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._projections = projections
        self._tables: dict[str, dict[str, Row]] = {projection.name: {} for projection in projections}
        self._indexes: dict[tuple[str, str], dict[object, set[str]]] = {
            (projection.name, column.name): {}
            for projection in projections
            for column in projection.columns
            if column.indexed
        }
        self.position = 0

    def fold(self, event: Event) -> None:
        for projection in self._projections:
            table = self._tables[projection.name]
            for key in projection.keys(event):
                before = table.get(key)
                after = projection.fold(key, before, event)
                if after is not before:
                    self._put(projection, key, before, after)
        self.position = event.position

    def put(self, projection: str, key: str, row: Row) -> None:
        """A row whose events are not at hand; the projection has no indexed columns."""
        self._tables[projection][key] = row

    def row(self, projection: str, key: str) -> Row | None:
        return self._tables[projection].get(key)

    def rows(self, projection: str, column: str, value: object) -> list[Row]:
        table = self._tables[projection]
        return [table[key] for key in sorted(self._indexes[projection, column].get(value, ()))]

    def _put(self, projection: Projection, key: str, before: Row | None, after: Row | None) -> None:
        table = self._tables[projection.name]
        if after is None:
            table.pop(key, None)
        else:
            table[key] = after
        for column in projection.columns:
            if column.indexed:
                index = self._indexes[projection.name, column.name]
                if before is not None:
                    index[before[column.name]].discard(key)
                if after is not None:
                    index.setdefault(after[column.name], set()).add(key)
