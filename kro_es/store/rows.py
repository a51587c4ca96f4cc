"""A projection's row to stored values and back; a row that does not fit its columns is refused before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import orjson
from sqlalchemy import Connection

from kro_es.api.objects import JsonValue
from kro_es.events.delta import canonical
from kro_es.projections.projection import Column, Projection, Row
from kro_es.store.sql import Values, marks, run_many
from kro_es.store.tables import table_name

_PYTHON: dict[str, type] = {"text": str, "int": int, "blob": bytes}
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class RowForm:
    """How the rows of one projection are written and read."""

    def __init__(self, projection: Projection) -> None:
        self.table = table_name(projection.name)
        names = self._names = [column.name for column in projection.columns]
        self._json = [column.name for column in projection.columns if column.type == "json"]
        self._blobs = [column.name for column in projection.columns if column.type == "blob"]
        self._plan = [(column.name, _PYTHON.get(column.type), column) for column in projection.columns]
        self.listed = ", ".join(["key", *names])
        updates = ", ".join(f"{name} = excluded.{name}" for name in names)
        self.upsert = (
            f"INSERT INTO {self.table} ({self.listed}) VALUES ({marks(len(names) + 1)})"  # noqa: S608 the names are ours
            f" ON CONFLICT (key) DO {'UPDATE SET ' + updates if names else 'NOTHING'}"
        )
        found = {name for column in projection.columns if column.indexed for name in (column.name, *column.then)}
        indexed = [name for name in names if name in found]
        self._indexed = [(name, names.index(name) + 1) for name in indexed]
        self._others = [place for place, name in enumerate(names, start=1) if name not in indexed]
        others = ", ".join(f"{name} = ?" for name in names if name not in indexed)
        self.update = f"UPDATE {self.table} SET {others} WHERE key = ?"  # noqa: S608
        self.delete = f"DELETE FROM {self.table} WHERE key = ?"  # noqa: S608
        self.select = f"SELECT {self.listed} FROM {self.table}"  # noqa: S608
        self.by_key = f"{self.select} WHERE key = ?"
        self.by_column = {name: f"{self.select} WHERE {name} = ? ORDER BY key" for name in names}

    def values(self, key: str, row: Row) -> Values:
        """Raises when a column is missing or holds what its type does not."""
        found: list[JsonValue] = [key]
        for name, kind, column in self._plan:
            value = row[name]
            # The common case at hand; everything else is looked at closely.
            if kind is str:
                good = type(value) is str and "\0" not in value
            else:
                good = kind is int and type(value) is int and _LEAST <= value <= _GREATEST
            found.append(value if good else _stored(column, value))
        return tuple(found)

    def write(
        self,
        connection: Connection,
        changed: Mapping[str, Values | None],
        before: Mapping[str, Row | None] | None = None,
    ) -> None:
        """Stores the rows by key; None removes one. ``before``: rows as the table has them, as far as that is known.

        SQLite writes the indexes of every column a statement names, changed or not: where they stay none is named.
        """
        deletes: list[Values] = []
        upserts: list[Values] = []
        updates: list[Values] = []
        for key, values in changed.items():
            if values is None:
                deletes.append((key,))
            elif before is not None and self._keeps_indexes(before.get(key), values):
                updates.append((*(values[place] for place in self._others), key))
            else:
                upserts.append(values)
        run_many(connection, self.delete, deletes)
        run_many(connection, self.upsert, upserts)
        run_many(connection, self.update, updates)

    def _keeps_indexes(self, before: Row | None, values: Values) -> bool:
        if before is None or not self._others:
            return False
        return all(before[name] == values[place] for name, place in self._indexed)

    def row(self, values: Sequence[object]) -> Row:
        """The row without its key, which comes first in ``values``."""
        found: Row = dict(zip(self._names, values[1:], strict=True))
        for name in self._json:
            value = found[name]
            found[name] = None if value is None else orjson.loads(cast(str, value))
        for name in self._blobs:
            value = found[name]
            found[name] = None if value is None else bytes(cast(bytes, value))
        return found


def _stored(column: Column, value: object) -> JsonValue:
    if column.type == "json":
        return canonical(value).decode()
    if value is None or type(value) is _PYTHON[column.type]:
        if isinstance(value, str):
            # one of the databases has no NUL in a text; the event itself keeps it
            return value.replace("\0", "\ufffd")
        if isinstance(value, int) and not _LEAST <= value <= _GREATEST:
            raise ValueError(f"column {column.name}: {value} does not fit 64 bits")
        return value
    if column.type == "int" and isinstance(value, bool):
        return int(value)
    raise TypeError(f"column {column.name} is {column.type}, not {type(value).__name__}")
