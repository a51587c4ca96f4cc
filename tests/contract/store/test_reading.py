"""Old states come back exactly, from deltas, by position and by time."""

from __future__ import annotations

from sqlalchemy import Engine

from kro_es.events.types import ObjectObserved
from kro_es.store.event_log import EventLog
from tests.contract.store.support import NOW, config_map, deleted, seen, settled

STREAM = "object//ConfigMap/default/a"


def _one(engine: Engine, sql: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(sql).scalar_one()


def test_every_version_comes_back_from_its_delta(log: EventLog, engine: Engine) -> None:
    for version in range(1, 251):
        log.append([seen("a", version, counter=version, flag=version % 2 == 0, zero=-0.0, none=None)], now=NOW)
    events = log.read_stream(STREAM)
    for version, event in enumerate(events, start=1):
        assert isinstance(event.body, ObjectObserved)
        expected = config_map("a", version, counter=version, flag=version % 2 == 0, zero=-0.0, none=None)
        assert repr(sorted(event.body.object["data"].items())) == repr(sorted(expected["data"].items()))
    assert _one(engine, "SELECT count(*) FROM events WHERE base_version IS NULL") == 3
    assert _one(engine, "SELECT max(length(payload)) FROM events WHERE base_version IS NOT NULL") < 120  # type: ignore[operator]
    assert log.verify().ok


def test_a_changed_object_is_a_snapshot_of_its_own(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1)], now=NOW)
    log.append([seen("a", 2, **{f"other-{index}": str(index) * 40 for index in range(60)})], now=NOW)
    assert _one(engine, "SELECT count(*) FROM events WHERE base_version IS NULL") == 2


def test_deltas_go_on_after_another_writer_took_over(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1)], now=NOW)
    other = EventLog(engine, (), cluster="cluster-1")
    other.issue_fence()
    other.append([seen("a", 2, counter=2)], now=NOW)
    assert _one(engine, "SELECT base_version FROM events WHERE position = 2") == 1
    assert other.read_stream(STREAM)[1].body == ObjectObserved(config_map("a", 2, counter=2))


def test_state_at_a_position_and_at_a_time(log: EventLog) -> None:
    for version in range(1, 21):
        log.append([seen("a", version), seen("b", version)], now=NOW + version)
    log.append([deleted("a", 21)], now=NOW + 30)

    def seen_at(**at: int) -> int | None:
        found = log.state_at(STREAM, **at)
        return None if found is None else found.resource_version

    assert [seen_at(position=position) for position in (0, 1, 2, 3, 40)] == [None, 1, 1, 2, 20]
    assert [seen_at(time=NOW + at) for at in (0, 1, 7, 25, 99)] == [None, 1, 7, 20, 21]
    assert seen_at() == 21
    assert log.state_at("object//ConfigMap/default/none") is None
    assert [log.position_at(NOW + at) for at in (0, 1, 29, 99)] == [0, 2, 40, 41]


def test_a_stream_is_read_in_parts(log: EventLog) -> None:
    log.append([seen("a", version) for version in range(1, 8)], now=NOW)
    assert [event.stream_version for event in log.read_stream(STREAM, 3, 2)] == [3, 4]


def test_the_wide_view_names_everything(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1), settled("i")], now=NOW)
    with engine.connect() as connection:
        row = connection.exec_driver_sql("SELECT * FROM v_events WHERE position = 1").mappings().one()
    assert row["stream"] == STREAM
    assert row["occurred_at"] == "2023-11-14T22:13:20.000Z"
    assert (row["type"], row["kind"], row["name"], row["cluster"]) == ("object.observed", "ConfigMap", "a", "cluster-1")
    assert row["event_id"] == seen("a", 1).event_id
