"""What was deleted is overwritten in the files of the database, as far as they are within reach."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine

from kro_es.errors import UserError
from kro_es.events.types import LogCopied
from kro_es.store.packing import Packer
from kro_es.store.sql import read_connection, run
from kro_es.store.stored import SELECT, Decoder

_UNKNOWN = {
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


def not_reached(engine: Engine) -> list[str]:
    """Where what was deleted may live on: the copies the log knows of, and what no program can know."""
    with read_connection(engine) as connection, connection.begin():
        rows = run(connection, f"{SELECT} WHERE t.name = ? ORDER BY e.position", (LogCopied.TYPE,)).all()
        events = list(Decoder(Packer.load(connection)).events(connection, [tuple(row) for row in rows]))
    copies = [f"{event.body.form} {event.body.to}" for event in events if isinstance(event.body, LogCopied)]
    return [*copies, *_UNKNOWN[engine.dialect.name]]
