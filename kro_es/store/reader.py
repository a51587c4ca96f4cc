"""Rows of every projection at one position, however much is written meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine

from kro_es.projections.projection import Projection, Row
from kro_es.store.rows import RowForm
from kro_es.store.sql import read_connection, run

_FOLDED = "SELECT min(position) FROM projection_checkpoints WHERE name IN ({names})"
_HEAD = "SELECT position FROM log_head"


class Snapshot:
    """One read transaction; satisfies ``Reader``. Good for one thread, until its context ends."""

    def __init__(self, connection: Connection, forms: dict[str, RowForm]) -> None:
        self._connection = connection
        self._forms = forms
        # The first read fixes what all the others see.
        names = ", ".join(f"'{name}'" for name in forms)
        folded = run(connection, _FOLDED.format(names=names)).scalar_one() if forms else None
        self._position = int(run(connection, _HEAD).scalar_one() if folded is None else folded)

    @property
    def position(self) -> int:
        return self._position

    def row(self, projection: str, key: str) -> Row | None:
        form = self._forms[projection]
        found = run(self._connection, f"{form.select} WHERE key = ?", (key,)).first()
        return None if found is None else form.row(tuple(found))

    def rows(self, projection: str, column: str, value: object) -> list[Row]:
        """Rows whose column equals ``value``, ordered by key."""
        form = self._forms[projection]
        sql = f"{form.select} WHERE {form.column(column).name} = ? ORDER BY key"
        return [form.row(tuple(found)) for found in run(self._connection, sql, (value,))]

    def all_rows(self, projection: str) -> Iterator[tuple[str, Row]]:
        """Every row with its key, ordered by key."""
        form = self._forms[projection]
        for found in run(self._connection, f"{form.select} ORDER BY key"):
            yield found[0], form.row(tuple(found))


class ReaderPool:
    """Opens snapshots on pooled connections of one database."""

    def __init__(self, engine: Engine, projections: Sequence[Projection]) -> None:
        self._engine = engine
        self._forms = {projection.name: RowForm(projection) for projection in projections}

    def open(self) -> AbstractContextManager[Snapshot]:
        return self._snapshot()

    @contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        with read_connection(self._engine) as connection, connection.begin():
            yield Snapshot(connection, self._forms)


def open_reader(engine: Engine, projections: Sequence[Projection]) -> AbstractContextManager[Snapshot]:
    """A snapshot for a single use."""
    return ReaderPool(engine, projections).open()
