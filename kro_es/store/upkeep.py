"""What has to be done for a log that grows, beside the writer: hardly a commit waits for it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import structlog
from sqlalchemy import Engine, exc

from kro_es.errors import KroEsError
from kro_es.store.engine import in_memory
from kro_es.store.learning import Learnt, learn
from kro_es.store.sql import run

_EVENTS = 500
"""Appended since the write-ahead log was moved last: a few megabytes."""
_LEARN_AT = 20_000
"""Position from which a log can be learnt from; once more at each tenfold of it, when there is more to know."""
logger = structlog.get_logger(__name__)


class Upkeep:
    """A thread that works while the writer's own does.

    On SQLite it moves the write-ahead log into the file; what it leaves is moved by the commit that finds too much.
    On both it learns from the log how to compress it: the writer takes that up with its next commit.
    """

    def __init__(self, engine: Engine) -> None:
        self.learnt: Learnt | None = None
        self._engine = engine
        self._appended = 0
        self._position = 0
        self._due = 0
        self._enough = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="log-upkeep", daemon=True)
        self._thread.start()

    def appended(self, count: int, position: int) -> None:
        """To be told after every commit."""
        self._appended += count
        self._position = position
        if self._appended >= _EVENTS:
            self._appended = 0
            self._enough.set()

    def end(self) -> None:
        self._ended = True
        self._enough.set()
        self._thread.join()

    def _work(self) -> None:
        while self._enough.wait() and not self._ended:
            self._enough.clear()
            # whatever hinders it hinders the writer too, which says so
            with suppress(exc.DBAPIError, exc.TimeoutError, sqlite3.Error, OSError):
                self._move()
                self._learn()

    def _move(self) -> None:
        if self._engine.dialect.name != "sqlite":
            return
        pooled = self._engine.raw_connection()
        try:
            driver = cast("sqlite3.Connection", pooled.driver_connection)
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            pooled.close()

    def _learn(self) -> None:
        if not self._due:
            with self._engine.connect() as connection, connection.begin():
                # one for each time it was learnt, whoever asked for it
                learnt = int(run(connection, "SELECT max(id) FROM dictionaries").scalar_one()) - 1
            self._due = _LEARN_AT * 10**learnt
        if self._position < self._due:
            return
        self._due *= 10
        try:
            found = learn(self._engine)
        except KroEsError as error:
            logger.info("the log stays compressed as it is", reason=str(error))
            return
        if found.after < found.before:
            self.learnt = found


@contextmanager
def upkeep(engine: Engine) -> Iterator[Upkeep | None]:
    """None for a database in memory, which is no log of anything that lasts."""
    if in_memory(engine):
        yield None
        return
    working = Upkeep(engine)
    try:
        yield working
    finally:
        working.end()
