"""Projections folded from zero into another database; the log itself is never touched."""

from __future__ import annotations

import heapq
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from kro_es.projections.projection import Projection
from kro_es.store.engine import WRITE, open_engine
from kro_es.store.folding import Folding
from kro_es.store.log_reader import LogReader
from kro_es.store.maintenance import Told, silent
from kro_es.store.rows import RowForm
from kro_es.store.sql import Values, read_connection, rows_by_page, run
from kro_es.store.tables import projection_schema

_AT_ONCE, _COMPARED_AT_ONCE = 2_000, 1_000
_WORDED = 100
"""Differences of one projection that are told."""
_SIDES = ("first", "second")


def rebuild(
    engine: Engine, projections: Sequence[Projection], into: Engine, *, until: int | None = None, told: Told = silent
) -> int:
    """Fills ``into`` with the rows the log gives; returns the position reached: ``until``, or the head at the start."""
    log = LogReader(engine)
    goal = log.head() if until is None else min(until, log.head())
    metadata = projection_schema(projections)
    with into.connect().execution_options(**WRITE) as connection, connection.begin():
        metadata.drop_all(connection)
        metadata.create_all(connection)
    folding = Folding(projections)
    position = 0
    while position < goal:
        events = [event for event in log.read(position + 1, _AT_ONCE) if event.position <= goal]
        with into.connect().execution_options(**WRITE) as connection, connection.begin():
            if position == 0:
                folding.resume(connection, rebuild=True)
            folding.fold(connection, events)
        # Behind the last one there may be pruned places.
        position = events[-1].position if events and events[-1].position < goal else goal
        told(position, goal)
    return goal


def compare(engine: Engine, other: Engine, projections: Sequence[Projection]) -> list[str]:
    """How the projections of two databases differ, in words; empty when they are equal byte for byte."""
    with engine.connect() as mine, mine.begin(), other.connect() as theirs, theirs.begin():
        return _compare(mine, theirs, projections)


def compare_with_log(engine: Engine, projections: Sequence[Projection], told: Told = silent) -> list[str]:
    """How the projections differ from what the log gives, as of one moment; a controller may run meanwhile.

    What the log gives is folded into a file, beside the database's own where it is one: it takes as much space again.
    Each is compared where it is: one that a projector process folds may be behind the others.
    """
    differences: list[str] = []
    with read_connection(engine) as mine, mine.begin():
        found = run(mine, "SELECT name, position FROM projection_checkpoints")
        positions = {str(name): int(position) for name, position in found}
        places: dict[int, list[Projection]] = {}
        for projection in projections:
            places.setdefault(positions.get(projection.name, 0), []).append(projection)
        for position, there in sorted(places.items()):
            with _file(engine) as fresh:
                rebuild(engine, there, fresh, until=position, told=told)
                with fresh.connect() as theirs, theirs.begin():
                    differences += _compare(mine, theirs, there)
    return differences


@contextmanager
def _file(engine: Engine) -> Iterator[Engine]:
    """A database for the time being: nobody waits until it is safe on the disk."""
    own = engine.url.database if engine.dialect.name == "sqlite" else None
    beside = Path(own).parent if own and own != ":memory:" and os.access(Path(own).parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=beside, prefix="kro-es-compare-") as folder:
        fresh = open_engine(f"sqlite:///{folder}/rows.db")
        event.listen(fresh, "connect", _careless)
        try:
            yield fresh
        finally:
            fresh.dispose()


def _careless(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF"):
        cursor.execute(pragma)
    cursor.close()


def _compare(mine: Connection, theirs: Connection, projections: Sequence[Projection]) -> list[str]:
    differences: list[str] = []
    for projection in projections:
        found = _differences(mine, theirs, projection)
        differences += itertools.islice(found, _WORDED)
        if next(found, None):
            differences.append(f"{projection.name}: more rows differ")
    names = {projection.name for projection in projections}
    parked = sorted(item for item in _parked(mine) ^ _parked(theirs) if item[1] in names)
    return differences + [f"parked {item}" for item in parked]


def _differences(mine: Connection, theirs: Connection, projection: Projection) -> Iterator[str]:
    """Row by row, both in the order of their keys."""
    form = RowForm(projection)
    names = form.listed.split(", ")
    sides = [_labelled(_rows(connection, form), side) for side, connection in enumerate((mine, theirs))]
    for key, group in itertools.groupby(heapq.merge(*sides, key=lambda item: item[0][0]), lambda item: item[0][0]):
        found = {side: row for row, side in group}
        if len(found) < len(_SIDES):
            yield f"{projection.name} {key!r}: only in the {_SIDES[next(iter(found))]}"
        elif found[0] != found[1]:
            how = ", ".join(name for name, one, two in zip(names, found[0], found[1], strict=True) if one != two)
            yield f"{projection.name} {key!r}: differs in {how}"


def _labelled(rows: Iterator[Values], side: int) -> Iterator[tuple[Values, int]]:
    return ((row, side) for row in rows)


def _rows(connection: Connection, form: RowForm) -> Iterator[Values]:
    """Rows as stored, so that texts of JSON are compared and not values Python takes for equal; a page at a time."""
    sql = f"{form.select} WHERE key > ? ORDER BY key LIMIT ?"
    return rows_by_page(connection, sql, _COMPARED_AT_ONCE, after="")


def _parked(connection: Connection) -> set[tuple[int, str]]:
    return {(row[0], row[1]) for row in run(connection, "SELECT position, projection FROM parked")}
