"""Whoever reads on from the last position seen misses nothing, however slowly others commit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection, Engine

from kro_es.events.types import Event
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from tests.contract.store.support import NOW, command, seen, settled

PATIENCE = 60.0


def test_a_slow_commit_keeps_later_positions_back(log: EventLog, engine: Engine) -> None:
    log.append([settled("i")], now=NOW)
    inside, go_on = threading.Event(), threading.Event()

    def slow(_: Connection, __: Sequence[Event]) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    reader = LogReader(engine)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: log.append([seen("a", 1)], now=NOW, also=slow))
        assert inside.wait(PATIENCE)
        second = threads.submit(lambda: EventLog(engine).append([command()], now=NOW))
        # the second wants the next position and cannot have it before the first is committed or gone
        assert [event.position for event in reader.read(1, 10)] == [1]
        assert not second.done()
        go_on.set()
        positions = [one.result(PATIENCE)[0].position for one in (first, second)]
    assert positions == [2, 3]
    assert [event.type for event in reader.read(2, 10)] == ["object.observed", "command.rollback"]


def test_a_commit_that_fails_leaves_no_hole(log: EventLog, engine: Engine) -> None:
    def fail(_: Connection, __: Sequence[Event]) -> None:
        raise RuntimeError("at the last moment")

    for number in range(3):
        try:
            log.append([seen("a", number)], now=NOW, also=fail)
        except RuntimeError:
            log.append([seen("b", number)], now=NOW)
    assert [event.position for event in LogReader(engine).read(1, 10)] == [1, 2, 3]
    assert log.verify().ok


def test_a_reader_that_tails_sees_every_position_once(log: EventLog, engine: Engine) -> None:
    done, seen_positions = threading.Event(), list[int]()

    def tail() -> None:
        reader = LogReader(engine)
        while True:
            # asked before it is read: what is committed by then is in what is read
            last = done.is_set()
            found = reader.read((seen_positions or [0])[-1] + 1, 50)
            seen_positions.extend(event.position for event in found)
            if last and not found:
                return

    def commands() -> None:
        other = EventLog(engine)
        for _ in range(25):
            other.append([command()], now=NOW)

    with ThreadPoolExecutor(3) as threads:
        reading = threads.submit(tail)
        writing = [threads.submit(commands) for _ in range(2)]
        for version in range(25):
            log.append([seen("a", version), seen("b", version)], now=NOW)
        for one in writing:
            one.result(PATIENCE)
        done.set()
        reading.result(PATIENCE)
    assert seen_positions == list(range(1, 101))
