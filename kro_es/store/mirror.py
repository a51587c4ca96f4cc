"""The projections' rows in a file of this machine: passes read them without waiting for a network or a server."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine

from kro_es.projections.projection import Projection
from kro_es.store.engine import WRITE, open_engine
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
    removed by :meth:`close`, or by the next mirror when this process is killed.
    """

    def __init__(self, projections: Sequence[Projection], folder: Path | None = None) -> None:
        _remove_left_over(folder)
        made = Path(tempfile.mkdtemp(prefix="kro-es-new-", dir=folder))
        self._lock = (made / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # It has its name only when it is locked, so that nobody takes it for left over.
        self._directory = made.rename(made.with_name(_PREFIX + made.name.removeprefix("kro-es-new-")))
        self.engine: Engine = open_engine(f"sqlite:///{self._directory}/rows.db")
        self._projections = projections
        self._schema = projection_schema(projections)
        self._tables = frozenset(table_name(projection.name) for projection in projections)

    def load(self, source: Connection) -> None:
        """Starts over with the rows the connection's transaction sees."""
        with self._writing() as connection, connection.begin():
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

    def apply(self, changes: Iterable[Changes], position: int) -> None:
        """The rows of one commit, all at once; those of projections that are not mirrored are left out."""
        with self._writing() as connection, connection.begin():
            for form, changed in changes:
                if form.table in self._tables:
                    form.write(connection, changed)
            run(connection, "UPDATE projection_checkpoints SET position = ?", (position,))

    def close(self) -> None:
        self.engine.dispose()
        self._lock.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _writing(self) -> Connection:
        connection = self.engine.connect().execution_options(**WRITE)
        # Nothing here has to survive a crash: it is loaded anew.
        connection.connection.driver_connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
        return connection


def _remove_left_over(folder: Path | None) -> None:
    """Files of processes that were killed: nobody holds their lock."""
    for path in Path(folder or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            with (path / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
