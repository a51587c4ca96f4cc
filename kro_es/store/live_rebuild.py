"""Projections folded anew beside the rows in use, which serve until the new ones take their place in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, MetaData, Table

from kro_es.events.types import Actor, Event, LogPruned, LogRebuilt, LogRedacted
from kro_es.projections.projection import Column, Projection, Row
from kro_es.store.delegation import kept_still
from kro_es.store.engine import WRITE
from kro_es.store.event_log import EventLog
from kro_es.store.folding import Folding
from kro_es.store.log_reader import LogReader
from kro_es.store.maintenance import STREAM, Told, maintenance_event, silent
from kro_es.store.shares import fold_shares, shares
from kro_es.store.sql import run, run_many
from kro_es.store.tables import projection_table, table_name
from kro_es.store.views import create_views, drop_views

_AT_ONCE = 5_000
"""Events folded in one transaction: on SQLite the running writer waits that long."""
_NEAR = 1_000
"""So few events behind, the rest is folded while the head of the log is held."""


class _Beside:
    """The projection under another name: a table and a checkpoint of its own."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self.name = f"{projection.name}__new"
        self.version = projection.version
        self.bodies = projection.bodies
        # Indexes are made when the table takes its place: it is filled faster without.
        self.columns = tuple(Column(column.name, column.type, column.doc) for column in projection.columns)

    def keys(self, event: Event) -> tuple[str, ...]:
        return self._projection.keys(event)

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        return self._projection.fold(key, row, event)


def live_rebuild(
    engine: Engine,
    projections: Sequence[Projection],
    *,
    actor: Actor,
    now: int,
    processes: int = 1,
    told: Told = silent,
) -> int:
    """The position at which the new rows took the place of the old ones. A controller may run meanwhile.

    Events a projection fails on are parked as ever; those parked before get their chance. With several ``processes``
    what is in the log by now is folded by all of them; the registry says which projections they can share.
    """
    beside = [_Beside(projection) for projection in projections]
    with engine.connect().execution_options(**WRITE) as connection, connection.begin():
        for item in beside:
            _discard(connection, item.name)
            projection_table(MetaData(), item).create(connection)
    reader = LogReader(engine)
    position = 0
    if processes > 1:
        position = reader.head()
        work = shares(beside, [projection.name for projection in projections], processes)
        fold_shares(engine, work, position, processes)
    folding = _begun(engine, beside, position)
    position = _near(engine, folding, position, told)

    def switch(connection: Connection, appended: Sequence[Event]) -> None:
        # First of all, so that a projector is in the middle of nothing: it takes its locks in the same order.
        kept_still(connection, [projection.name for projection in projections])
        at = position
        while at < appended[-1].position:
            rest = reader.read_with(connection, at + 1, _AT_ONCE)
            folding.fold(connection, rest)
            at = rest[-1].position
        drop_views(connection)
        for projection, item in zip(projections, beside, strict=True):
            _switch(connection, projection, item)
        create_views(connection)

    event = maintenance_event(LogRebuilt(tuple(projection.name for projection in projections)), actor, now)
    return EventLog(engine).append([event], now=now, also=switch)[0].position


def owed(engine: Engine) -> Event | None:
    """What took content out of the log last, when no rebuild has followed: whoever did both was interrupted between."""
    for event in reversed(LogReader(engine).read_stream(STREAM)):
        if isinstance(event.body, LogRebuilt):
            return None
        if isinstance(event.body, LogPruned | LogRedacted):
            return event
    return None


def _begun(engine: Engine, beside: Sequence[_Beside], position: int) -> Folding:
    """What goes on behind a position that everything up to was folded already."""
    folding = Folding(beside)
    with engine.connect().execution_options(**WRITE) as connection, connection.begin():
        rows = [(item.version, position, item.name) for item in beside]
        run_many(connection, "INSERT INTO projection_checkpoints (version, position, name) VALUES (?, ?, ?)", rows)
        folding.resume(connection, rebuild=False)
    return folding


def _near(engine: Engine, folding: Folding, position: int, told: Told) -> int:
    """A position so close to the head that the rest can be folded while everybody waits."""
    reader = LogReader(engine)
    while reader.head() - position > _NEAR:
        # Read before the transaction begins: a writer of SQLite waits for the fold only.
        events = reader.read(position + 1, _AT_ONCE)
        with engine.connect().execution_options(**WRITE) as connection, connection.begin():
            folding.fold(connection, events)
        position = events[-1].position
        told(position, reader.head())
    return position


def _discard(connection: Connection, name: str) -> None:
    """What an interrupted rebuild left."""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table_name(name)}")
    run(connection, "DELETE FROM projection_checkpoints WHERE name = ?", (name,))
    run(connection, "DELETE FROM parked WHERE projection = ?", (name,))


def _switch(connection: Connection, projection: Projection, item: _Beside) -> None:
    old, new = table_name(projection.name), table_name(item.name)
    table: Table = projection_table(MetaData(), projection)
    table.drop(connection, checkfirst=True)
    connection.exec_driver_sql(f"ALTER TABLE {new} RENAME TO {old}")
    for index in table.indexes:
        index.create(connection)
    for state, column in (("projection_checkpoints", "name"), ("parked", "projection")):
        run(connection, f"DELETE FROM {state} WHERE {column} = ?", (projection.name,))  # noqa: S608 the names are ours
        run(connection, f"UPDATE {state} SET {column} = ? WHERE {column} = ?", (projection.name, item.name))  # noqa: S608
