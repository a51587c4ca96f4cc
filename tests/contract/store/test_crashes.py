"""A writer killed at any moment, a write-ahead log torn anywhere: what was acknowledged is there, never garbage."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from kro_es.store.rebuild import compare, rebuild
from kro_es.store.verify import verify
from kro_es.store.writer import LogWriter
from tests.contract.store.support import NOW, PROJECTIONS, create, seen, settled

KILLS = int(os.environ.get("KRO_ES_TEST_KILLS", "30"))
"""More, for a night: KRO_ES_TEST_KILLS=200."""
SEED = 7
_SECTOR = 512
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.contract.store.test_crashes", "psycopg"])


def write_until_killed(url: str, acknowledged: str, number: int) -> None:
    """The process that dies: four tasks append as fast as they can and note each position they were given."""
    handle = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def append(writer: LogWriter, task: int) -> None:
        for version in range(1, 1_000_000):
            name = f"n{task}-{version % 5}"
            events = await writer.append([seen(name, number * 1_000_000 + version, round=number), settled(name)])
            os.write(handle, b"".join(b"%d %s\n" % (e.position, e.event_id.encode()) for e in events))

    async def main() -> None:
        log = EventLog(open_engine(url), PROJECTIONS, cluster="cluster-1")
        log.issue_fence()
        writer = LogWriter(log, clock=lambda: NOW)
        await asyncio.gather(*(append(writer, task) for task in range(4)))

    asyncio.run(main())


def _whole(engine: Engine) -> list[str]:
    memory = open_engine("sqlite://")
    try:
        rebuild(engine, PROJECTIONS, memory)
        return [*verify(engine).faults, *compare(engine, memory, PROJECTIONS)]
    finally:
        memory.dispose()


def test_a_writer_killed_at_any_moment_loses_nothing_it_acknowledged(engine: Engine, url: str, tmp_path: Path) -> None:
    create(engine, PROJECTIONS)
    moments = random.Random(SEED)
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    for number in range(1, KILLS + 1):
        before = acknowledged.stat().st_size
        process = _processes.Process(target=write_until_killed, args=(url, str(acknowledged), number))
        process.start()
        deadline = time.monotonic() + 30
        while acknowledged.stat().st_size == before and time.monotonic() < deadline:
            time.sleep(0.001)  # another process: its file is all there is to look at
        time.sleep(moments.uniform(0, 0.05))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        if number % 10 == 0:
            assert _whole(engine) == []
    noted = [line.split() for line in acknowledged.read_text().splitlines() if line.count(" ") == 1]
    ids = {event.position: event.event_id for event in LogReader(engine).read(1, 10_000_000)}
    assert len(noted) >= KILLS
    assert [position for position, event_id in noted if ids.get(int(position)) != event_id] == []
    assert sorted(ids) == list(range(1, len(ids) + 1))
    assert _whole(engine) == []


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, int]]]:
    """A SQLite log whose commits all lie in its write-ahead log, and after each commit: its head and that file's size."""
    folder = tmp_path_factory.mktemp("torn")
    engine = open_engine(f"sqlite:///{folder}/log.db")
    create(engine, PROJECTIONS)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    sizes = [(log.head(), 0)]
    for version in range(1, 61):
        log.append([seen(f"n{version % 7}", version, counter=version), settled(f"i{version % 3}")], now=NOW + version)
        sizes.append((log.head(), (folder / "log.db-wal").stat().st_size))
    for name in ("log.db", "log.db-wal"):
        shutil.copy(folder / name, folder / f"kept-{name}")
    engine.dispose()
    return folder, sizes


@pytest.mark.parametrize("damage", ["cut", "zeroed", "garbled"])
def test_a_torn_write_ahead_log_leaves_a_prefix(
    history: tuple[Path, list[tuple[int, int]]], tmp_path: Path, damage: str
) -> None:
    folder, sizes = history
    chance = random.Random(f"{SEED}{damage}")
    whole = (folder / "kept-log.db-wal").read_bytes()
    for number in range(25):
        place = chance.randrange(32, len(whole))
        torn = bytearray(whole)
        if damage == "cut":
            del torn[place:]
        elif damage == "zeroed":
            torn[place:] = bytes(len(torn) - place)
        else:
            torn[place] ^= 1 + chance.randrange(255)
        copy = tmp_path / f"{number}.db"
        shutil.copy(folder / "kept-log.db", copy)
        Path(f"{copy}-wal").write_bytes(torn)
        engine = open_engine(f"sqlite:///{copy}")
        try:
            last = max(head for head, size in sizes if size <= place)
            assert LogReader(engine).head() == last
            assert _whole(engine) == []
            log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
            log.issue_fence()
            assert log.append([seen("after", 1)], now=NOW)[0].position == last + 1
        finally:
            engine.dispose()


def test_a_checkpoint_torn_anywhere_is_done_again(history: tuple[Path, list[tuple[int, int]]], tmp_path: Path) -> None:
    """The power goes while the write-ahead log is put into the file: any sectors of it are old, new, or in between."""
    folder, sizes = history
    before = (folder / "kept-log.db").read_bytes()
    done = tmp_path / "done.db"
    for name in ("", "-wal"):
        shutil.copy(folder / f"kept-log.db{name}", f"{done}{name}")
    with closing(sqlite3.connect(done)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    after = done.read_bytes()
    assert before != after[: len(before)]
    chance = random.Random(SEED)
    for number in range(10):
        torn = bytearray(before.ljust(len(after), b"\0"))
        for start in range(0, len(after), _SECTOR):
            if chance.random() < (number + 1) / 11:
                end = start + chance.choice((_SECTOR, _SECTOR, chance.randrange(_SECTOR)))
                torn[start:end] = after[start:end]
        copy = tmp_path / f"{number}.db"
        # how long the file became is as much a matter of chance
        copy.write_bytes(torn[: chance.choice((len(before), len(after), chance.randrange(len(before), len(after))))])
        shutil.copy(folder / "kept-log.db-wal", f"{copy}-wal")
        engine = open_engine(f"sqlite:///{copy}")
        try:
            assert LogReader(engine).head() == sizes[-1][0]
            assert _whole(engine) == []
        finally:
            engine.dispose()
