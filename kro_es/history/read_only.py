"""SQL of a person, read-only by the database's own word: the text is never looked at."""

from __future__ import annotations

import sqlite3

from sqlalchemy import create_engine, make_url

from kro_es.errors import UserError
from kro_es.history.queries import Table

MOST_ROWS = 10_000
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def select(database: str, sql: str) -> Table:
    """At most ``MOST_ROWS`` rows. Raises UserError with the database's own complaint."""
    return _sqlite(database, sql) if database.startswith("sqlite") else _postgres(database, sql)


def _sqlite(database: str, sql: str) -> Table:
    path = make_url(database).database
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise UserError(f"{path}: {error}") from error
    try:
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(MOST_ROWS)]
    except sqlite3.Error as error:
        raise UserError(f"the database refused: {error}") from error
    finally:
        connection.close()


def _postgres(database: str, sql: str) -> Table:
    url = make_url(database).set(drivername="postgresql+psycopg")
    options = "-c default_transaction_read_only=on -c statement_timeout=60000"
    engine = create_engine(url, connect_args={"options": options})
    try:
        with engine.connect() as connection:
            found = connection.exec_driver_sql(sql)
            return [dict(row) for row in found.mappings().fetchmany(MOST_ROWS)]
    except Exception as error:
        raise UserError(f"the database refused: {error}") from error
    finally:
        engine.dispose()
