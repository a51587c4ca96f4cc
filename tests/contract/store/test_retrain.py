"""A dictionary learnt from the log makes it smaller; old payloads are read with the old one for ever."""

from __future__ import annotations

import random
import time

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from kro_es.cli.operator import app
from kro_es.errors import UserError
from kro_es.events.types import Event, LogRetrained
from kro_es.store import upkeep
from kro_es.store.event_log import EventLog
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.log_reader import LogReader
from kro_es.store.rebuild import compare_with_log
from kro_es.store.retrain import retrain
from tests.contract.store.conftest import MakeLog
from tests.contract.store.support import ACTOR, NOW, PROJECTIONS, seen, settled


def _fill(log: EventLog, first: int, count: int) -> None:
    """Objects of words that no dictionary of Kubernetes knows."""
    chance = random.Random(first)
    words = [f"{chance.choice('qxz')}vorple-{index * 7919 % 997}-snark" for index in range(40)]
    for start in range(first, first + count, 500):
        batch = [
            seen(f"o-{number}", 1, **{f"field-{index}": chance.choice(words) for index in range(12)})
            for number in range(start, start + 500)
        ]
        log.append(batch, now=NOW)


def test_the_log_gets_smaller_and_stays_readable(make_log: MakeLog, engine: Engine) -> None:
    log, reader = make_log(), LogReader(engine)
    _fill(log, 0, 3000)
    before = reader.read(1, 3000)
    found = retrain(engine, actor=ACTOR, now=NOW)
    assert found.event is not None
    assert found.event.body == LogRetrained(2, 3000)
    assert found.after < 0.9 * found.before
    # the writer that runs, and a reader that began before, go on
    _fill(log, 3000, 500)
    assert reader.read(1, 3000) == before
    assert len(reader.read(3002, 1000)) == 500
    with engine.connect() as connection:
        used = connection.exec_driver_sql("SELECT DISTINCT encoding / 8 FROM events WHERE encoding & 1 > 0").scalars()
        assert set(used) == {1, 2}
        size = "SELECT avg(length(payload)) FROM events WHERE position BETWEEN {} AND {}"
        old, new = (
            float(connection.exec_driver_sql(size.format(*part)).scalar_one()) for part in ((1, 3000), (3002, 3501))
        )
    assert new < 0.9 * old
    assert log.verify().ok
    live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW)
    assert compare_with_log(engine, PROJECTIONS) == []


def test_a_writer_has_its_log_learnt_from_when_it_is_old_enough(
    make_log: MakeLog, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_LEARN_AT", 2500)
    log = make_log()
    with log.connected():
        _fill(log, 0, 3000)
        deadline = time.monotonic() + 20
        while not _learnt(log) and time.monotonic() < deadline:
            log.append([settled("i")], now=NOW)
        _fill(log, 3000, 500)
    events = log.read(1, 1_000_000)
    (learnt,) = _learnt(log)
    assert [event.position for event in events] == list(range(1, events[-1].position + 1))
    assert learnt.actor.source == "controller"
    with engine.connect() as connection:
        sql = f"SELECT DISTINCT encoding / 8 FROM events WHERE encoding & 1 > 0 AND position > {learnt.position}"
        assert connection.exec_driver_sql(sql).scalars().all() == [2]
    assert log.verify().ok
    live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW)
    assert compare_with_log(engine, PROJECTIONS) == []


def _learnt(log: EventLog) -> list[Event]:
    return [event for event in log.read_stream("log") if isinstance(event.body, LogRetrained)]


def test_a_young_log_is_not_learnt_from(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1)], now=NOW)
    with pytest.raises(UserError, match="too young"):
        retrain(engine, actor=ACTOR, now=NOW)
    assert log.head() == 1


def test_the_command_says_what_it_saved(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('db')}/log.db"
    assert CliRunner().invoke(app, ["db", "upgrade", "--database", url]).exit_code == 0
    refused = CliRunner().invoke(app, ["db", "retrain", "--database", url])
    assert "too young" in str(refused.exception)
