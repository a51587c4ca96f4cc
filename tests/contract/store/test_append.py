"""What an append promises: dense positions, no fact twice, nothing decided on an old version, one writer."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from kro_es.errors import FenceLost
from kro_es.store.digest import decision_id
from kro_es.store.errors import ConcurrencyError, OtherCluster
from kro_es.store.event_log import EventLog
from tests.contract.store.conftest import MakeLog
from tests.contract.store.support import NOW, PROJECTIONS, command, deleted, gone, seen, settled


def test_positions_are_dense_and_versions_count_per_stream(log: EventLog) -> None:
    log.append([seen("a", 1), seen("b", 2)], now=NOW)
    log.append([seen("a", 3)], now=NOW)
    events = log.read(1, 100)
    assert [(e.position, e.stream[-1], e.stream_version) for e in events] == [(1, "a", 1), (2, "b", 1), (3, "a", 2)]
    assert log.head() == 3


def test_what_is_read_is_what_was_appended(log: EventLog) -> None:
    appended = log.append([seen("a", 1), settled("i"), command(), deleted("a", 2)], now=NOW)
    assert tuple(log.read(1, 100)) == appended
    assert log.event(2) == appended[1]
    assert log.event(5) is None


def test_a_large_group_is_stored_like_many_small_ones(log: EventLog) -> None:
    many = [one for number in range(1, 31) for one in (seen("a", number, tab="a\tb\\N\n"), settled("i"))]
    appended = log.append(many, now=NOW)
    assert len(appended) == 60
    assert tuple(log.read(1, 100)) == appended
    assert log.append(many[::2], now=NOW) == ()
    assert log.verify().ok


def test_a_large_group_that_fails_leaves_nothing(log: EventLog, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE UNIQUE INDEX once ON events (subject_id)")
    with pytest.raises(IntegrityError):
        log.append([seen("a", number) for number in range(1, 31)], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX once")
    assert log.read(1, 100) == []
    assert len(log.append([seen("a", number) for number in range(1, 31)], now=NOW)) == 30
    assert log.verify().ok


def test_events_without_identity_are_named_by_their_place(log: EventLog) -> None:
    first, second = log.append([settled("i"), settled("i")], now=NOW)
    assert first.event_id == decision_id("instance/i", 1).hex()
    assert second.event_id == decision_id("instance/i", 2).hex()


def test_a_fact_seen_twice_is_one_event(log: EventLog) -> None:
    assert len(log.append([seen("a", 1), seen("a", 1)], now=NOW)) == 1
    assert log.append([seen("a", 1)], now=NOW) == ()
    assert log.head() == 1


def test_the_late_echo_of_an_older_fact_is_not_a_second_one(log: EventLog) -> None:
    log.append([seen("a", 1)], now=NOW)
    log.append([seen("a", 2), seen("a", 3)], now=NOW)
    assert log.append([seen("a", 2)], now=NOW) == ()
    assert log.append([seen("a", 3)], now=NOW) == ()
    assert log.append([seen("a", 4), seen("a", 5), seen("a", 4)], now=NOW)[-1].resource_version == 5


def test_an_older_state_is_kept_and_never_becomes_the_head(log: EventLog) -> None:
    log.append([seen("a", 1), seen("a", 5)], now=NOW)
    late = log.append([seen("a", 3)], now=NOW)
    assert [event.stream_version for event in late] == [3]
    assert log.append([seen("a", 5)], now=NOW) == ()
    state = log.state_at("object//ConfigMap/default/a")
    assert state is not None
    assert state.resource_version == 5


def test_a_decision_on_an_old_version_is_refused(log: EventLog) -> None:
    log.append([settled("i", expected=0)], now=NOW)
    with pytest.raises(ConcurrencyError) as refused:
        log.append([seen("a", 1), settled("i", expected=0)], now=NOW)
    assert (refused.value.expected, refused.value.found) == (0, 1)
    assert log.head() == 1
    log.append([settled("i", expected=1), settled("i", expected=1)], now=NOW)
    assert log.head() == 3


def test_one_refused_group_does_not_hinder_the_others(log: EventLog) -> None:
    results = log.append_group(
        [
            [settled("i"), seen("a", 1)],
            [seen("b", 1), settled("i", expected=0)],
            [seen("a", 2)],
            [seen("c", 2, bad={1, 2})],
        ],
        now=NOW,
    )
    first, second, third, fourth = results
    assert isinstance(first, tuple)
    assert isinstance(second, ConcurrencyError)
    assert isinstance(third, tuple)
    assert isinstance(fourth, TypeError)
    assert [event.stream for event in log.read(1, 10)] == [event.stream for event in (*first, *third)]
    assert log.append([seen("b", 1)], now=NOW)[0].stream_version == 1
    assert log.verify().ok


def test_the_older_writer_is_fenced_off(make_log: MakeLog) -> None:
    old = make_log()
    old.append([seen("a", 1)], now=NOW)
    new = make_log()
    with pytest.raises(FenceLost):
        old.append([seen("a", 2)], now=NOW)
    assert new.append([seen("a", 2)], now=NOW)[0].position == 2


def test_a_writer_without_the_fence_appends_commands_only(make_log: MakeLog) -> None:
    main, other = make_log(), make_log(fenced=False)
    main.append([seen("a", 1)], now=NOW)
    assert other.append([command()], now=NOW)[0].position == 2
    with pytest.raises(FenceLost):
        other.append([gone("i")], now=NOW)
    assert main.append([seen("a", 2), command()], now=NOW)[1].stream_version == 2


def test_a_log_of_another_cluster_is_refused_before_anything_is_done(make_log: MakeLog, engine: Engine) -> None:
    main = make_log()
    other = EventLog(engine, PROJECTIONS, cluster="cluster-2")
    with pytest.raises(OtherCluster, match="this log is of cluster cluster-1, and this is cluster cluster-2"):
        other.issue_fence()
    assert main.append([seen("a", 1)], now=NOW)[0].position == 1


def test_recorded_time_never_goes_back(make_log: MakeLog) -> None:
    make_log().append([seen("a", 1)], now=NOW)
    assert make_log().append([seen("a", 2)], now=NOW - 5)[0].recorded_at == NOW


def test_a_failed_transaction_leaves_no_trace_in_memory(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1)], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE commits RENAME TO away")
    with pytest.raises(Exception, match="commits"):
        log.append([seen("a", 2), seen("new", 1)], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO commits")
    events = log.append([seen("a", 2), seen("new", 1)], now=NOW)
    assert [(event.position, event.stream_version) for event in events] == [(2, 2), (3, 1)]
    assert log.verify().ok


def test_a_writer_that_was_replaced_no_longer_counts_as_watching(make_log: MakeLog) -> None:
    old, new = make_log(), make_log()
    new.heartbeat(now=NOW)
    old.heartbeat(now=NOW + 1)
    assert new.last_heartbeat() == NOW


def test_heartbeat(log: EventLog) -> None:
    assert log.last_heartbeat() == 0
    log.heartbeat(now=NOW)
    assert log.last_heartbeat() == NOW


def test_a_writer_that_begins_anew_finds_where_the_streams_end(make_log: MakeLog, engine: Engine) -> None:
    make_log().append([seen("a", 1), seen("a", 5, x=1), seen("a", 3, x=2), settled("i"), settled("i")], now=NOW)
    log = make_log()
    assert log.append([seen("a", 5, x=1), seen("a", 3, x=2), seen("a", 1)], now=NOW) == ()
    found = log.append([seen("a", 6, x=3), settled("i", expected=2)], now=NOW)
    assert [event.stream_version for event in found] == [4, 3]
    with engine.connect() as connection:
        sql = "SELECT base_version FROM events WHERE position = 6"
        assert connection.exec_driver_sql(sql).scalar_one() == 1
    assert log.verify().ok
