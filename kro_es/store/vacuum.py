"""What was deleted is overwritten in the files of the database, as far as they are within reach."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine

from kro_es.errors import UserError

_REACHED = {
    "sqlite": ("copies of the file and of its -wal, backups, snapshots of the volume",),
    "postgresql": ("the server's write-ahead log and its archive", "replicas, base backups, dumps, snapshots"),
}


def vacuum(engine: Engine) -> None:
    """Raises UserError when somebody else uses the database for too long."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (FULL)")
        return
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("VACUUM")
        # the log of the vacuum holds the new pages, and those before it the old ones
        busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise UserError(f"the file cannot be rewritten now ({error}): repeat when nobody reads it") from error
    finally:
        raw.close()
    if busy:
        raise UserError("another program reads the database: old pages are still in its -wal; repeat when it is done")


def not_reached(engine: Engine) -> tuple[str, ...]:
    """Where what was deleted may live on."""
    return _REACHED[engine.dialect.name]
