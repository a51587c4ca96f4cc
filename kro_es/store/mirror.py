"""The projections' rows in a file of this machine: passes read them without waiting for a network or a server."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, exc

from kro_es.projections.projection import Projection
from kro_es.store.engine import WRITE, open_engine
from kro_es.store.errors import MirrorError
from kro_es.store.rows import RowForm
from kro_es.store.sql import Values, marks, run, run_many
from kro_es.store.tables import projection_schema, table_name

_PREFIX = "kro-es-rows-"
_AT_ONCE = 2000

Changes = tuple[RowForm, dict[str, Values | None]]
"""Rows of one projection as they are now, by key; None: the row is gone."""


class Mirror:
    """Follows one writer commit by commit; written by the writer's thread, read by any.

    The rows are those of the database, secrets redacted as there; the file is readable by its owner only, and it is
    removed by :meth:`close`, or by the next mirror when this process is killed. Raises MirrorError for whatever is
    wrong with this machine's file, and the database's own errors for the database.
    """

    def __init__(self, projections: Sequence[Projection], folder: Path | None = None) -> None:
        self._projections = projections
        self._schema = projection_schema(projections)
        self._tables = frozenset(table_name(projection.name) for projection in projections)
        self._files: tuple[tuple[int, int], ...] = ()
        """What the file and those beside it were when it was loaded."""
        self._broken = False
        try:
            _remove_left_over(folder)
            made = Path(tempfile.mkdtemp(prefix="kro-es-new-", dir=folder))
            self._lock = _locked(made)
            # It has its name only when it is locked, so that nobody takes it for left over.
            self._directory = made.rename(made.with_name(_PREFIX + made.name.removeprefix("kro-es-new-")))
        except OSError as error:
            raise MirrorError(_worded(Path(folder or tempfile.gettempdir()), error)) from error
        self._file = self._directory / "rows.db"
        self.engine: Engine = open_engine(f"sqlite:///{self._file}")

    @property
    def lost(self) -> bool:
        """Whether it has to be loaded anew: it is damaged, or somebody removed it and it has no name any more."""
        return self._broken or self._files != self._found()

    def load(self, source: Connection) -> None:
        """Starts over with the rows the connection's transaction sees; where it is lost, in a new file."""
        if self.lost:
            self._begin_anew()
        with self._writing() as connection:
            self._schema.drop_all(connection)
            self._schema.create_all(connection)
            for projection in self._projections:
                form = RowForm(projection)
                found = source.exec_driver_sql(form.select, execution_options={"yield_per": _AT_ONCE})
                for part in found.partitions(_AT_ONCE):
                    run_many(connection, form.upsert, [tuple(row) for row in part])
            names = tuple(projection.name for projection in self._projections)
            of_these = f"WHERE name IN ({marks(len(names))})"
            rows = run(source, f"SELECT name, version, position FROM projection_checkpoints {of_these}", names).all()  # noqa: S608
            run_many(
                connection,
                "INSERT INTO projection_checkpoints (name, version, position) VALUES (?, ?, ?)",
                [tuple(row) for row in rows],
            )
        self._files, self._broken = self._found(), False

    def apply(self, changes: Iterable[Changes], position: int) -> None:
        """The rows of one commit, all at once; those of projections that are not mirrored are left out.

        After an error the same changes may be given again, unless it is :attr:`lost` by then.
        """
        if self.lost:
            raise MirrorError(f"{self._directory}: somebody removed it")
        with self._writing() as connection:
            for form, changed in changes:
                if form.table in self._tables:
                    form.write(connection, changed)
            run(connection, "UPDATE projection_checkpoints SET position = ?", (position,))

    def close(self) -> None:
        self.engine.dispose()
        os.close(self._lock)
        shutil.rmtree(self._directory, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(**WRITE) as connection:
                # Nothing here has to survive a crash: it is loaded anew.
                connection.connection.driver_connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
                with connection.begin():
                    yield connection
        except (exc.DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, exc.DBAPIError) else error
            if not isinstance(cause, sqlite3.Error):
                raise
            # room may be there again later; whatever else it is, a new file does not have it
            self._broken = getattr(cause, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL
            raise MirrorError(_worded(self._directory, cause)) from error

    def _begin_anew(self) -> None:
        """Who reads the old file meanwhile reads it to the end."""
        self.engine.dispose()
        try:
            os.close(self._lock)
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(mode=0o700)
            self._lock = _locked(self._directory)
        except OSError as error:
            raise MirrorError(_worded(self._directory, error)) from error

    def _found(self) -> tuple[tuple[int, int], ...]:
        """Identities of the files; what SQLite keeps beside the file counts as much."""
        try:
            stats = [Path(f"{self._file}{end}").stat() for end in ("", "-wal", "-shm")]
        except OSError:
            return ()
        return tuple((stat.st_dev, stat.st_ino) for stat in stats)


def _locked(directory: Path) -> int:
    """The directory itself, open and locked: programs that clean up such folders leave what is locked alone, too."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _worded(place: Path, error: Exception) -> str:
    return f"{place}: {error.strerror if isinstance(error, OSError) and error.strerror else error}"


def _remove_left_over(folder: Path | None) -> None:
    """Files of processes that were killed: nobody holds their lock."""
    for path in Path(folder or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = _locked(path)
        except OSError:
            continue
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
