"""Sessions that an administrator ends, and a server that crashes, in the middle of a burst: every event once, every row right."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from kro_es.controller.run import beat_of
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.mirror import Mirror
from kro_es.store.rebuild import compare
from kro_es.store.writer import LogWriter
from tests.contract.store.support import PROJECTIONS, create, seen, settled
from tests.support.postgres import new_database

GROUPS = 80
KILLS = 5


@pytest.fixture
def url(postgres_server: str) -> str:
    return new_database(postgres_server)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    opened = Mirror(PROJECTIONS, tmp_path)
    yield opened
    opened.close()


def _sessions(admin: psycopg.Connection, url: str) -> list[int]:
    name = open_engine(url).url.database
    rows = admin.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", (name,)).fetchall()
    return [int(pid) for (pid,) in rows]


def _terminated(server: str, url: str) -> bool:
    with psycopg.connect(server, autocommit=True) as admin:
        found = _sessions(admin, url)
        for pid in found:
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
    return bool(found)


def _crashed(server: str, url: str) -> bool:
    """One process that dies takes all the others with it, as an immediate shutdown does; the server recovers by itself."""
    with psycopg.connect(server, autocommit=True) as admin:
        found = _sessions(admin, url)
    if found:
        os.kill(found[0], signal.SIGKILL)
    return bool(found)


@pytest.mark.parametrize(("kill", "times"), [(_terminated, KILLS), (_crashed, 2)])
async def test_every_event_is_there_once_and_every_row_is_right(
    postgres_server: str, url: str, mirror: Mirror, kill: Callable[[str, str], bool], times: int
) -> None:
    engine = open_engine(url)
    create(engine, PROJECTIONS)
    log = EventLog(engine, PROJECTIONS, cluster="c", mirror=mirror)
    log.issue_fence()
    writer = LogWriter(log)
    chance = random.Random(1)
    appended: list[int] = []
    ends = asyncio.Event()

    async def append(number: int) -> None:
        group = [
            seen(f"n{number % 7}", number, noise=str(number)),
            *(settled(f"i{number}") for _ in range(number % 30)),
        ]
        appended.extend(event.position for event in await writer.append(group))

    async def killing() -> None:
        done = 0
        while done < times:
            await asyncio.sleep(chance.random() / 20)  # any moment
            try:
                done += await asyncio.to_thread(kill, postgres_server, url)
            except psycopg.OperationalError:
                continue  # the server is not back yet
        ends.set()

    with capture_logs() as logs:
        killer = asyncio.create_task(killing())
        number = 0
        while not ends.is_set() or number < GROUPS:
            burst = range(number + 1, number + 9)
            await asyncio.gather(*(append(one) for one in burst))
            number = burst[-1]
        await killer
    await writer.close()
    head = log.head()
    assert sorted(appended) == list(range(1, head + 1)), "acknowledged once, and nothing else is there"
    assert log.verify().ok
    assert compare(engine, mirror.engine, PROJECTIONS) == []
    assert {entry["event"] for entry in logs} <= {
        "the log cannot be written: nothing is decided until it can",
        "the log is written again",
    }
    engine.dispose()


async def test_a_beat_while_the_database_is_away_is_no_crash() -> None:
    log = EventLog(open_engine("postgresql://127.0.0.1:1/nowhere"), PROJECTIONS)
    writer = LogWriter(log)
    await asyncio.to_thread(beat_of(log, writer, asyncio.Event()))
    await writer.close()
