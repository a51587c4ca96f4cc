"""An append's database part beside the driver alone, which inserts the same encoded rows and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from kro_es.events.types import NewEvent
from kro_es.store.batch import Batch, Head
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.tables import schema


@dataclass
class Beside:
    """Seconds for the same rows in the same transactions, taken in turn: a busy machine is busy for both."""

    whole: float = 0.0
    """From events to committed."""
    ours: float = 0.0
    """The database's part of it: the head locked and moved, streams and names, rows, chain, commit."""
    raw: float = 0.0
    """``executemany`` of the event rows alone into a table with the same indexes, and commit."""


class _Timed(EventLog):
    """Knows how long it turned events into rows, which no driver does."""

    encoding = 0.0
    _began = 0.0

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, Head]]:
        with super()._writing() as found:
            self._began = time.perf_counter()
            yield found

    def _store(self, connection: Connection, batch: Batch) -> bytes:
        self.encoding += time.perf_counter() - self._began
        return super()._store(connection, batch)


def beside_driver(ours: Engine, other: Engine, batches: Sequence[list[NewEvent]]) -> Beside:
    """Two empty databases of one kind; the driver's has the one table."""
    migrate(ours)
    log = _Timed(ours, (), cluster="bench")
    log.issue_fence()
    log.encoding = 0.0
    found, insert = Beside(), _driver(other)
    with log.connected():
        for batch in batches:
            _in_turn(log, ours, insert, batch, found)
    return found


def _in_turn(
    log: _Timed, ours: Engine, insert: Callable[[list[Any]], None], batch: list[NewEvent], found: Beside
) -> None:
    began, encoding = time.perf_counter(), log.encoding
    appended = log.append(batch, now=batch[-1].occurred_at)
    taken = time.perf_counter() - began
    found.whole += taken
    found.ours += taken - (log.encoding - encoding)
    with ours.connect() as connection:
        sql = f"SELECT * FROM events WHERE position >= {appended[0].position} ORDER BY position"
        rows = [tuple(row) for row in connection.exec_driver_sql(sql)]
    began = time.perf_counter()
    insert(rows)
    found.raw += time.perf_counter() - began


def _driver(engine: Engine) -> Callable[[list[Any]], None]:
    with engine.connect() as connection, connection.begin():
        schema(()).tables["events"].create(connection)
        width = len(connection.exec_driver_sql("SELECT * FROM events").keys())
    sqlite = engine.dialect.name == "sqlite"
    sql = f"INSERT INTO events VALUES ({', '.join(['?' if sqlite else '%s'] * width)})"
    raw = engine.raw_connection()

    def insert(rows: list[Any]) -> None:
        cursor = raw.cursor()
        if sqlite:
            cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(sql, rows)
        cursor.execute("COMMIT") if sqlite else raw.commit()

    return insert
