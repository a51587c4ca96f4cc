"""The copy of the rows on the controller's machine: what goes wrong with it is told as that, and costs no event."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from kro_es.store.errors import MirrorError
from kro_es.store.event_log import EventLog
from kro_es.store.mirror import Mirror
from kro_es.store.reader import ReaderPool, open_reader
from kro_es.store.rebuild import compare
from kro_es.store.writer import LogWriter
from tests.contract.store.conftest import MakeLog
from tests.contract.store.support import NOW, PROJECTIONS, seen, settled


@pytest.fixture
def mirrored(make_log: MakeLog, engine: Engine, mirror: Mirror) -> EventLog:
    make_log((), fenced=False)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1", mirror=mirror)
    log.issue_fence()
    return log


@pytest.fixture
async def writer(mirrored: EventLog) -> AsyncIterator[LogWriter]:
    opened = LogWriter(mirrored, clock=lambda: NOW)
    yield opened
    await opened.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def _limit(mirror: Mirror, more: int) -> None:
    """Every connection of the pool has room for so many more pages."""
    with mirror.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")


async def _shows(mirror: Mirror, engine: Engine, position: int) -> None:
    with open_reader(mirror.engine, PROJECTIONS) as reader:
        assert reader.position == position
    assert compare(engine, mirror.engine, PROJECTIONS) == []


async def test_a_full_disk_is_told_as_the_copys_and_nothing_is_appended_twice(
    writer: LogWriter, mirrored: EventLog, mirror: Mirror, engine: Engine
) -> None:
    await writer.append([seen("a", 1)])
    _limit(mirror, 2)
    loads = _counted(mirror)
    with capture_logs() as logs:
        big = [seen(f"n{n}", 1, noise="x" * 9000) for n in range(5)]
        groups = [asyncio.create_task(writer.append([event, settled("i")])) for event in big]
        await _until(lambda: not writer.healthy)
        assert not any(task.done() for task in groups[1:])
        head = mirrored.head()
        _limit(mirror, 10_000)
        await asyncio.gather(*groups)
    assert mirrored.head() == 11
    assert head > 1, "what was committed stays committed"
    assert [event.position for event in mirrored.read(1, 20)] == list(range(1, 12))
    assert loads == [], "the same rows were written when there was room"
    assert [entry["event"] for entry in logs] == [
        "the copy of the rows on this machine cannot be written: nothing is decided until it can",
        "the copy of the rows on this machine is written again",
    ]
    assert "rows" in logs[0]["error"]
    assert "full" in logs[0]["error"]
    await _shows(mirror, engine, 11)


def _counted(mirror: Mirror) -> list[int]:
    loads: list[int] = []
    load = mirror.load

    def counted(source: object) -> None:
        loads.append(1)
        load(source)  # type: ignore[arg-type]

    mirror.load = counted  # type: ignore[method-assign,assignment]
    return loads


REMOVED: dict[str, Callable[[Path], None]] = {
    "folder": shutil.rmtree,
    "files": lambda folder: [path.unlink() for path in folder.glob("*")] and None,
    "file": lambda folder: (folder / "rows.db").unlink(),
    "log of writes": lambda folder: (folder / "rows.db-wal").unlink(),
}


@pytest.mark.parametrize("what", REMOVED)
async def test_one_that_somebody_removed_is_made_anew_before_the_next_commit_is_acknowledged(
    writer: LogWriter, mirror: Mirror, engine: Engine, tmp_path: Path, what: str
) -> None:
    await writer.append([seen("a", 1)])
    pool = ReaderPool(mirror.engine, PROJECTIONS)
    with pool.open() as held, pool.open():
        (folder,) = tmp_path.glob("kro-es-rows-*")
        REMOVED[what](folder)
        (event,) = await writer.append([seen("b", 1)])
        assert held.row("last_seen", "a") is not None
    with pool.open() as reader:
        assert reader.position == event.position == 2
        assert reader.row("last_seen", "b") is not None
    await writer.append([seen("c", 1)])
    await _shows(mirror, engine, 3)


async def test_one_that_was_removed_at_rest_is_made_anew_by_an_append_of_nothing(
    writer: LogWriter, mirrored: EventLog, mirror: Mirror, engine: Engine, tmp_path: Path
) -> None:
    await writer.append([seen("a", 1)])
    assert not mirrored.mirror_lost
    shutil.rmtree(next(tmp_path.glob("kro-es-rows-*")))
    assert mirrored.mirror_lost
    assert await writer.submit(()) == ()
    assert not mirrored.mirror_lost
    await _shows(mirror, engine, 1)


async def test_a_damaged_one_is_made_anew(
    writer: LogWriter, mirrored: EventLog, mirror: Mirror, engine: Engine, tmp_path: Path
) -> None:
    await writer.append([seen("a", 1)])
    mirror.engine.dispose()
    (folder,) = tmp_path.glob("kro-es-rows-*")
    (folder / "rows.db").write_bytes(b"no database at all" * 1000)
    (event,) = await writer.append([seen("b", 1)])
    assert event.position == 2
    await _shows(mirror, engine, 2)


async def test_rows_it_refuses_once_are_loaded(
    writer: LogWriter, mirrored: EventLog, mirror: Mirror, engine: Engine
) -> None:
    await writer.append([seen("a", 1)])
    with mirror.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER picky BEFORE INSERT ON p_last_seen WHEN NEW.key = 'b' BEGIN SELECT RAISE(ABORT, 'no b'); END"
        )
    with capture_logs() as logs:
        groups = [asyncio.create_task(writer.append([seen(name, 1), settled("i")])) for name in "bcd"]
        assert [len(found) for found in await asyncio.gather(*groups)] == [2, 2, 2]
    assert mirrored.head() == 7, "each group is there once"
    assert "no b" in logs[0]["error"]
    await _shows(mirror, engine, 7)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="nowhere: No such file"):
        Mirror(PROJECTIONS, tmp_path / "nowhere")


def test_an_error_of_the_database_is_not_taken_for_the_copys(mirrored: EventLog, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("only the log of another kind of database has a copy")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE p_counts")
    with pytest.raises(DBAPIError, match="p_counts"):
        mirrored.issue_fence()
