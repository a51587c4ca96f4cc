"""A projection's row to stored values and back; a row that does not fit its columns is refused before it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import cast

import orjson
from sqlalchemy import Connection

from kro_es.api.objects import JsonValue
from kro_es.events.delta import canonical
from kro_es.projections.projection import Column, Projection, Row
from kro_es.store.sql import Values, marks, run_many
from kro_es.store.tables import table_name

_PYTHON: dict[str, type] = {"text": str, "int": int, "blob": bytes}
NO_TEXTS: Mapping[int, bytes] = {}
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class RowForm:
    """How the rows of one projection are written and read."""

    def __init__(self, projection: Projection) -> None:
        self.table = table_name(projection.name)
        names = self._names = [column.name for column in projection.columns]
        self._places = {name: place for place, name in enumerate(names, start=1)}
        self._columns = tuple(enumerate(projection.columns, start=1))
        self._json = tuple(place for place, column in self._columns if column.type == "json")
        self._blobs = tuple(place for place, column in self._columns if column.type == "blob")
        self._all = _getter(names)
        self._texts = _getter([place for place, column in self._columns if column.type == "text"])
        self._ints = _getter([place for place, column in self._columns if column.type == "int"])
        self._usual = [str, *(_PYTHON.get(column.type, str) for column in projection.columns)]
        self.listed = ", ".join(["key", *names])
        updates = ", ".join(f"{name} = excluded.{name}" for name in names)
        self.upsert = (
            f"INSERT INTO {self.table} ({self.listed}) VALUES ({marks(len(names) + 1)})"  # noqa: S608 the names are ours
            f" ON CONFLICT (key) DO {'UPDATE SET ' + updates if names else 'NOTHING'}"
        )
        found = {name for column in projection.columns if column.indexed for name in (column.name, *column.then)}
        others = [name for name in names if name not in found]
        self._indexed = _getter([self._places[name] for name in names if name in found])
        self._others = _getter([*(self._places[name] for name in others), 0]) if others else None
        set_others = ", ".join(f"{name} = ?" for name in others)
        self.update = f"UPDATE {self.table} SET {set_others} WHERE key = ?"  # noqa: S608
        self.delete = f"DELETE FROM {self.table} WHERE key = ?"  # noqa: S608
        self.select = f"SELECT {self.listed} FROM {self.table}"  # noqa: S608
        self.by_key = f"{self.select} WHERE key = ?"
        self.by_column = {name: f"{self.select} WHERE {name} = ? ORDER BY key" for name in names}

    def values(self, key: str, row: Row, texts: Mapping[int, bytes] = NO_TEXTS) -> Values:
        """Raises when a column is missing or holds what its type does not.

        ``texts``: canonical texts that somebody has made already, by identity of the value.
        """
        found: list[JsonValue] = [key, *self._all(row)]
        for place in self._json:
            value = found[place]
            found[place] = (texts.get(id(value)) or canonical(value)).decode()
        if not self._is_usual(found):
            for place, column in self._columns:
                if column.type != "json":
                    found[place] = _stored(column, found[place])
        return tuple(found)

    def _is_usual(self, found: list[JsonValue]) -> bool:
        """Whether nothing has to be looked at closely: asked of all columns at once, it costs next to nothing."""
        if list(map(type, found)) != self._usual or "\0" in "".join(self._texts(found)):
            return False
        ints = self._ints(found)
        return min(ints, default=0) >= _LEAST and max(ints, default=0) <= _GREATEST

    def write(
        self,
        connection: Connection,
        changed: Mapping[str, Values | None],
        before: Mapping[str, Values | None] | None = None,
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
            elif self._others and before and (was := before.get(key)) and self._indexed(was) == self._indexed(values):
                updates.append(self._others(values))
            else:
                upserts.append(values)
        run_many(connection, self.delete, deletes)
        run_many(connection, self.upsert, upserts)
        run_many(connection, self.update, updates)

    def row(self, values: Sequence[object]) -> dict[str, object]:
        """The row without its key, which comes first in ``values``."""
        return {name: self._value(values, place) for name, place in self._places.items()}

    def row_by_need(self, values: Values) -> Row:
        """The same, but what nobody looks at is not read."""
        return _RowByNeed(self._places, values, self._value)

    def _value(self, values: Sequence[object], place: int) -> object:
        value = values[place]
        if value is not None:
            if place in self._json:
                return orjson.loads(cast(str, value))
            if place in self._blobs:
                return bytes(cast(bytes, value))
        return value


class _RowByNeed(Mapping[str, object]):
    """A row as it is stored, each column read when it is asked for."""

    __slots__ = ("_places", "_value", "_values")

    def __init__(self, places: Mapping[str, int], values: Values, value: Callable[[Values, int], object]) -> None:
        self._places = places
        self._values = values
        self._value = value

    def __getitem__(self, name: str) -> object:
        return self._value(self._values, self._places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _getter(keys: Sequence[int | str]) -> Callable[[JsonValue], tuple[JsonValue, ...]]:
    """Items by these keys, always a tuple."""
    if len(keys) > 1:
        return cast("Callable[[JsonValue], tuple[JsonValue, ...]]", itemgetter(*keys))
    return lambda of: tuple(of[key] for key in keys)


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
