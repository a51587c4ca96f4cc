"""A SQLite file's write-ahead log is moved into the file beside the writer, so that hardly a commit waits for that."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

from sqlalchemy import Engine

_EVENTS = 500
"""Appended since it was moved last: a few megabytes."""


class Mover:
    """A thread that works while the writer's own does. What it leaves is moved by the commit that finds too much."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._appended = 0
        self._enough = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="log-mover", daemon=True)
        self._thread.start()

    def appended(self, count: int) -> None:
        self._appended += count
        if self._appended >= _EVENTS:
            self._appended = 0
            self._enough.set()

    def end(self) -> None:
        self._ended = True
        self._enough.set()
        self._thread.join()

    def _work(self) -> None:
        pooled = self._engine.raw_connection()
        try:
            driver = cast("sqlite3.Connection", pooled.driver_connection)
            while self._enough.wait() and not self._ended:
                self._enough.clear()
                # whatever hinders it: the log stays as it is, and a commit moves it
                with suppress(sqlite3.Error):
                    driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            pooled.close()


@contextmanager
def moving(engine: Engine) -> Iterator[Mover | None]:
    """None where there is no such file: PostgreSQL does this itself, and a database in memory has none."""
    if engine.dialect.name != "sqlite" or engine.url.database in (None, "", ":memory:"):
        yield None
        return
    mover = Mover(engine)
    try:
        yield mover
    finally:
        mover.end()
