"""One spelling of SQL for both databases: ``?`` marks a parameter, a statement goes to the driver as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NoReturn, cast

from kro_es.api.objects import JsonValue

if TYPE_CHECKING:
    from psycopg import Connection as PsycopgConnection
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPICursor

Values = tuple[JsonValue, ...]
"""One row as the database driver takes and gives it."""
COPIED = 20
"""Rows from which on COPY pays; it takes a trip of its own."""
Fail = Callable[[Exception], NoReturn]


def read_connection(engine: Engine) -> Connection:
    """A connection whose next transaction sees the database as of its first read, whatever is written meanwhile."""
    connection = engine.connect()
    if engine.dialect.name == "postgresql":
        return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return connection


def _as_it_is(error: Exception) -> NoReturn:
    raise error


class Rows:
    """An answer, as far as it was read."""

    def __init__(self, cursor: DBAPICursor, fail: Fail = _as_it_is) -> None:
        self._cursor = cursor
        self._fail = fail

    def __iter__(self) -> Iterator[Values]:
        while (row := self._fetched(self._cursor.fetchone)) is not None:
            yield row

    def all(self) -> list[Values]:
        return cast("list[Values]", self._fetched(self._cursor.fetchall))

    def first(self) -> Values | None:
        """The first row; the others are dropped."""
        found = cast("Values | None", self._fetched(self._cursor.fetchone))
        self._cursor.close()
        return found

    def one(self) -> Values:
        """Raises LookupError when there is none."""
        found = self.first()
        if found is None:
            raise LookupError("no row")
        return found

    def scalar(self) -> JsonValue:
        found = self.first()
        return found[0] if found else None

    def scalar_one(self) -> JsonValue:
        return self.one()[0]

    def mappings(self) -> Iterator[dict[str, JsonValue]]:
        names = [column[0] for column in self._cursor.description or ()]
        return (dict(zip(names, row, strict=True)) for row in self)

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def _fetched(self, fetch: Callable[[], JsonValue]) -> JsonValue:
        try:
            return fetch()
        except Exception as error:  # noqa: BLE001 all are raised again
            self._fail(error)


def run(connection: Connection, sql: str, values: Values = ()) -> Rows:
    """One statement; raises SQLAlchemy's errors."""
    spelled = _spelled(connection.dialect.name, sql)
    if not connection.in_transaction():
        return cast("Rows", connection.exec_driver_sql(spelled, values))
    return direct(connection, spelled, values)


def pages(connection: Connection, sql: str, at_once: int, after: JsonValue = 0) -> Iterator[list[Values]]:
    """Rows by their first column, so many at once: ``sql`` asks for those after ? in its order, LIMIT ?."""
    while rows := run(connection, sql, (after, at_once)).all():
        yield [tuple(row) for row in rows]
        after = rows[-1][0]


def rows_by_page(connection: Connection, sql: str, at_once: int, after: JsonValue = 0) -> Iterator[Values]:
    """As :func:`pages`, row by row."""
    return chain.from_iterable(pages(connection, sql, at_once, after))


def direct(connection: Connection, spelled: str, values: Values = ()) -> Rows:
    """As :func:`run`, spelled for the database, within a transaction or to begin one.

    What SQLAlchemy does around a statement costs more than most statements do.
    """
    cursor = connection.connection.cursor()
    try:
        connection.dialect.do_execute(cursor, spelled, values)
    except Exception as error:  # noqa: BLE001 all are raised again
        _raise(connection, spelled, error)
    return Rows(cursor, lambda error: _raise(connection, spelled, error))


def run_many(connection: Connection, sql: str, rows: Sequence[Values]) -> None:
    """The same statement for every row; nothing at all for none."""
    if not rows:
        return
    spelled = _spelled(connection.dialect.name, sql)
    if not connection.in_transaction():
        connection.exec_driver_sql(spelled, list(rows))
        return
    cursor = connection.connection.cursor()
    try:
        if len(rows) == 1:
            connection.dialect.do_execute(cursor, spelled, rows[0])
        else:
            connection.dialect.do_executemany(cursor, spelled, rows)
        cursor.close()
    except Exception as error:  # noqa: BLE001 all are raised again
        _raise(connection, spelled, error)


@contextmanager
def sent_at_once(connection: Connection) -> Iterator[None]:
    """Statements that are not asked for rows go out together, where the database can (PostgreSQL): one trip for all.

    Within a transaction; what one of them complains of is raised by a later one, or at the end at the latest.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    driver = cast("PsycopgConnection", connection.connection.driver_connection)
    try:
        with driver.pipeline():
            yield
    except Exception as error:  # noqa: BLE001 all are raised again
        _raise(connection, "", error)


def insert_many(connection: Connection, table: str, columns: str, rows: Sequence[Values]) -> None:
    """Rows into a table, within a transaction; by COPY where the database has it and there are enough for it to pay."""
    if connection.dialect.name != "postgresql" or len(rows) < COPIED:
        listed = marks(columns.count(",") + 1)
        run_many(connection, f"INSERT INTO {table} ({columns}) VALUES ({listed})", rows)  # noqa: S608 the names are ours
        return
    sql = f"COPY {table} ({columns}) FROM STDIN"
    driver = cast("PsycopgConnection", connection.connection.driver_connection)
    try:
        with driver.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)
    except Exception as error:  # noqa: BLE001 all are raised again
        _raise(connection, sql, error)


def marks(count: int) -> str:
    return ", ".join("?" * count)


@lru_cache(maxsize=512)
def _spelled(dialect: str, sql: str) -> str:
    return sql.replace("?", "%s") if dialect == "postgresql" else sql


def _raise(connection: Connection, sql: str, error: Exception) -> NoReturn:
    """What SQLAlchemy makes of a driver's error; a connection that is gone is not used again."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 who only reads a file never loads it

    dialect = connection.dialect
    base = dialect.loaded_dbapi.Error
    if not isinstance(error, base):
        raise error
    gone = dialect.is_disconnect(error, connection.connection.driver_connection, None)
    if gone:
        connection.invalidate(error)
    raise DBAPIError.instance(
        sql, None, error, base, hide_parameters=True, connection_invalidated=gone, dialect=dialect
    ) from error
