"""The log as questions are put to it: opened only when it is there and of this version, read and never changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import unquote

from kro_es.errors import UserError
from kro_es.store.file_reader import FileEngine
from kro_es.store.log_reader import LogReader
from kro_es.store.sql import run
from kro_es.store.views import spelled

if TYPE_CHECKING:
    from sqlalchemy import Engine

Table: TypeAlias = list[dict[str, object]]
_STORE = Path(__file__).parents[1] / "store" / "migrations" / "versions"
_CHECKOUT = Path(__file__).parents[2] / "migrations" / "versions"

_BEHIND = (
    "SELECT d.projection, h.position - c.position AS behind FROM delegated d"
    " JOIN projection_checkpoints c ON c.name = d.projection JOIN log_head h ON h.position > c.position"
    " ORDER BY d.projection"
)
_VERSION = "SELECT version_num FROM alembic_version"


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, which of their columns a narrow and a wide table show, and what a reader must know about them."""

    rows: Table
    columns: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    """What a wide table shows; empty: every column."""
    notes: tuple[str, ...] = ()


@dataclass
class History:
    """One database; ``now`` is the asker's clock in microseconds."""

    url: str
    now: int
    utc: bool = field(default=False, kw_only=True)
    """How the asker means a time without an offset: UTC, or of this place."""

    def rows(self, sql: str, values: Sequence[object] = ()) -> Table:
        with self.asked.connect() as connection:
            found = run(connection, sql, tuple(values))
            return [dict(row) for row in found.mappings()]

    def spelled(self, sql: str, values: Sequence[object] = ()) -> Table:
        """As :meth:`rows`, of a statement with the macros of the views."""
        return self.rows(spelled(self.asked.dialect.name, sql), values)

    @cached_property
    def asked(self) -> Engine:
        """What questions are put to: of a file the driver alone, which is there at once."""
        path = file_of(self.url)
        return self.engine if path is None else cast("Engine", FileEngine(path))

    @cached_property
    def engine(self) -> Engine:
        """What commands are appended by. Raises UserError for a database of another kind."""
        from kro_es.store.engine import open_engine  # noqa: PLC0415 slow to load

        try:
            return open_engine(self.url)
        except ValueError as error:
            raise UserError(str(error)) from error

    def close(self) -> None:
        """Connections that were opened to answer."""
        for name in ("engine", "asked"):
            if name in self.__dict__:
                getattr(self, name).dispose()

    @cached_property
    def log(self) -> LogReader:
        return LogReader(self.asked)

    @cached_property
    def head(self) -> int:
        return self.log.head()

    def lag(self) -> list[str]:
        """In words, which projections that processes of their own fold are behind the log; empty when none is."""
        return [
            f"{row['projection']} is {row['behind']} event(s) behind the log, which this answer may lack: kro-es db status"
            for row in self.rows(_BEHIND)
        ]

    @cached_property
    def cluster(self) -> str:
        """Id of the cluster the log was begun for."""
        return str(self.rows("SELECT cluster FROM log_head")[0]["cluster"])


def file_of(url: str) -> str | None:
    """Path of a SQLite file; None for any other database."""
    if "://" not in url:
        return url
    return unquote(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def open_history(database: str, now: int, *, utc: bool = False) -> History:
    """Raises UserError when there is no such database, SchemaError when it is of another version."""
    path = file_of(database)
    if path is not None and not Path(path).is_file():
        raise UserError(f"there is no database {path!r}: name the one the controller writes")
    history = History(database, now, utc=utc)
    try:
        _check_version(history)
    except UserError:
        history.close()
        raise
    return history


def _check_version(history: History) -> None:
    """The quick look; the migrations' own library, which is slow to load, words what is wrong."""
    folder = _STORE if _STORE.is_dir() else _CHECKOUT
    newest = max(path.name.split("_")[0] for path in folder.glob("[0-9]*_*.py"))
    stored = _stored_in_file if file_of(history.url) is not None else _stored_on_server
    if stored(history) == newest:
        return
    from kro_es.store.migrate import check  # noqa: PLC0415 see above

    check(history.engine)


def _stored_in_file(history: History) -> str | None:
    try:
        return str(history.rows(_VERSION)[0]["version_num"])
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise UserError(f"the database does not answer: {error}") from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"this is no database of kro-es: {error}") from error


def _stored_on_server(history: History) -> str | None:
    from sqlalchemy.exc import DatabaseError, OperationalError  # noqa: PLC0415 slow to load

    try:
        return str(history.rows(_VERSION)[0]["version_num"])
    except OperationalError as error:
        raise UserError(f"the database does not answer: {str(error.orig).strip()}") from error
    except DatabaseError as error:
        text = str(error.orig).strip().partition("\n")[0]
        if "permission denied" in text:
            raise UserError(f"this role may not read the log ({text}): kro-es db grant-reader ROLE") from error
        if "alembic_version" in text:
            return None
        raise UserError(f"this is no database of kro-es: {error.orig}") from error
