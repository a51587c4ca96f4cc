"""Dict to disk: observations appended to an empty SQLite log, beside a raw driver loop over rows of the same size."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

from kro_es.events.types import Actor, NewEvent, ObjectObserved, Subject
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from tests.benchmarks.figures import Figure

EVENTS, BATCH, OBJECTS = 20_000, 500, 400


def _event(number: int) -> NewEvent:
    name = f"object-{number % OBJECTS}"
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "bench", "uid": name, "resourceVersion": str(number + 1)},
        "spec": {
            "replicas": 3,
            "template": {"spec": {"containers": [{"name": "c", "image": "i" * 40, "args": ["x" * 900]}]}},
        },
        "status": {"observedGeneration": number // OBJECTS, "availableReplicas": number % 3, "note": "y" * 700},
    }
    return NewEvent(
        f"object/apps/Deployment/bench/{name}",
        ObjectObserved(obj),
        Subject("apps", "Deployment", "bench", name, name),
        Actor("bench", "manager"),
        number,
        resource_version=number + 1,
        event_id=f"{number:032x}",
    )


def append() -> list[Figure]:
    batches = [[_event(n) for n in range(start, start + BATCH)] for start in range(0, EVENTS, BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/bare.db")
        migrate(engine)
        bare = _timed(EventLog(engine, (), cluster="bench"), batches)
        engine.dispose()  # the last connection to close moves the WAL into the file
        size = Path(folder, "bare.db").stat().st_size
        engine = open_engine(f"sqlite:///{folder}/live.db")
        migrate(engine)
        live = _timed(EventLog(engine, PROJECTIONS, cluster="bench"), batches)
        engine.dispose()
        raw = _raw(Path(folder, "raw.db"), size // EVENTS)
    return [
        Figure("append.sqlite.empty", EVENTS / bare, "events/s", raw / bare, "a raw driver loop"),
        Figure("append.sqlite.projections", EVENTS / live, "events/s", bare / live, "append without projections"),
        Figure("bytes_per_event", size / EVENTS, "B"),
    ]


def _timed(log: EventLog, batches: list[list[NewEvent]]) -> float:
    log.issue_fence()
    began = time.perf_counter()
    for number, batch in enumerate(batches):
        log.append(batch, now=number)
    return time.perf_counter() - began


def _raw(path: Path, size: int) -> float:
    """The same number of rows of the same size, in the same batches, with nothing computed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=10000;")
    columns = "position INTEGER PRIMARY KEY, stream INT, version INT, payload BLOB, UNIQUE(stream, version)"
    connection.execute(f"CREATE TABLE events ({columns})")
    payload = b"x" * max(size - 40, 1)
    began = time.perf_counter()
    for start in range(0, EVENTS, BATCH):
        connection.execute("BEGIN IMMEDIATE")
        rows = [(n, n % OBJECTS, n // OBJECTS, payload) for n in range(start, start + BATCH)]
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return seconds
