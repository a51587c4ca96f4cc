"""A database that fails for a while: nothing acknowledged is lost, nothing is doubled, and work goes on by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, Engine

from kro_es.controller.run import farewell
from kro_es.errors import FenceLost
from kro_es.events.types import Actor, NewEvent, Subject
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.mirror import Mirror
from kro_es.store.reader import ReaderPool, open_reader
from kro_es.store.rebuild import compare, rebuild
from kro_es.store.writer import LogWriter, WriterClosed
from tests.contract.store.conftest import MakeLog
from tests.contract.store.support import NOW, PROJECTIONS, command, create, seen, settled

STREAM = "object//ConfigMap/default/a"


@pytest.fixture
async def writer(log: EventLog) -> AsyncIterator[LogWriter]:
    opened = LogWriter(log, clock=lambda: NOW)
    yield opened
    await opened.close()


class Outage:
    """While it lasts every statement fails as the driver itself says it; commits may fail after they were done."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.down = False
        self.lose_answer = 0
        self.refused = 0
        dialect = engine.dialect
        dialect.do_execute = self._failing(dialect.do_execute)  # type: ignore[method-assign]
        dialect.do_executemany = self._failing(dialect.do_executemany)  # type: ignore[method-assign]
        self._commit = engine.dialect.do_commit
        engine.dialect.do_commit = self._committed  # type: ignore[method-assign,assignment]

    def error(self) -> Exception:
        if self.engine.dialect.name == "sqlite":
            return sqlite3.OperationalError("database or disk is full")
        return psycopg.OperationalError("server closed the connection unexpectedly")

    def _failing(self, do: Callable[..., None]) -> Callable[..., None]:
        def execute(*words: object) -> None:
            if self.down:
                self.refused += 1
                raise self.error()
            do(*words)

        return execute

    def _committed(self, connection: Connection) -> None:
        self._commit(connection)  # type: ignore[arg-type]
        if self.lose_answer:
            self.lose_answer -= 1
            raise self.error()


@pytest.fixture
def outage(engine: Engine) -> Iterator[Outage]:
    found = Outage(engine)
    yield found
    found.down = False


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_was_handed_over_waits_for_the_database(writer: LogWriter, log: EventLog, outage: Outage) -> None:
    await writer.append([seen("a", 1)])
    outage.down = True
    waiting = [asyncio.create_task(writer.append([seen(f"n{n}", 1), settled(f"i{n}")])) for n in range(5)]
    await _until(lambda: not writer.healthy and outage.refused > 1)
    assert not any(task.done() for task in waiting)
    outage.down = False
    events = [event for group in await asyncio.gather(*waiting) for event in group]
    assert sorted(event.position for event in events) == list(range(2, 12))
    assert writer.healthy
    assert log.verify().ok


@pytest.mark.parametrize("times", [1, 3])
async def test_a_commit_whose_answer_was_lost_is_not_done_twice(
    writer: LogWriter, log: EventLog, outage: Outage, times: int
) -> None:
    await writer.append([settled("i")])
    outage.lose_answer = times
    events = await writer.append([settled("i"), seen("a", 1), settled("i")])
    assert [(event.position, event.stream_version) for event in events] == [(2, 2), (3, 1), (4, 3)]
    assert (await writer.append([settled("i")]))[0].position == 5
    assert [event.position for event in log.read(1, 10)] == [1, 2, 3, 4, 5]
    assert log.verify().ok


async def test_a_close_during_an_outage_acknowledges_nothing(log: EventLog, outage: Outage) -> None:
    writer = LogWriter(log, clock=lambda: NOW)
    outage.down = True
    waiting = asyncio.create_task(writer.append([seen("a", 1)]))
    await _until(lambda: not writer.healthy)
    await writer.close()
    outage.down = False
    with pytest.raises(Exception, match=r"full|closed"):
        await waiting
    with pytest.raises(WriterClosed):
        await writer.append([seen("a", 1)])
    assert log.head() == 0


async def test_a_controller_is_stopped_although_its_log_cannot_be_written(log: EventLog, outage: Outage) -> None:
    def alive() -> None:
        log.heartbeat(now=NOW)

    for beat in (alive, lambda: None):
        writer = LogWriter(log, clock=lambda: NOW)
        outage.down = True
        assert writer.healthy
        await farewell(beat, writer, seen("a", 1), seconds=0.2)
        await writer.close()
    outage.down = False
    assert log.head() == 0


async def test_a_lost_fence_is_told_to_everybody(writer: LogWriter, make_log: MakeLog) -> None:
    await writer.append([seen("a", 1)])
    make_log()
    with pytest.raises(FenceLost):
        await writer.append([seen("a", 2)])
    assert isinstance(await writer.lost, FenceLost)


