"""Rows of every projection at one position, however much is written meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeAlias

from sqlalchemy import Engine

from kro_es.api.objects import JsonValue
from kro_es.projections.projection import Projection, Row
from kro_es.store.rows import RowForm
from kro_es.store.sql import Values, read_connection, run

_FOLDED = "SELECT min(position) FROM projection_checkpoints WHERE name IN ({names})"
_HEAD = "SELECT position FROM log_head"
_Query: TypeAlias = Callable[[str, Values], Iterable[Sequence[object]]]
"""A statement and its values to the rows it finds."""


class Snapshot:
    """One read transaction; satisfies ``Reader``. Good for one thread, until its context ends."""

    def __init__(self, query: _Query, forms: dict[str, RowForm]) -> None:
        self._query = query
        self._forms = forms
        # The first read fixes what all the others see.
        names = ", ".join(f"'{name}'" for name in forms)
        folded = _one(query(_FOLDED.format(names=names), ())) if forms else None
        self._position = int(str(_one(query(_HEAD, ())) if folded is None else folded))

    @property
    def position(self) -> int:
        return self._position

    def row(self, projection: str, key: str) -> Row | None:
        form = self._forms[projection]
        found = next(iter(self._query(form.by_key, (key,))), None)
        return None if found is None else form.row(found)

    def rows(self, projection: str, column: str, value: JsonValue) -> list[Row]:
        """Rows whose column equals ``value``, ordered by key."""
        form = self._forms[projection]
        return [form.row(found) for found in self._query(form.by_column[column], (value,))]

    def all_rows(self, projection: str) -> Iterator[tuple[str, Row]]:
        """Every row with its key, ordered by key."""
        form = self._forms[projection]
        for found in self._query(f"{form.select} ORDER BY key", ()):
            yield str(found[0]), form.row(found)


class ReaderPool:
    """Opens snapshots on pooled connections of one database."""

    def __init__(self, engine: Engine, projections: Sequence[Projection]) -> None:
        self._engine = engine
        self._forms = {projection.name: RowForm(projection) for projection in projections}

    def open(self) -> AbstractContextManager[Snapshot]:
        return self._of_file() if self._engine.dialect.name == "sqlite" else self._of_server()

    @contextmanager
    def _of_server(self) -> Iterator[Snapshot]:
        with read_connection(self._engine) as connection, connection.begin():
            yield Snapshot(partial(run, connection), self._forms)

    @contextmanager
    def _of_file(self) -> Iterator[Snapshot]:
        """Without SQLAlchemy in between: a pass asks a dozen small questions, and it would cost more than they do."""
        pooled = self._engine.raw_connection()
        try:
            connection = pooled.driver_connection
            assert isinstance(connection, sqlite3.Connection)
            connection.execute("BEGIN")
            try:
                yield Snapshot(connection.execute, self._forms)
            finally:
                connection.execute("COMMIT")
        finally:
            pooled.close()


def open_reader(engine: Engine, projections: Sequence[Projection]) -> AbstractContextManager[Snapshot]:
    """A snapshot for a single use."""
    return ReaderPool(engine, projections).open()


def _one(rows: Iterable[Sequence[object]]) -> object:
    return next(iter(rows))[0]
