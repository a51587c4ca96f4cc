"""Two controllers and four projectors on one PostgreSQL, the leader killed again and again under load: one line of history."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kro_es.projections.registry import FOR_PEOPLE
from kro_es.projections.registry import PROJECTIONS as ALL
from kro_es.store.delegation import standings
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate
from kro_es.store.rebuild import compare_with_log
from kro_es.store.verify import verify
from tests.support.contender import LOST
from tests.support.lease_server import LeaseServer
from tests.support.operator import Operator
from tests.support.postgres import new_database
from tests.support.steps import eventually

KILLS = int(os.environ.get("KRO_ES_TEST_LEADER_KILLS", "2"))
"""More, for a night: KRO_ES_TEST_LEADER_KILLS=40."""
LOAD = 30
"""Writes of a leader before it is killed."""


@pytest.fixture
def url(postgres_server: str) -> str:
    return new_database(postgres_server)


class Contenders:
    """Two at any time: one that ends, killed or because it was too slow for its lease, is followed by a new one."""

    def __init__(self, url: str, server: LeaseServer, folder: Path) -> None:
        self.acknowledged = folder / "acknowledged"
        self._arguments = (url, str(server.kubeconfig), str(self.acknowledged))
        self._output = (folder / "contenders.log").open("ab")
        self._running: list[subprocess.Popen[bytes]] = []
        self.ended: list[int] = []

    def two(self) -> set[str]:
        """Sees to it; their identities."""
        for process in list(self._running):
            if (code := process.poll()) is not None:
                self._running.remove(process)
                self.ended.append(code)
        while len(self._running) < 2:
            command = [sys.executable, "-m", "tests.support.contender", *self._arguments]
            self._running.append(subprocess.Popen(command, stdout=self._output, stderr=self._output))
        return {str(process.pid) for process in self._running}

    def kill(self, identity: str) -> None:
        next(process for process in self._running if str(process.pid) == identity).send_signal(signal.SIGKILL)

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
        self._output.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LeaseServer]:
    made = LeaseServer(tmp_path)
    yield made
    made.close()


@pytest.fixture
def contenders(url: str, engine: Engine, server: LeaseServer, tmp_path: Path) -> Iterator[Contenders]:
    migrate(engine)
    made = Contenders(url, server, tmp_path)
    yield made
    made.end()


@pytest.fixture
def projectors(url: str, contenders: Contenders, tmp_path: Path) -> Iterator[list[Operator]]:
    """Two that fold everything left to them, two for the projection with the most rows."""
    made = []
    for number in range(4):
        (folder := tmp_path / f"projector-{number}").mkdir()
        words = ("projector", "--database", url, *(("--projection", "timeline") if number % 2 else ()))
        made.append(Operator(None, folder, database=url, arguments=words).start(wait=False))
    yield made
    for process in made:
        if process.running:
            process.kill()


def _led_under_load(server: LeaseServer, contenders: Contenders, after: int) -> str:
    """The holder, when a leader of a later fence than that has written for a while."""

    def look() -> tuple[str, int]:
        running = contenders.two()
        later = sum(write["fence"] > after for write in list(server.writes))
        return (server.holder if server.holder in running else ""), later

    return eventually(look, lambda found: bool(found[0]) and found[1] >= LOAD, "a leader under load", seconds=120)[0]


def _kill_who_folds(engine: Engine, projectors: list[Operator]) -> None:
    by = eventually(
        lambda: {one.folded_by for one in standings(engine, FOR_PEOPLE) if one.name == "timeline"},
        lambda found: found != {"nobody"},
        "a projector folds",
    )
    pid = int(re.findall(r"/(\d+)$", by.pop())[0])
    process = next(process for process in projectors if process.running and process.pid == pid)
    process.kill()
    process.start(wait=False)


def test_one_acts_at_any_position_whoever_is_killed(
    server: LeaseServer, contenders: Contenders, projectors: list[Operator], engine: Engine
) -> None:
    fence = 0
    for number in range(KILLS):
        holder = _led_under_load(server, contenders, fence)
        fence = max(write["fence"] for write in server.writes)
        if number % 2 == 0:
            _kill_who_folds(engine, projectors)
        contenders.kill(holder)
    _led_under_load(server, contenders, fence)
    contenders.end()

    events = LogReader(engine).read(1, 10_000_000)
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    fences = [int(event.actor.name.removeprefix("fence-")) for event in events if event.stream == "controller"]
    assert fences == sorted(fences)
    assert len(set(fences)) >= KILLS + 1
    written = [write["fence"] for write in server.writes]
    assert written == sorted(written)
    ids = {event.position: event.event_id for event in events}
    noted = [line.split() for line in contenders.acknowledged.read_text().splitlines() if line.count(" ") == 1]
    assert len(noted) >= KILLS * LOAD
    assert [position for position, event_id in noted if ids.get(int(position)) != event_id] == []
    assert set(contenders.ended) <= {-signal.SIGKILL, LOST}
    assert verify(engine).faults == []
    eventually(
        lambda: [one.behind for one in standings(engine, FOR_PEOPLE)], lambda behind: not any(behind), "all is folded"
    )
    assert compare_with_log(engine, ALL) == []
