"""Rows and checkpoint are where the log is, whatever happens; a rebuild gives the same rows."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import cast

import pytest
from sqlalchemy import Engine

from kro_es.events.types import Event, InstanceSettled, ObjectObserved, ReconcileDecided
from kro_es.projections.projection import Projection, Row
from kro_es.projections.registry import PROJECTIONS as REGISTERED
from kro_es.store import event_log
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.reader import open_reader
from kro_es.store.rebuild import compare, compare_with_log, rebuild
from kro_es.store.views import VIEWS
from tests.contract.store.conftest import MakeLog
from tests.contract.store.support import NOW, PROJECTIONS, Counts, LastSeen, command, create, deleted, seen, settled


class Picky(Counts):
    """Fails on one state of an instance; its other events must still count."""

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        if isinstance(event.body, InstanceSettled) and event.body.state == "POISON":
            raise ValueError("cannot digest this")
        return super().fold(key, row, event)


class Untidy(Counts):
    """Gives rows no column fits."""

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        return {"count": "many"}


class Newer(Counts):
    version = 2

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        return {"count": 10 + (0 if row is None else int(str(row["count"])))}


class Settled(Counts):
    name = "settled"
    bodies = (InstanceSettled,)

    def keys(self, event: Event) -> tuple[str, ...]:
        return (event.subject.uid,) if isinstance(event.body, InstanceSettled) else ()


class SettledAnew(Settled):
    version = 2


def _some_history(log: EventLog) -> None:
    for version in range(1, 40):
        log.append_group([[seen(name, version, counter=version)] for name in "abcdef"], now=NOW + version)
        if version % 7 == 0:
            log.append([deleted("c", version), settled("i")], now=NOW + version)


def _checkpoints(engine: Engine) -> dict[str, tuple[int, int]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, version, position FROM projection_checkpoints")
        return {name: (version, position) for name, version, position in rows}


def _counts(engine: Engine, projections: tuple[Projection, ...] = PROJECTIONS) -> dict[str, int]:
    with open_reader(engine, projections) as reader:
        return {key: cast(int, row["count"]) for key, row in reader.all_rows("counts")}


def test_rows_and_checkpoint_are_at_the_head(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1), seen("b", 2), settled("i")], now=NOW)
    log.append([seen("a", 3, counter=1), deleted("b", 4)], now=NOW)
    assert _checkpoints(engine) == {"last_seen": (1, 5), "counts": (1, 5)}
    with open_reader(engine, PROJECTIONS) as reader:
        assert [key for key, _ in reader.all_rows("last_seen")] == ["a"]
        row = reader.row("last_seen", "a")
        assert row is not None
        assert cast(dict[str, dict[str, object]], row["object"])["data"]["counter"] == 1
        assert isinstance(row["digest"], bytes)
        assert reader.row("last_seen", "b") is None
    assert _counts(engine) == {"object.observed": 3, "instance.settled": 1, "object.deleted": 1}


def test_neither_rows_nor_checkpoint_without_the_events(log: EventLog, engine: Engine) -> None:
    log.append([settled("i")], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE p_counts RENAME TO away")
    with pytest.raises(Exception, match="p_counts"):
        log.append([seen("a", 1)], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO p_counts")
    assert log.head() == 1
    assert _checkpoints(engine)["last_seen"] == (1, 1)
    with open_reader(engine, PROJECTIONS) as reader:
        assert reader.row("last_seen", "a") is None
    log.append([seen("a", 1)], now=NOW)
    assert _counts(engine) == {"instance.settled": 1, "object.observed": 1}


def test_a_rebuild_gives_the_rows_that_are_there(log: EventLog, engine: Engine, memory: Engine) -> None:
    _some_history(log)
    assert rebuild(engine, PROJECTIONS, memory) == log.head()
    assert compare(engine, memory, PROJECTIONS) == []
    with memory.begin() as connection:
        connection.exec_driver_sql("UPDATE p_counts SET count = count + 1 WHERE key = 'object.deleted'")
        connection.exec_driver_sql("DELETE FROM p_last_seen WHERE key = 'a'")
    assert compare(engine, memory, PROJECTIONS) == [
        "last_seen 'a': only in the first",
        "counts 'object.deleted': differs in count",
    ]


def test_a_rebuild_stops_where_it_is_told(log: EventLog, engine: Engine, memory: Engine) -> None:
    _some_history(log)
    assert rebuild(engine, PROJECTIONS, memory, until=10) == 10
    with memory.connect() as connection:  # a rebuild has rows only, no log to read them at
        assert connection.exec_driver_sql("SELECT sum(count) FROM p_counts").scalar_one() == 10


def test_a_new_writer_goes_on_with_the_rows(make_log: MakeLog, engine: Engine, memory: Engine) -> None:
    _some_history(make_log())
    make_log().append([seen("a", 99), deleted("b", 100)], now=NOW)
    rebuild(engine, PROJECTIONS, memory)
    assert compare(engine, memory, PROJECTIONS) == []


@pytest.mark.parametrize("bad", [Picky, Untidy])
def test_a_poison_event_is_parked_and_the_log_goes_on(make_log: MakeLog, engine: Engine, bad: type[Counts]) -> None:
    log = make_log((LastSeen(), bad()))
    log.append([settled("i", state="POISON"), settled("i"), seen("a", 1)], now=NOW)
    with engine.connect() as connection:
        parked = connection.exec_driver_sql("SELECT position, projection, error FROM parked ORDER BY position").all()
    assert tuple(parked[0])[:2] == (1, "counts")
    assert "Error: " in parked[0][2]
    expected = {"instance.settled": 1, "object.observed": 1} if bad is Picky else {}
    assert _counts(engine) == expected
    assert _checkpoints(engine) == {"last_seen": (1, 3), "counts": (1, 3)}


def test_a_changed_projection_starts_over(make_log: MakeLog, engine: Engine) -> None:
    old = make_log()
    _some_history(old)
    before = _counts(engine)
    changed = (LastSeen(), Newer())
    make_log(changed).append([settled("i")], now=NOW)
    before["instance.settled"] += 1
    assert _counts(engine) == {key: 10 * count for key, count in before.items()}
    assert _checkpoints(engine)["counts"] == (2, old.head())


def test_what_starts_over_reads_only_what_it_is_made_of(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    create(engine, (LastSeen(), Settled()))
    old = EventLog(engine, (LastSeen(), Settled()), cluster="cluster-1")
    old.issue_fence()
    for version in range(1, 8):
        old.append([seen("a", version), settled("i"), settled(f"i-{version}")], now=NOW)
    old.append([seen("a", 8), seen("a", 9)], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET payload = salt WHERE resource_version > 0")
    monkeypatch.setattr(event_log, "_CATCH_UP_AT_ONCE", 3)
    changed = (LastSeen(), SettledAnew())
    EventLog(engine, changed, cluster="cluster-1").issue_fence()
    with open_reader(engine, changed) as reader:
        assert {key: row["count"] for key, row in reader.all_rows("settled")} == {
            "i": 7,
            **{f"i-{version}": 1 for version in range(1, 8)},
        }
    assert _checkpoints(engine) == {"last_seen": (1, 23), "settled": (2, 23)}


def test_events_appended_without_projections_are_caught_up_with(make_log: MakeLog, engine: Engine) -> None:
    main, bare = make_log(), make_log((), fenced=False)
    main.append([seen("a", 1)], now=NOW)
    bare.append([command(), command()], now=NOW)
    assert _checkpoints(engine)["counts"] == (1, 1)
    with open_reader(engine, PROJECTIONS) as reader:
        assert reader.position == 1
    main.append([seen("a", 2)], now=NOW)
    assert _counts(engine) == {"object.observed": 2, "command.rollback": 2}
    assert _checkpoints(engine)["counts"] == (1, 4)


def test_rows_are_found_by_column_in_order_of_key(log: EventLog, engine: Engine) -> None:
    log.append([seen(name, 1) for name in ("b", "a", "B", "_", "é")], now=NOW)
    with open_reader(engine, PROJECTIONS) as reader:
        rows = reader.rows("last_seen", "namespace", "default")
        names = [cast(dict[str, dict[str, str]], row["object"])["metadata"]["name"] for row in rows]
        assert names == ["B", "_", "a", "b", "é"]
        assert reader.rows("last_seen", "namespace", "other") == []


def test_a_reader_sees_one_position_while_writes_go_on(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1)], now=NOW)
    with open_reader(engine, PROJECTIONS) as reader, open_reader(engine, PROJECTIONS) as second:
        log.append([seen("a", 2), seen("b", 2)], now=NOW)
        assert reader.position == second.position == 1
        row = reader.row("last_seen", "a")
        assert row is not None
        assert row["position"] == 1
        assert len(reader.rows("last_seen", "namespace", "default")) == 1
        with open_reader(engine, PROJECTIONS) as later:
            assert later.position == 3
            assert len(list(later.all_rows("last_seen"))) == 2


def test_a_text_with_a_nul_is_shown_without_it(engine: Engine) -> None:
    migrate(engine)
    log = EventLog(engine, REGISTERED, cluster="cluster-1")
    log.issue_fence()
    drift = ({"node": "cfg", "path": "data.a", "from": "a\0b", "to": "c", "manager": "kubectl"},)
    events = [
        seen("a", 1, text="one\0two"),
        replace(settled("i"), body=InstanceSettled("definition-1", 1, 1, "ERROR", ready=False, message="bad \0 byte")),
        replace(settled("i"), body=ReconcileDecided(NOW, 1, (), (), drift=drift)),
    ]
    appended = log.append(events, now=NOW)
    assert log.read(1, 3) == list(appended)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM parked").scalar_one() == 0
        for view in VIEWS:
            connection.exec_driver_sql(f"SELECT * FROM {view}").all()
    with open_reader(engine, REGISTERED) as reader:
        row = reader.row("objects", "/ConfigMap/default/a")
        assert row is not None
        assert cast(dict[str, dict[str, object]], row["object"])["data"]["text"] == "one\0two"
    assert compare_with_log(engine, REGISTERED) == []


def test_a_huge_object_comes_back_exactly(log: EventLog, engine: Engine) -> None:
    chance = random.Random(7)
    large = {f"key-{number}": chance.randbytes(48).hex() for number in range(9000)}
    log.append([seen("a", 1, **large)], now=NOW)
    log.append([seen("a", 2, **large, more="x")], now=NOW)
    one, two = log.read(1, 2)
    assert isinstance(one.body, ObjectObserved)
    assert isinstance(two.body, ObjectObserved)
    assert one.body.object["data"].items() >= large.items()
    assert two.body.object["data"].items() >= {**large, "more": "x"}.items()
    with engine.connect() as connection:
        sizes = list(connection.exec_driver_sql("SELECT length(payload) FROM events ORDER BY position").scalars())
    assert sizes[1] < 500
    assert log.verify().ok
