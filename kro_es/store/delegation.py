"""A projection is folded by the writer of the log or by processes of their own, never by both: the database says by whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from sqlalchemy import Connection, Engine

from kro_es.api.objects import JsonValue
from kro_es.projections.projection import Projection
from kro_es.store.sql import marks, read_connection, run, run_many

_LOCKS = crc32(b"kro-es projection")
"""First half of the key of the advisory locks; the second is the projection."""
_HOLDERS = (
    "SELECT CAST(l.objid AS BIGINT), a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND CAST(l.classid AS BIGINT) = ?"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def delegate(connection: Connection, own: Sequence[Projection], left: Sequence[Projection]) -> None:
    """From the end of this transaction on the writer folds the first, projector processes the second.

    Waits for a projector in the middle of a stretch: what one began is there before another goes on.
    """
    run_many(connection, "DELETE FROM delegated WHERE projection = ?", [(projection.name,) for projection in own])
    rows = [(projection.name,) for projection in left]
    run_many(connection, "INSERT INTO delegated (projection) VALUES (?) ON CONFLICT DO NOTHING", rows)


def kept_still(connection: Connection, names: Sequence[str]) -> set[str]:
    """Which of them are delegated; neither that nor their rows change until the transaction ends (PostgreSQL)."""
    lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    sql = f"SELECT projection FROM delegated WHERE projection IN ({marks(len(names))}) ORDER BY projection{lock}"  # noqa: S608
    return {str(name) for (name,) in run(connection, sql, tuple(names))}


def claim(connection: Connection, name: str) -> bool:
    """Whether this session is the one that may fold the projection, until it ends; nobody has to give it back."""
    return bool(run(connection, "SELECT pg_try_advisory_lock(?, ?)", (_signed(_LOCKS), _signed(_key(name)))).scalar())


@dataclass(frozen=True, slots=True)
class Standing:
    """One projection as the database has it."""

    name: str
    version: int
    position: int
    behind: int
    """Events of the log it has not folded."""
    folded_by: str
    """``the controller``, what a projector process calls itself, or ``nobody`` while none runs."""
    parked: int
    """Events it failed on."""


def standings(engine: Engine, projections: Sequence[Projection]) -> list[Standing]:
    """How every projection stands, as of one moment."""
    with read_connection(engine) as connection, connection.begin():
        head = int(run(connection, "SELECT position FROM log_head").scalar_one())
        found = {row[0]: row for row in run(connection, "SELECT name, version, position FROM projection_checkpoints")}
        parked = _pairs(run(connection, "SELECT projection, count(*) FROM parked GROUP BY projection"))
        apart = {name for (name,) in run(connection, "SELECT projection FROM delegated")}
        postgresql = connection.dialect.name == "postgresql"
        holders = _pairs(run(connection, _HOLDERS, (_LOCKS,))) if postgresql else {}
    result = []
    for name in (projection.name for projection in projections):
        _, version, position = found.get(name, (name, 0, 0))
        by = str(holders.get(_key(name), "nobody")) if name in apart else "the controller"
        result.append(Standing(name, version, position, head - position, by, int(parked.get(name, 0))))
    return result


def _pairs(rows: Iterable[Sequence[JsonValue]]) -> dict[JsonValue, JsonValue]:
    return {row[0]: row[1] for row in rows}


def _key(name: str) -> int:
    return crc32(name.encode())


def _signed(number: int) -> int:
    return number - 2**32 if number >= 2**31 else number
