"""One spelling of SQL for both databases: ``?`` marks a parameter, a statement runs without building expressions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from kro_es.api.objects import JsonValue

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine

Values = tuple[JsonValue, ...]
"""One row as the database driver takes and gives it."""


def read_connection(engine: Engine) -> Connection:
    """A connection whose next transaction sees the database as of its first read, whatever is written meanwhile."""
    connection = engine.connect()
    if engine.dialect.name == "postgresql":
        return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return connection


def run(connection: Connection, sql: str, values: Values = ()) -> CursorResult[*tuple[JsonValue, ...]]:
    return connection.exec_driver_sql(_spelled(connection.dialect.name, sql), values)


def run_many(connection: Connection, sql: str, rows: Sequence[Values]) -> None:
    """The same statement for every row; nothing at all for none."""
    if rows:
        connection.exec_driver_sql(_spelled(connection.dialect.name, sql), list(rows))


def marks(count: int) -> str:
    return ", ".join("?" * count)


@lru_cache(maxsize=512)
def _spelled(dialect: str, sql: str) -> str:
    return sql.replace("?", "%s") if dialect == "postgresql" else sql