POISON = {
    "stream": replace(settled("i"), stream="instance/a\0b"),
    "name": replace(settled("i"), subject=Subject("kro.run", "App", "default", "a\0b")),
    "actor": replace(settled("i"), actor=Actor("ali\0ce", "manager")),
    "lone surrogate": replace(settled("i"), correlation="rollout/\ud800"),
    "version": replace(seen("p", 1), resource_version=2**63),
    "time": replace(settled("i"), occurred_at=-1),
    "identity": replace(seen("p", 1), event_id="no hex"),
}


@pytest.mark.parametrize("poison", POISON)
async def test_an_event_no_database_can_keep_fails_alone(writer: LogWriter, log: EventLog, poison: str) -> None:
    groups: list[NewEvent] = [seen("a", 1), POISON[poison], seen("b", 1)]
    results = await asyncio.gather(*(writer.append([item]) for item in groups), return_exceptions=True)
    assert [type(result) for result in results] == [tuple, ValueError, tuple]
    assert [event.subject.name for event in log.read(1, 10)] == ["a", "b"]
    assert log.verify().ok


async def test_content_may_hold_every_character(writer: LogWriter, log: EventLog) -> None:
    nul = seen("a", 1, text="a\0b")
    (appended,) = await writer.append([nul])
    assert log.read(1, 1) == [appended]
    assert appended.body == nul.body


async def test_what_the_checks_overlook_fails_alone_too(writer: LogWriter, log: EventLog, engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                "CREATE TRIGGER picky BEFORE INSERT ON events WHEN NEW.resource_version = 666"
                " BEGIN SELECT RAISE(ABORT, 'not this one'); END"
            )
        else:
            connection.exec_driver_sql("ALTER TABLE events ADD CONSTRAINT picky CHECK (resource_version <> 666)")
    versions = (1, 666, 2)
    results = await asyncio.gather(*(writer.append([seen(f"n{v}", v)]) for v in versions), return_exceptions=True)
    assert [type(result) for result in results] in ([tuple, type(results[1]), tuple],)
    assert isinstance(results[1], Exception)
    assert [event.resource_version for event in log.read(1, 10)] == [1, 2]
    assert writer.healthy


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    create(engine, PROJECTIONS)
    log = EventLog(engine, PROJECTIONS, cluster="c")
    log.issue_fence()
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        # Every connection of the pool is this one: the engine has a single user here.
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 40}")
    done = 0
    with pytest.raises(Exception, match="full"):  # noqa: PT012 it is not known which append fills the disk
        for number in range(1000):
            log.append([seen(f"n{number}", 1, noise="x" * 2000 + str(number))], now=NOW)
            done += 1
    assert 0 < done == log.head()
    assert log.verify().ok
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    log.append([seen("after", 1)], now=NOW)
    assert log.head() == done + 1
    engine.dispose()


async def test_the_mirror_has_every_acknowledged_row(
    make_log: MakeLog, engine: Engine, mirror: Mirror, outage: Outage
) -> None:
    make_log().append([seen("old", 1), settled("i")], now=NOW)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1", mirror=mirror)
    log.issue_fence()
    pool = ReaderPool(mirror.engine, PROJECTIONS)
    writer = LogWriter(log, clock=lambda: NOW)
    for version in range(1, 30):
        if version % 7 == 0:
            outage.lose_answer = 1
        (event,) = await writer.append([seen(f"n{version % 3}", version)])
        with pool.open() as reader:
            assert reader.position == event.position
            row = reader.row("last_seen", f"n{version % 3}")
            assert row is not None
            assert row["position"] == event.position
    assert compare(engine, mirror.engine, PROJECTIONS) == []
    await writer.close()


async def test_the_mirror_follows_what_others_appended(make_log: MakeLog, engine: Engine, mirror: Mirror) -> None:
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1", mirror=mirror)
    make_log((), fenced=False)
    log.issue_fence()
    make_log((), fenced=False).append([command()], now=NOW)
    log.append([seen("a", 1)], now=NOW)
    with open_reader(mirror.engine, PROJECTIONS) as reader:
        assert reader.position == 2
    rebuilt = open_engine("sqlite://")
    rebuild(engine, PROJECTIONS, rebuilt)
    assert compare(mirror.engine, rebuilt, PROJECTIONS) == []
    rebuilt.dispose()


def test_files_of_a_killed_process_are_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "kro-es-rows-dead"
    left.mkdir()
    (left / "lock").touch()
    first = Mirror(PROJECTIONS, tmp_path)
    second = Mirror(PROJECTIONS, tmp_path)
    assert len(list(tmp_path.glob("kro-es-rows-*"))) == 2
    first.close()
    second.close()
