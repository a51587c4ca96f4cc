"""A database by URL, set up so that what is committed survives a crash and a reader sees one moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from kro_es.store.sql import direct

if TYPE_CHECKING:
    from psycopg import Connection as PsycopgConnection

WRITE = {"kro_es_write": True}
"""Execution options of a connection that is going to write."""
_POSTGRESQL = {
    # A server that went away without a word is noticed in seconds, and a writer that stopped in the middle of a
    # transaction does not keep the head of the log from its successor.
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # whatever the database is in, or PGCLIENTENCODING says
    "client_encoding": "utf8",
}
_SERVER_OPTIONS = "-c idle_in_transaction_session_timeout=20000"
_PRAGMAS = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 10000",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA cache_size = -16384",
)


def open_engine(url: str) -> Engine:
    """``postgresql://…``, ``sqlite:///path``, ``sqlite://`` (memory) or a bare path (SQLite); connects lazily.

    The values of a statement are never part of an error's text.
    """
    parsed = make_url(url) if "://" in url else URL.create("sqlite", database=url)
    if parsed.drivername == "postgres":
        # the other name libpq knows it by
        parsed = parsed.set(drivername="postgresql")
    if parsed.get_backend_name() == "postgresql":
        address = parsed.set(drivername="postgresql+psycopg")
        given = {name: value for name, value in _POSTGRESQL.items() if name not in parsed.query}
        given["options"] = f"{_SERVER_OPTIONS} {session_settings(parsed)}"
        engine = create_engine(address, pool_pre_ping=True, hide_parameters=True, connect_args=given)
        event.listen(engine, "connect", _set_up_postgresql)
        return engine
    if parsed.get_backend_name() != "sqlite":
        raise ValueError(f"unsupported database {parsed.get_backend_name()!r}: use sqlite or postgresql")
    if parsed.database in (None, "", ":memory:"):
        # A database in memory lives as long as its one connection.
        engine = create_engine(
            parsed, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
        )
    else:
        engine = create_engine(parsed, hide_parameters=True)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def session_settings(url: URL) -> str:
    """What the URL, or PGOPTIONS, sets for sessions; who sets more has to say both: the server takes the last word."""
    theirs = url.query.get("options") or os.environ.get("PGOPTIONS") or ""
    return theirs if isinstance(theirs, str) else " ".join(theirs)


def in_memory(engine: Engine) -> bool:
    """Whether the database is gone with its last connection."""
    return engine.dialect.name == "sqlite" and engine.url.database in (None, "", ":memory:")


def _set_up_postgresql(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Behind a pooler the next transaction may be another session's, where a prepared statement's name means another
    statement, or none: then none is prepared."""
    driver = cast("PsycopgConnection", connection)
    row = driver.execute("SELECT pg_backend_pid()").fetchone()
    driver.rollback()
    if row is None or row[0] != driver.info.backend_pid:
        driver.prepare_threshold = None


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver's own transaction handling would begin late and deferred; ours is in _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("kro_es_write")
    direct(connection, "BEGIN IMMEDIATE" if writes else "BEGIN")
