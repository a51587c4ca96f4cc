"""A copy of the database while it is written, which nobody acts on before it is adopted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Engine

from kro_es.errors import UserError
from kro_es.events.types import Actor, Event, LogAdopted
from kro_es.store.engine import WRITE, open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.maintenance import Told, maintenance_event, silent
from kro_es.store.seal import seal, sealed, unseal
from kro_es.store.verify import VerifyReport, verify

_PAGES = 1000
"""Copied at once; the writer goes on in between."""


def backup(engine: Engine, path: Path, *, now: int, told: Told = silent, verifying: Told = silent) -> VerifyReport:
    """Copies a SQLite database into a new, sealed and verified one.

    ``told`` hears of pages, ``verifying`` of events. Raises UserError for another database, or when there is a file of
    that name. The redaction key is not part of it.
    """
    if engine.dialect.name != "sqlite":
        raise UserError("a PostgreSQL is backed up with its own tools (pg_dump), or as a file with kro-es db export")
    if path.exists():
        raise UserError(f"{path} is there already")
    # it has its name only when it is sealed
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    raw = engine.raw_connection()
    copy = sqlite3.connect(partial)
    try:
        source = raw.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy, pages=_PAGES, progress=lambda _, left, of: told(of - left, of))
    finally:
        copy.close()
        raw.close()
    copied = open_engine(f"sqlite:///{partial}")
    try:
        with copied.connect().execution_options(**WRITE) as connection, connection.begin():
            seal(connection, f"backup {path.name}", now)
        report = verify(copied, verifying)
    finally:
        copied.dispose()
    partial.rename(path)
    return report


def adopt(engine: Engine, *, actor: Actor, now: int) -> Event:
    """Makes a copy a log of its own, with an event that says so; raises UserError when it is one already."""
    with engine.connect() as connection:
        reason = sealed(connection)
    if reason is None:
        raise UserError("this log is no copy: there is nothing to adopt")
    event = maintenance_event(LogAdopted(reason), actor, now)
    return EventLog(engine).append([event], now=now, also=lambda connection, _: unseal(connection))[0]
