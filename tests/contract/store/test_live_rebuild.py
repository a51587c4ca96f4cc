"""Projections are folded anew while the log goes on, and take the place of the old ones at one moment."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kro_es.events.types import LogRebuilt
from kro_es.projections.projection import Projection
from kro_es.store import live_rebuild as module
from kro_es.store.event_log import EventLog
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.mirror import Mirror
from kro_es.store.reader import open_reader
from kro_es.store.rebuild import compare_with_log
from tests.contract.store.conftest import MakeLog
from tests.contract.store.support import ACTOR, NOW, PROJECTIONS, Counts, LastSeen, seen, settled
from tests.contract.store.test_projections import Picky


def test_wrong_rows_are_put_right(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1), seen("b", 2), settled("i")], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE p_counts SET count = 77")
        connection.exec_driver_sql("DELETE FROM p_last_seen WHERE key = 'a'")
    assert len(compare_with_log(engine, PROJECTIONS)) == 3
    assert live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW) == 4
    assert compare_with_log(engine, PROJECTIONS) == []
    event = log.event(4)
    assert event is not None
    assert event.body == LogRebuilt(("last_seen", "counts"))


def test_the_writer_goes_on_with_the_new_rows(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1)], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE p_counts SET count = 77")
    live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW)
    log.append([seen("a", 2, x=1), seen("b", 3)], now=NOW)
    assert compare_with_log(engine, PROJECTIONS) == []


def test_nothing_is_missed_while_the_writer_is_busy(
    log: EventLog, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 40)
    monkeypatch.setattr(module, "_NEAR", 10)
    for version in range(1, 31):
        log.append([seen(name, version, counter=version) for name in "abcde"], now=NOW)
    stop = threading.Event()

    def write() -> None:
        version = 31
        while not stop.is_set() and version < 500:
            log.append([seen(name, version, counter=version) for name in "ab"], now=NOW)
            version += 1

    writing = threading.Thread(target=write)
    writing.start()
    try:
        live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW)
    finally:
        stop.set()
        writing.join()
    assert compare_with_log(engine, PROJECTIONS) == []
    assert log.verify().ok


def test_an_interrupted_rebuild_leaves_the_rows_in_use(
    log: EventLog, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([seen("a", 1), settled("i")], now=NOW)

    def fail(*_: object) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_switch", fail)
        with pytest.raises(RuntimeError):
            live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW)
    assert log.head() == 2
    log.append([seen("a", 2, x=1)], now=NOW)
    assert compare_with_log(engine, PROJECTIONS) == []
    live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW)
    assert compare_with_log(engine, PROJECTIONS) == []


def test_a_parked_event_gets_its_chance(make_log: MakeLog, engine: Engine) -> None:
    bad: tuple[Projection, ...] = (LastSeen(), Picky())
    make_log(bad).append([settled("i", state="POISON"), settled("i")], now=NOW)
    live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM parked").scalar_one() == 0
    with open_reader(engine, (Counts(),)) as reader:
        assert reader.row("counts", "instance.settled") == {"count": 2}


def test_a_mirror_shows_the_new_rows(make_log: MakeLog, engine: Engine, tmp_path: Path) -> None:
    make_log().append([seen("a", 1)], now=NOW)
    mirror = Mirror(PROJECTIONS, tmp_path)
    writer = EventLog(engine, PROJECTIONS, mirror=mirror)
    writer.issue_fence()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE p_counts SET count = 77")
    writer.append([settled("i")], now=NOW)
    live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW)
    writer.append([settled("i")], now=NOW)
    with open_reader(mirror.engine, PROJECTIONS) as reader:
        assert reader.row("counts", "object.observed") == {"count": 1}
        assert reader.row("counts", "instance.settled") == {"count": 2}
    mirror.close()
