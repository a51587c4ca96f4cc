"""A log whose file is taken away under its writer: nothing is written where nobody will ever read it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kro_es.errors import FenceLost
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from kro_es.store.writer import LogWriter
from tests.contract.store.support import NOW, PROJECTIONS, create, seen


def removed(file: Path) -> None:
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()


def replaced(file: Path) -> None:
    copy = file.with_suffix(".copy")
    shutil.copy(file, copy)
    removed(file)
    copy.rename(file)


def fresh(engine: Engine) -> EventLog:
    create(engine, PROJECTIONS)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    return log


@pytest.mark.parametrize("take_away", [removed, replaced])
async def test_a_writer_stops_when_its_file_is_taken_away(tmp_path: Path, take_away: Callable[[Path], None]) -> None:
    file = tmp_path / "log.db"
    engine = open_engine(f"sqlite:///{file}")
    log = fresh(engine)
    writer = LogWriter(log, clock=lambda: NOW)
    await writer.append([seen("a", 1)])
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    take_away(file)
    there = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(FenceLost, match=r"log\.db, was removed or replaced while it was in use"):
        await writer.append([seen("a", 2)])
    assert writer.lost.done()
    log.heartbeat(now=NOW)
    await writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == there
    engine.dispose()


async def test_a_writer_goes_on_beside_whatever_else_is_done_to_its_file(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    engine = open_engine(f"sqlite:///{file}")
    writer = LogWriter(fresh(engine), clock=lambda: NOW)
    await writer.append([seen("a", 1)])
    engine.dispose()
    file.chmod(0o640)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert [event.position for event in await writer.append([seen("a", 2)])] == [2]
    await writer.close()
    assert LogReader(engine).head() == 2
    engine.dispose()
