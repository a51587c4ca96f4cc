"""An append's database part beside the driver alone, which inserts the same rows and does nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from kro_es.events.types import NewEvent
from kro_es.store.batch import Batch, Head
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.tables import schema

_TABLES = {
    "events": "position",
    "streams": "id",
    "subjects": "id",
    "actors": "id",
    "correlations": "id",
    "types": "id",
    "clusters": "id",
    "commits": "last_position",
}
"""What an append adds rows to, and the column that grows with them."""
_FEW = 20
"""Rows for which COPY, where there is one, does not pay."""


@dataclass
class Beside:
    """Seconds for the same rows in the same transactions, taken in turn: a busy machine is busy for both."""

    whole: float = 0.0
    """From events to committed."""
    ours: float = 0.0
    """The database's part of it: the head locked and moved, streams and names, rows, chain, commit."""
    raw: float = 0.0
    """The same rows into the same tables by the driver's fastest way, and commit."""


class _Timed(EventLog):
    """Knows how long it had to do with the database; the rest is turning events into rows, which no driver does."""

    database = 0.0

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, Head]]:
        began = time.perf_counter()
        with super()._writing() as found:
            self.database += time.perf_counter() - began
            yield found
            began = time.perf_counter()
        self.database += time.perf_counter() - began

    def _store(self, connection: Connection, batch: Batch) -> bytes:
        began = time.perf_counter()
        try:
            return super()._store(connection, batch)
        finally:
            self.database += time.perf_counter() - began


class _Driver:
    """The driver alone, in a database of its own."""

    def __init__(self, engine: Engine) -> None:
        tables = schema(()).tables
        self.tops = dict.fromkeys(_TABLES, 0)
        with engine.connect() as connection, connection.begin():
            for name in _TABLES:
                tables[name].create(connection)
        self._sqlite = engine.dialect.name == "sqlite"
        mark = "?" if self._sqlite else "%s"
        self._inserts = {
            name: f"INSERT INTO {name} VALUES ({', '.join([mark] * len(tables[name].columns))})" for name in _TABLES
        }
        self._raw = engine.raw_connection()

    def added(self, engine: Engine) -> dict[str, list[Any]]:
        """What the other database has and this one lacks."""
        found: dict[str, list[Any]] = {}
        with engine.connect() as connection:
            for name, key in _TABLES.items():
                sql = f"SELECT * FROM {name} WHERE {key} > {self.tops[name]} ORDER BY {key}"
                rows = [tuple(row) for row in connection.exec_driver_sql(sql)]
                if rows:
                    found[name] = rows
                    keys = connection.exec_driver_sql(f"SELECT max({key}) FROM {name}")
                    self.tops[name] = int(keys.scalar_one())
        return found

    def insert(self, added: dict[str, list[Any]]) -> None:
        cursor = self._raw.cursor()
        if self._sqlite:
            cursor.execute("BEGIN IMMEDIATE")
        for name, rows in added.items():
            if self._sqlite or len(rows) < _FEW:
                cursor.executemany(self._inserts[name], rows)
                continue
            with cursor.copy(f"COPY {name} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        cursor.execute("COMMIT") if self._sqlite else self._raw.commit()


def beside_driver(ours: Engine, other: Engine, batches: Sequence[list[NewEvent]]) -> Beside:
    """Two empty databases of one kind; the driver's has the tables an append adds rows to."""
    migrate(ours)
    log = _Timed(ours, (), cluster="bench")
    log.issue_fence()
    found, driver = Beside(), _Driver(other)
    driver.insert(driver.added(ours))
    with log.connected():
        for batch in batches:
            _in_turn(log, ours, driver, batch, found)
    return found


def _in_turn(log: _Timed, ours: Engine, driver: _Driver, batch: list[NewEvent], found: Beside) -> None:
    began, database = time.perf_counter(), log.database
    log.append(batch, now=batch[-1].occurred_at)
    found.whole += time.perf_counter() - began
    found.ours += log.database - database
    rows = driver.added(ours)
    began = time.perf_counter()
    driver.insert(rows)
    found.raw += time.perf_counter() - began
