"""Old status churn goes, with an event that accounts for it; every retained moment and the chain stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from kro_es.events.types import Event, Input, LogPruned, NewEvent, ObjectObserved, ReconcileDecided
from kro_es.history.gaps import notes
from kro_es.history.source import open_history
from kro_es.projections.registry import PROJECTIONS as REGISTERED
from kro_es.store.event_log import EventLog
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.migrate import migrate
from kro_es.store.prune import PrunePlan, plan, prune
from kro_es.store.rebuild import compare_with_log
from kro_es.store.verify import verify
from tests.contract.store.conftest import MakeLog
from tests.contract.store.support import ACTOR, NOW, PROJECTIONS, command, deleted, seen, settled

STREAM = "object//ConfigMap/default/a"
LATER = NOW + 10_000


def churn(version: int, status: int, *, name: str = "a", **data: object) -> NewEvent:
    event = seen(name, version, **data)
    assert isinstance(event.body, ObjectObserved)
    return replace(event, body=ObjectObserved({**event.body.object, "status": {"beat": status}}))


def _fill(log: EventLog) -> None:
    """Version n of the object is event n, recorded at NOW + n; its spec changes at versions 1 and 150."""
    for version in range(1, 201):
        log.append([churn(version, version, flavour="new" if version >= 150 else "old")], now=NOW + version)


def _pruned(engine: Engine, before: int) -> PrunePlan:
    found = plan(engine, before)
    prune(engine, found, actor=ACTOR, now=LATER)
    return found


def _beat(event: Event | None) -> tuple[int, str]:
    assert event is not None
    assert isinstance(event.body, ObjectObserved)
    return event.body.object["status"]["beat"], event.body.object["data"]["flavour"]


def test_status_goes_and_specs_stay(log: EventLog, engine: Engine) -> None:
    _fill(log)
    assert len(_pruned(engine, NOW + 190).positions) > 180
    left = [_beat(event) for event in log.read_stream(STREAM)]
    assert (1, "old") in left
    assert (150, "new") in left
    assert left[-11:] == [(number, "new") for number in range(190, 201)] or left[-12:] == [
        (number, "new") for number in range(189, 201)
    ]
    assert len(left) < 20


def test_every_moment_from_the_horizon_on_is_answered_as_before(log: EventLog, engine: Engine) -> None:
    _fill(log)
    moments = range(NOW + 189, NOW + 201)
    before = [_beat(log.state_at(STREAM, time=moment)) for moment in moments]
    _pruned(engine, NOW + 190)
    assert [_beat(log.state_at(STREAM, time=moment)) for moment in moments] == before
    assert [_beat(log.state_at(STREAM, position=position)) for position in range(189, 201)] == before


def test_a_pruned_log_is_whole_and_goes_on(log: EventLog, engine: Engine) -> None:
    _fill(log)
    found = _pruned(engine, NOW + 190)
    added = log.append([churn(201, 201, flavour="new"), churn(202, 202, flavour="newer")], now=LATER)
    assert [event.position for event in added] == [202, 203]
    report = verify(engine)
    assert (report.faults, report.pruned, report.events) == ([], len(found.positions), 203 - len(found.positions))
    assert _beat(log.state_at(STREAM)) == (202, "newer")
    event = log.event(201)
    assert event is not None
    assert isinstance(event.body, LogPruned)
    assert (event.body.events, event.actor.name) == (len(found.positions), ACTOR.name)
    assert plan(engine, NOW + 190).positions == []


def test_a_plan_changes_nothing(log: EventLog, engine: Engine) -> None:
    _fill(log)
    found = plan(engine, NOW + 190)
    assert found.bytes > 0
    assert sum(found.kept.values()) + len(found.positions) == 189
    assert (log.head(), verify(engine).pruned) == (200, 0)


def test_what_a_decision_read_or_an_event_names_stays(log: EventLog, engine: Engine) -> None:
    log.append([churn(version, version) for version in range(1, 11)], now=NOW)
    decided = ReconcileDecided(NOW, 10, (Input(STREAM, 5, 5),), ())
    log.append([replace(settled("i"), body=decided), replace(command(), cause=7)], now=NOW)
    log.append([churn(version, version) for version in range(11, 15)], now=LATER)
    assert plan(engine, LATER).positions == [2, 3, 4, 6, 8, 9]


def test_an_object_begins_anew_after_its_deletion(log: EventLog, engine: Engine) -> None:
    log.append([churn(1, 1), churn(2, 2), deleted("a", 3), churn(4, 4), churn(5, 5)], now=NOW)
    log.append([churn(6, 6)], now=LATER)
    assert plan(engine, LATER).positions == [2]


def test_projections_of_a_pruned_log_are_those_of_what_is_left(log: EventLog, engine: Engine) -> None:
    _fill(log)
    _pruned(engine, NOW + 190)
    live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=LATER)
    assert compare_with_log(engine, PROJECTIONS) == []
    log.append([churn(201, 201, flavour="new")], now=LATER)
    assert compare_with_log(engine, PROJECTIONS) == []
    with engine.connect() as connection:
        count = connection.exec_driver_sql("SELECT count FROM p_counts WHERE key = 'object.observed'").scalar_one()
    assert count < 25


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM pruned WHERE position = 100",
        "UPDATE pruned SET position = 500 WHERE position = 100",
        "UPDATE pruned SET stream_version = stream_version + 1 WHERE position = 100",
        "UPDATE pruned SET pruned_by = 200 WHERE position = 100",
        "INSERT INTO pruned SELECT position, stream_id, stream_version, leaf, 201 FROM events WHERE position = 195",
    ],
)
def test_nobody_prunes_behind_the_logs_back(log: EventLog, engine: Engine, change: str) -> None:
    _fill(log)
    _pruned(engine, NOW + 190)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(change).rowcount == 1
        connection.exec_driver_sql("DELETE FROM events WHERE position IN (SELECT position FROM pruned)")
    assert not verify(engine).ok


def test_an_event_and_what_it_accounts_for_are_one(make_log: MakeLog, engine: Engine) -> None:
    log = make_log()
    _fill(log)
    found = plan(engine, NOW + 190)
    prune(engine, found, actor=ACTOR, now=LATER)
    with pytest.raises(Exception, match=r"somebody else pruned|UNIQUE|unique"):
        prune(engine, found, actor=ACTOR, now=LATER)
    assert log.head() == 201
    assert verify(engine).ok


def test_an_answer_about_pruned_moments_says_so(url: str, engine: Engine) -> None:
    migrate(engine)
    log = EventLog(engine, REGISTERED, cluster="cluster-1")
    log.issue_fence()
    _fill(log)
    _pruned(engine, NOW + 190)
    history = open_history(url, LATER)
    assert "were pruned" in " ".join(notes(history, NOW + 100, NOW + 195))
    assert notes(history, NOW + 190, NOW + 195) == ()
    history.close()


def test_what_the_next_event_is_compared_with_stays(log: EventLog, engine: Engine, make_log: MakeLog) -> None:
    """The newest state is not the last event when an older one came late."""
    log.append([churn(number, number, flavour="old") for number in (1, 9, 7)], now=NOW)
    _pruned(engine, NOW + 1)
    assert make_log().append([churn(9, 9, flavour="old")], now=LATER) == ()
    assert _beat(log.state_at(STREAM)) == (9, "old")
