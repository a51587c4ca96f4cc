"""SQL of a person, read-only by the database's own word: the text is never looked at."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from kro_es.errors import UserError
from kro_es.history.source import Answer, Table, file_of

MOST_ROWS = 10_000
SECONDS = 60.0
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_STEPS = 20_000
"""Virtual machine instructions between two looks at the clock: some milliseconds."""


def select(database: str, sql: str, *, limit: int = MOST_ROWS, seconds: float = SECONDS) -> Answer:
    """One SELECT; says so when rows beyond the limit were left out. Raises UserError with the database's complaint."""
    ask = _sqlite if file_of(database) is not None else _postgres
    rows = ask(database, sql, limit + 1, seconds)
    notes = (f"only the first {limit} rows are shown; raise --limit or narrow the query",) if len(rows) > limit else ()
    return Answer(rows[:limit], notes=notes)


def explain(database: str, sql: str) -> Answer:
    """How the database would answer; nothing is run."""
    if file_of(database) is not None:
        rows = _sqlite(database, f"EXPLAIN QUERY PLAN {sql}", MOST_ROWS, SECONDS)
        return Answer([{"plan": "  " * _depth(row, rows) + str(row["detail"])} for row in rows])
    found = _with_postgres(database, SECONDS, _explained(sql))
    return Answer(found)


def _explained(sql: str) -> Callable[[Any], Table]:
    def ask(cursor: Any) -> Table:
        with cursor.connection.pipeline():
            return [{"plan": row[0]} for row in cursor.execute(f"EXPLAIN {sql}").fetchall()]

    return ask


def _depth(row: dict[str, object], rows: Table) -> int:
    parents = {one["id"]: one["parent"] for one in rows}
    depth, parent = 0, row["parent"]
    while parent in parents:
        depth, parent = depth + 1, parents[parent]
    return depth


def _sqlite(database: str, sql: str, limit: int, seconds: float) -> Table:
    path = str(file_of(database))
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)
    except sqlite3.OperationalError as error:
        raise UserError(f"{path}: {error}") from error
    deadline = time.monotonic() + seconds
    try:
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(limit)]
    except (sqlite3.DatabaseError, sqlite3.Warning) as error:
        late = time.monotonic() > deadline
        raise UserError(f"no answer within {seconds:g} s" if late else f"the database refused: {error}") from error
    finally:
        connection.close()


def _postgres(database: str, sql: str, limit: int, seconds: float) -> Table:
    """A cursor can be declared for a query only, and the protocol of a pipeline takes one statement only."""

    def ask(cursor: Any) -> Table:
        with cursor.connection.pipeline():
            cursor.execute(f"DECLARE asked NO SCROLL CURSOR FOR {sql}")
        cursor.execute(f"FETCH FORWARD {limit} FROM asked")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return _with_postgres(database, seconds, ask)


def _with_postgres(database: str, seconds: float, ask: Callable[[Any], Table]) -> Table:
    import psycopg  # noqa: PLC0415 loaded only where it is needed
    from sqlalchemy import make_url  # noqa: PLC0415 likewise

    from kro_es.store.engine import session_settings  # noqa: PLC0415 likewise

    url = make_url(database).set(drivername="postgresql+psycopg")
    ours = f"{session_settings(url)} -c default_transaction_read_only=on -c statement_timeout={int(seconds * 1000)}"
    # libpq reads URLs more strictly than everything else here does
    _, place = url.get_dialect()().create_connect_args(url)
    try:
        with (
            psycopg.connect(**{**place, "options": ours, "client_encoding": "utf8"}) as connection,
            connection.cursor() as cursor,
        ):
            # after a first query the transaction cannot be made one that writes
            cursor.execute("SELECT 1")
            return ask(cursor)
    except psycopg.errors.QueryCanceled as error:
        raise UserError(f"no answer within {seconds:g} s") from error
    except psycopg.DatabaseError as error:
        raise UserError(f"the database refused: {error}") from error
