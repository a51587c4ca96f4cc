"""The log as questions are put to it: opened only when it is there and of this version, read and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Engine, make_url

from kro_es.errors import UserError
from kro_es.store.engine import open_engine
from kro_es.store.log_reader import LogReader
from kro_es.store.sql import run
from kro_es.store.views import spelled

Table: TypeAlias = list[dict[str, object]]
_STORE = Path(__file__).parents[1] / "store" / "migrations" / "versions"
_CHECKOUT = Path(__file__).parents[2] / "migrations" / "versions"


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

    engine: Engine
    now: int
    _readers: dict[str, LogReader] = field(default_factory=dict)

    def rows(self, sql: str, values: Sequence[object] = ()) -> Table:
        with self.engine.connect() as connection:
            found = run(connection, sql, tuple(values))
            return [dict(row) for row in found.mappings()]

    def spelled(self, sql: str, values: Sequence[object] = ()) -> Table:
        """As :meth:`rows`, of a statement with the macros of the views."""
        return self.rows(spelled(self.engine.dialect.name, sql), values)

    @cached_property
    def log(self) -> LogReader:
        return LogReader(self.engine)

    @cached_property
    def head(self) -> int:
        return self.log.head()

    @cached_property
    def cluster(self) -> str:
        """Id of the cluster the log was begun for."""
        return str(self.rows("SELECT cluster FROM log_head")[0]["cluster"])


def open_history(database: str, now: int) -> History:
    """Raises UserError when there is no such database, SchemaError when it is of another version."""
    url = make_url(database) if "://" in database else make_url(f"sqlite:///{database}")
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise UserError(f"there is no database {url.database or database!r}: name the one the controller writes")
    try:
        engine = open_engine(database)
    except ValueError as error:
        raise UserError(str(error)) from error
    _check_version(engine)
    return History(engine, now)


def _check_version(engine: Engine) -> None:
    """The quick look; the migrations' own library, which is slow to load, words what is wrong."""
    folder = _STORE if _STORE.is_dir() else _CHECKOUT
    newest = max(path.name.split("_")[0] for path in folder.glob("[0-9]*_*.py"))
    if _stored_version(engine) == newest:
        return
    from kro_es.store.migrate import check  # noqa: PLC0415 see above

    check(engine)


def _stored_version(engine: Engine) -> str | None:
    from sqlalchemy.exc import DatabaseError, OperationalError  # noqa: PLC0415 part of what is loaded already

    try:
        with engine.connect() as connection:
            return str(run(connection, "SELECT version_num FROM alembic_version").scalar())
    except OperationalError as error:
        if engine.dialect.name == "sqlite" and "no such table" in str(error.orig):
            return None
        raise UserError(f"the database does not answer: {str(error.orig).strip()}") from error
    except DatabaseError as error:
        if "alembic_version" in str(error.orig):
            return None
        raise UserError(f"this is no database of kro-es: {error.orig}") from error
