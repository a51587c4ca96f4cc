"""The writer as the controller uses it, at a steady rate: what a commit takes, when rows show it, what memory it needs."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kro_es.cli.garbage import collect_seldom
from kro_es.events.types import NewEvent
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.reader import ReaderPool
from kro_es.store.writer import LogWriter
from tests.benchmarks.figures import Figure
from tests.benchmarks.generator import Generator

_SECONDS = 4.0
_GROUP = 10
_LISTED = 200
"""Events of a list the controller appends at once."""


def commit_figures(folder: Path) -> list[Figure]:
    taken = asyncio.run(_steady(folder / "commit.db", 5_000, look=False))
    return [Figure("commit_p99_ms", _p99(taken), "ms at 5000 events/s, projections live")]


def lag_figures(folder: Path) -> list[Figure]:
    taken = asyncio.run(_steady(folder / "lag.db", 2_000, look=True))
    return [Figure("lag_p99_ms", _p99(taken), "ms from append to the rows of a reader, at 2000 events/s")]


def memory_figures(folder: Path, count: int) -> list[Figure]:
    """In a process of its own that finds a log and is given its events as it goes."""
    migrate(open_engine(f"sqlite:///{folder}/memory.db"))
    words = [sys.executable, "-m", "tests.benchmarks.live", str(folder / "memory.db")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for batch in Generator().batches(count, _LISTED):
            pickle.dump(batch, process.stdin)
        process.stdin.close()
        most = float(process.stdout.read().split()[-1])
    return [Figure("rss_writer_mb", most / 1024, f"MB after {count} events, projections live")]


async def _steady(path: Path, rate: int, *, look: bool) -> list[float]:
    """Seconds each group waited; groups are sent on time, whether or not the ones before are done."""
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="bench")
    log.issue_fence()
    writer, pool = LogWriter(log), ReaderPool(engine, PROJECTIONS)
    # Made before: an object costs its maker more than the writer.
    groups = list(Generator().batches(int(_SECONDS * rate), _GROUP))
    collect_seldom()  # as the controller does
    taken: list[float] = []

    async def send(events: list[NewEvent]) -> None:
        began = time.perf_counter()
        appended = await writer.append(events)
        if look:
            with pool.open() as reader:
                assert reader.position >= appended[-1].position
        taken.append(time.perf_counter() - began)

    sent, started = [], time.perf_counter()
    for number, group in enumerate(groups):
        wait = started + number * _GROUP / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        sent.append(asyncio.create_task(send(group)))
    await asyncio.gather(*sent)
    await writer.close()
    engine.dispose()
    return taken


def _p99(taken: list[float]) -> float:
    return sorted(taken)[int(0.99 * len(taken))] * 1000


async def _fill(path: str, batches: Iterator[list[NewEvent]]) -> None:
    log = EventLog(open_engine(f"sqlite:///{path}"), PROJECTIONS, cluster="bench")
    log.issue_fence()
    collect_seldom()  # as the controller does
    writer = LogWriter(log)
    for batch in batches:
        await writer.append(batch)
    await writer.close()


def _given() -> Iterator[list[NewEvent]]:
    with contextlib.suppress(EOFError):
        while True:
            yield pickle.load(sys.stdin.buffer)


if __name__ == "__main__":
    asyncio.run(_fill(sys.argv[1], _given()))
    # the usage of resources would count what this process was before it became this program
    print(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0])
