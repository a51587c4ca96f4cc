"""The statements of real appends, played again through the store's way and through the driver alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event

from kro_es.store.engine import WRITE


@dataclass
class Recorded:
    """Transactions of an append: statements with their parameters; ``url`` is of a database for the replay."""

    engine: Engine
    transactions: list[list[tuple[str, Any, bool]]] = field(default_factory=list)


def recorded(engine: Engine, act: Callable[[], object]) -> Recorded:
    found = Recorded(engine)

    def begin(_: object) -> None:
        found.transactions.append([])

    def execute(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool) -> None:
        if statement.startswith("INSERT INTO events"):
            found.transactions[-1].append((statement, parameters, many))

    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", execute)
    try:
        act()
    finally:
        event.remove(engine, "begin", begin)
        event.remove(engine, "before_cursor_execute", execute)
    found.transactions = [one for one in found.transactions if one]
    return found


def replayed(recorded: Recorded, *, raw: bool) -> float:
    """Seconds for the same rows in the same batches, in a table of their own that is emptied before."""
    engine = recorded.engine
    with engine.connect().execution_options(**WRITE) as connection, connection.begin():
        connection.exec_driver_sql("DROP TABLE IF EXISTS replayed")
        connection.exec_driver_sql("CREATE TABLE replayed AS SELECT * FROM events WHERE position < 0")
        connection.exec_driver_sql("CREATE UNIQUE INDEX replayed_position ON replayed (position)")
        connection.exec_driver_sql("CREATE UNIQUE INDEX replayed_place ON replayed (stream_id, stream_version)")
    return _by_driver(recorded) if raw else _by_store(recorded)


def _by_store(recorded: Recorded) -> float:
    began = time.perf_counter()
    for transaction in recorded.transactions:
        with recorded.engine.connect().execution_options(**WRITE) as connection, connection.begin():
            for statement, parameters, _ in transaction:
                connection.exec_driver_sql(_elsewhere(statement), list(parameters))
    return time.perf_counter() - began


def _by_driver(recorded: Recorded) -> float:
    raw = recorded.engine.raw_connection()
    cursor = raw.cursor()
    sqlite = recorded.engine.dialect.name == "sqlite"
    began = time.perf_counter()
    for transaction in recorded.transactions:
        if sqlite:
            cursor.execute("BEGIN IMMEDIATE")
        for statement, parameters, _ in transaction:
            cursor.executemany(_elsewhere(statement), parameters)
        cursor.execute("COMMIT") if sqlite else raw.commit()
    taken = time.perf_counter() - began
    raw.close()
    return taken


def _elsewhere(statement: str) -> str:
    return statement.replace("INTO events", "INTO replayed", 1)
