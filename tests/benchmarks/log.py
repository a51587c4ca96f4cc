"""The event log: how fast it is written, folded and asked, beside the raw drivers. ``BENCH_EVENTS`` says how large it is."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from kro_es.cli.garbage import collect_seldom
from kro_es.events.types import Actor, NewEvent
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate
from kro_es.store.retrain import retrain
from kro_es.store.sql import run
from tests.benchmarks.drivers import beside_driver
from tests.benchmarks.figures import Figure
from tests.benchmarks.folding import fold_figures
from tests.benchmarks.generator import DEFINITIONS, Generator
from tests.benchmarks.live import commit_figures, lag_figures, memory_figures
from tests.support.postgres import running

EVENTS = int(os.environ.get("BENCH_EVENTS", "100000"))
BATCH = 500
_TAIL = 20_000
"""Events the append to a full log is measured on."""
_ASKED = 2_000


def log() -> list[Figure]:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as server:
        for name, make in (("sqlite", _files(Path(folder))), *((("postgres", _databases(server)),) if server else ())):
            engine, ours, other = make("log"), make("ours"), make("other")
            figures += _written(name, engine)
            figures += _asked(name, engine)
            figures += _beside(name, ours, other)
            for one in (engine, ours, other):
                one.dispose()
        figures += commit_figures(Path(folder))
        figures += lag_figures(Path(folder))
        figures += memory_figures(Path(folder), EVENTS)
    return [*figures, *fold_figures(min(EVENTS, 100_000))]


def _files(folder: Path) -> Callable[[str], Engine]:
    return lambda name: open_engine(f"sqlite:///{folder}/{name}.db")


def _databases(server: str) -> Callable[[str], Engine]:
    def make(name: str) -> Engine:
        with open_engine(server).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return open_engine(make_url(server).set(database=name).render_as_string(hide_password=False))

    return make


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """An empty PostgreSQL; empty text, and a line that says so, where there is none."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(running(folder / "pg"))
        except Exception as error:  # noqa: BLE001 whatever keeps it from running
            print(f"log: no PostgreSQL here ({error})")
            url = ""
        yield url


def _written(name: str, engine: Engine) -> list[Figure]:
    """Dict to disk without projections on an empty log, and on the tail of a full one."""
    migrate(engine)
    writer = EventLog(engine, (), cluster="bench")
    writer.issue_fence()
    first = min(EVENTS, _TAIL)
    generator = Generator()
    batches = list(generator.batches(first, BATCH))
    collect_seldom()  # as the controller does
    cpu = time.process_time()
    empty = _appended(writer, batches)
    cpu = time.process_time() - cpu
    figures = [
        Figure(f"append.{name}.empty", first / empty, "events/s"),
        Figure(f"append.{name}.cpu", first / cpu, "events per second of this process's CPU"),
    ]
    middle = EVENTS - 2 * first
    with writer.connected():
        for batch in generator.batches(max(middle, 0), 1000):
            writer.append(batch, now=batch[-1].occurred_at)
    if middle > 0:
        full = _appended(writer, list(generator.batches(first, BATCH)))
        figures.append(Figure(f"append.{name}.5m", first / full, f"events/s at {EVENTS} events", empty / full, "empty"))
    if name == "sqlite":
        figures += _sizes(engine, writer, generator)
    # the read models of what is asked next
    EventLog(engine, PROJECTIONS).issue_fence()
    return figures


def _appended(writer: EventLog, batches: Sequence[list[NewEvent]]) -> float:
    with writer.connected():
        began = time.perf_counter()
        for batch in batches:
            writer.append(batch, now=batch[-1].occurred_at)
        return time.perf_counter() - began


def _beside(name: str, ours: Engine, other: Engine) -> list[Figure]:
    found = beside_driver(ours, other, list(Generator().batches(_TAIL, BATCH)))
    told = f"the driver alone inserting the same rows (COPY where there is one), batches of {BATCH}"
    return [
        Figure(f"append.{name}.ratio", found.raw / found.ours, "of the database's part", found.raw / found.ours, told),
        Figure(f"append.{name}.whole_ratio", found.raw / found.whole, "dict to disk", found.raw / found.whole, told),
    ]


def _sizes(engine: Engine, writer: EventLog, generator: Generator) -> list[Figure]:
    """Of all there is, as the writer kept it; and of what comes after it was retrained by hand."""
    whole, count = _bytes(engine), writer.head()
    retrain(engine, actor=Actor("bench", "cli"), now=0)
    before = _bytes(engine)
    _appended(writer, list(generator.batches(_TAIL, BATCH)))
    after = (_bytes(engine) - before) / _TAIL
    return [
        Figure("bytes_per_event", whole / count, f"B at {count} events"),
        Figure("bytes_per_event.retrained", after, "B of each event after kro-es db retrain"),
    ]


def _bytes(engine: Engine) -> int:
    engine.dispose()  # the last connection to close moves the write-ahead log into the file
    return Path(str(engine.url.database)).stat().st_size


def _asked(name: str, engine: Engine) -> list[Figure]:
    reader, chance, names = LogReader(engine), random.Random(2), Generator()
    head = reader.head()
    last = reader.event(head)
    assert last is not None
    first = reader.read(1, 1)[0].recorded_at

    def state() -> None:
        moment = first + int(chance.random() * (last.recorded_at - first))
        reader.state_at(names.stream_of(chance.randrange(2_000)), time=moment)

    found = [Figure(f"state_at.{name}.p99_ms", _p99(state), f"ms at {head} events")]
    if name == "sqlite":
        found.append(Figure("rollouts20.p99_ms", _p99(lambda: _rollouts(engine, chance)), f"ms at {head} events"))
    return found


def _rollouts(engine: Engine, chance: random.Random) -> None:
    uid = f"definition-{chance.randrange(DEFINITIONS)}"
    with engine.connect() as connection:
        sql = "SELECT * FROM p_rollouts WHERE key > ? AND key < ? ORDER BY key DESC LIMIT 20"
        run(connection, sql, (f"{uid}/", f"{uid}0")).all()


def _p99(ask: Callable[[], None]) -> float:
    """Milliseconds."""
    taken = []
    for _ in range(_ASKED):
        began = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[int(0.99 * len(taken))] * 1000
