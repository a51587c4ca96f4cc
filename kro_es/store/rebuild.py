"""Projections folded from zero into another database; the log itself is never touched."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from kro_es.projections.projection import Projection
from kro_es.store.engine import WRITE, open_engine
from kro_es.store.folding import Folding
from kro_es.store.log_reader import LogReader
from kro_es.store.rows import RowForm
from kro_es.store.sql import read_connection, run
from kro_es.store.tables import projection_schema

_AT_ONCE = 20_000


def rebuild(engine: Engine, projections: Sequence[Projection], into: Engine, *, until: int | None = None) -> int:
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
    return goal


def compare(engine: Engine, other: Engine, projections: Sequence[Projection]) -> list[str]:
    """How the projections of two databases differ, in words; empty when they are equal byte for byte."""
    with engine.connect() as mine, mine.begin(), other.connect() as theirs, theirs.begin():
        return _compare(mine, theirs, projections)


def compare_with_log(engine: Engine, projections: Sequence[Projection]) -> list[str]:
    """How the projections differ from what the log gives, as of one moment; a controller may run meanwhile.

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
            fresh = open_engine("sqlite://")
            rebuild(engine, there, fresh, until=position)
            with fresh.connect() as theirs, theirs.begin():
                differences += _compare(mine, theirs, there)
            fresh.dispose()
    return differences


def _compare(mine: Connection, theirs: Connection, projections: Sequence[Projection]) -> list[str]:
    differences: list[str] = []
    for projection in projections:
        rows, others = _rows(mine, projection), _rows(theirs, projection)
        for key in sorted(rows.keys() | others.keys()):
            if rows.get(key) != others.get(key):
                differences.append(f"{projection.name} {key!r}: {_how(rows.get(key), others.get(key))}")
    names = {projection.name for projection in projections}
    parked = sorted(item for item in _parked(mine) ^ _parked(theirs) if item[1] in names)
    return differences + [f"parked {item}" for item in parked]


def _rows(connection: Connection, projection: Projection) -> dict[str, dict[str, object]]:
    """Rows as stored, so that texts of JSON are compared and not values Python takes for equal."""
    form = RowForm(projection)
    names = form.listed.split(", ")
    return {row[0]: dict(zip(names, row, strict=True)) for row in run(connection, form.select)}


def _parked(connection: Connection) -> set[tuple[int, str]]:
    return {(row[0], row[1]) for row in run(connection, "SELECT position, projection FROM parked")}


def _how(mine: dict[str, object] | None, theirs: dict[str, object] | None) -> str:
    if mine is None:
        return "only in the second"
    if theirs is None:
        return "only in the first"
    return "differs in " + ", ".join(name for name in mine if mine[name] != theirs[name])
