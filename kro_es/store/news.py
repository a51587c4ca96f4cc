"""Who follows the log is told at once when it grows, where the database can tell, and never asks more than once a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from sqlalchemy import Engine

APPENDED = "kro_es_appended"
"""PostgreSQL channel: events were committed."""
FOLDED = "kro_es_folded"
"""PostgreSQL channel: a projector process committed rows."""
TELL = {"postgresql": f" RETURNING pg_notify('{APPENDED}', '')"}
"""Behind the statement that moves the head: whoever waits hears of it when, and only if, the transaction commits."""
PATIENCE = 1.0
"""Seconds after which a reader looks unasked: two processes on a SQLite file have no other way."""


def news(engine: Engine, *channels: str) -> Iterator[None]:
    """Gives at once, then whenever there may be something new, after ``PATIENCE`` at the latest.

    What is committed between two of its answers is there at the second one. Within one process the writer tells its
    own readers (``LogWriter.on_commit``); this is for others. Raises ConnectionError when the server goes away.
    """
    if engine.dialect.name == "postgresql":
        yield from _told(engine, channels or (APPENDED,))
    while True:
        yield
        time.sleep(PATIENCE)


def _told(engine: Engine, channels: tuple[str, ...]) -> Iterator[None]:
    import psycopg  # noqa: PLC0415 a program that asks a file does not load it

    pooled = engine.raw_connection()
    driver = cast("Any", pooled.driver_connection)
    # A session of its own: what it listens to must not stay with the pool.
    pooled.detach()
    try:
        driver.set_autocommit(True)
        for channel in channels:
            driver.execute(f"LISTEN {channel}")
        while True:
            yield
            # Many commits at once are one piece of news.
            for _ in driver.notifies(timeout=PATIENCE, stop_after=1):
                pass
    except psycopg.Error as error:
        raise ConnectionError(str(error)) from error
    finally:
        pooled.close()
