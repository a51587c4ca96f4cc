"""The asyncio side: many appends share a commit, everybody learns his own outcome, and room is kept for decisions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kro_es.events.types import Event
from kro_es.store import writer as module
from kro_es.store.engine import open_engine
from kro_es.store.errors import ConcurrencyError
from kro_es.store.event_log import EventLog
from kro_es.store.verify import verify
from kro_es.store.writer import LogWriter, WriterClosed
from tests.contract.store.support import NOW, PROJECTIONS, create, seen, settled


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
async def writer(log: EventLog, told: list[Event]) -> AsyncIterator[LogWriter]:
    opened = LogWriter(log, told.extend, clock=lambda: NOW)
    yield opened
    await opened.close()


def _commits(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM commits").scalar_one())


async def test_an_append_returns_after_the_commit(writer: LogWriter, log: EventLog, told: list[Event]) -> None:
    events = await writer.append([seen("a", 1), settled("i")])
    assert [event.position for event in events] == [1, 2]
    assert log.head() == 2
    assert told == list(events)
    assert await writer.append([seen("a", 1)]) == ()
    assert await writer.append([]) == ()


async def test_appends_share_commits_told_in_order(writer: LogWriter, engine: Engine, told: list[Event]) -> None:
    results = await asyncio.gather(*(writer.append([seen(f"n{index}", 1)]) for index in range(2500)))
    assert sorted(event.position for group in results for event in group) == list(range(1, 2501))
    assert [event.position for event in told] == list(range(1, 2501))
    assert _commits(engine) < 100


async def test_a_refused_group_fails_alone(writer: LogWriter) -> None:
    results = await asyncio.gather(
        *(writer.append([settled("i", expected=0), seen(f"n{index}", 1)]) for index in range(5)),
        return_exceptions=True,
    )
    assert [type(result) for result in results].count(tuple) == 1
    assert [type(result) for result in results].count(ConcurrencyError) == 4
    assert writer.healthy


async def test_a_flood_of_observations_does_not_hold_up_a_decision(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OBSERVATION_ROOM", 10)
    writer = LogWriter(log)
    done: list[str] = []

    async def append(name: str, events: list[object]) -> None:
        await writer.append(events)  # type: ignore[arg-type]
        done.append(name)

    flood = [asyncio.create_task(append("observed", [seen(f"n{index}", 1)])) for index in range(300)]
    await asyncio.sleep(0)
    await append("decided", [settled("i")])
    assert done.count("observed") < 300
    await asyncio.gather(*flood)
    assert log.head() == 301
    await writer.close()


async def test_a_waiter_that_gives_up_leaves_its_room_to_others(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OBSERVATION_ROOM", 1)
    writer = LogWriter(log)
    tasks = [asyncio.create_task(writer.append([seen(f"n{index}", 1)])) for index in range(20)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results[0::2]] == [tuple] * 10
    assert len(await writer.append([seen("last", 1)])) == 1
    await writer.close()


async def test_close_commits_what_is_queued_and_takes_no_more(log: EventLog) -> None:
    writer = LogWriter(log)
    tasks = [asyncio.create_task(writer.append([seen(f"n{index}", 1)])) for index in range(50)]
    await asyncio.sleep(0)
    await writer.close()
    assert len(await asyncio.gather(*tasks)) == 50
    assert log.head() == 50
    with pytest.raises(WriterClosed):
        await writer.append([seen("a", 1)])


async def test_the_write_ahead_log_is_moved_into_the_file_beside_the_writer(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    create(engine, PROJECTIONS)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    writer = LogWriter(log, clock=lambda: NOW)
    before = (tmp_path / "log.db").stat().st_size
    await writer.append([seen(f"o-{number}", 1) for number in range(600)])
    async with asyncio.timeout(20):
        while (tmp_path / "log.db").stat().st_size == before:
            await asyncio.sleep(0.005)
    await writer.close()
    assert verify(engine).ok
    engine.dispose()
