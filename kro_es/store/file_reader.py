"""A SQLite file for questions only, by the driver alone: a program that asks one question is done before SQLAlchemy is loaded."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, cast

from kro_es.api.objects import JsonValue
from kro_es.store.sql import Rows

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPICursor

_PRAGMAS = ("PRAGMA busy_timeout = 10000", "PRAGMA cache_size = -65536", "PRAGMA query_only = ON")


class _Dialect:
    name = "sqlite"


class FileEngine:
    """What :func:`kro_es.store.sql.run` and the readers use of an engine, and no more."""

    dialect = _Dialect()

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        weakref.finalize(self, _close, self._idle)

    def connect(self) -> FileConnection:
        """Raises sqlite3.Error when the file cannot be read."""
        if self._idle:
            return FileConnection(self._idle.pop(), self._idle)
        # who asks does so from one thread at a time, and who ends the last one may be another
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        return FileConnection(connection, self._idle)

    def dispose(self) -> None:
        """Closes what no question uses."""
        _close(self._idle)


def _close(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()


class FileConnection:
    """Every transaction sees the database as of its first read."""

    dialect = _Dialect()

    def __init__(self, connection: sqlite3.Connection, idle: list[sqlite3.Connection]) -> None:
        self._connection = connection
        self._idle = idle

    def __enter__(self) -> FileConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The next question finds the schema read and pages at hand.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._idle.append(self._connection)

    @contextmanager
    def begin(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        yield

    @staticmethod
    def in_transaction() -> bool:
        """Its statements are the driver's own as it is."""
        return False

    def exec_driver_sql(self, sql: str, values: Sequence[JsonValue] = ()) -> Rows:
        return Rows(cast("DBAPICursor", self._connection.execute(sql, values)))
