"""Projections folded by processes of their own: one at a time folds each, the next takes over, nothing is folded twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from kro_es.cli.history import app as history
from kro_es.projections.projection import Projection
from kro_es.projections.registry import FOR_PEOPLE, NEEDED
from kro_es.projections.registry import PROJECTIONS as ALL
from kro_es.store.delegation import kept_still, standings
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.migrate import migrate
from kro_es.store.mirror import Mirror
from kro_es.store.projecting import Place, Projecting
from kro_es.store.reader import open_reader
from kro_es.store.rebuild import compare_with_log
from tests.contract.store.support import ACTOR, NOW, seen, settled
from tests.support.postgres import new_database
from tests.support.steps import eventually

PATIENCE = 60.0


@pytest.fixture
def url(postgres_server: str) -> str:
    return new_database(postgres_server)


class Process:
    """What a process of its own has: an engine, and the places it was told last."""

    def __init__(self, url: str, projections: Sequence[Projection] = FOR_PEOPLE, name: str = "one") -> None:
        self.engine = open_engine(url)
        self.projecting = Projecting(self.engine, projections, name)
        self.places: dict[str, Place] = {}

    def tell(self, places: Sequence[Place]) -> None:
        self.places = {place.name: place for place in places}

    def caught_up(self) -> dict[str, Place]:
        while self.projecting.step(self.tell):
            pass
        return self.places

    def die(self) -> None:
        """Its sessions end, as those of a killed process do; nothing is tidied up."""
        assert self.projecting._session is not None
        pooled = self.projecting._session.connection
        assert pooled.dbapi_connection is not None
        pooled.dbapi_connection.close()


@pytest.fixture
def one(url: str, engine: Engine) -> Iterator[Process]:
    migrate(engine)
    made = Process(url)
    yield made
    made.projecting.close()
    made.engine.dispose()


@pytest.fixture
def two(url: str, one: Process) -> Iterator[Process]:
    made = Process(url, name="two")
    yield made
    made.projecting.close()
    made.engine.dispose()


def _controller(engine: Engine, *, leaves: bool, mirror: Mirror | None = None) -> EventLog:
    own, left = (NEEDED, FOR_PEOPLE) if leaves else (ALL, ())
    log = EventLog(engine, own, cluster="cluster-1", mirror=mirror, left=left)
    log.issue_fence()
    return log


def _claim_now(process: Process) -> None:
    """As after a second of standing by."""
    process.projecting._claimed_at = 0.0


def test_what_the_controller_leaves_is_folded_by_a_projector(engine: Engine, one: Process) -> None:
    log = _controller(engine, leaves=True)
    log.append([seen("a", 1), settled("i")], now=NOW)
    with open_reader(engine, ALL) as reader:
        assert reader.row("objects", "/ConfigMap/default/a") is not None
        assert list(reader.all_rows("timeline")) == []
    places = one.caught_up()
    assert {(place.position, place.behind, place.active, place.newest) for place in places.values()} == {
        (2, 0, True, NOW)
    }
    assert compare_with_log(engine, ALL) == []
    with open_reader(engine, ALL) as reader:
        assert len(list(reader.all_rows("timeline"))) == 2


def test_what_the_controller_folds_is_left_alone(engine: Engine, one: Process) -> None:
    log = _controller(engine, leaves=False)
    log.append([seen("a", 1)], now=NOW)
    places = one.caught_up()
    assert {place.active for place in places.values()} == {False}
    assert {place.behind for place in places.values()} == {0}
    assert compare_with_log(engine, ALL) == []


def test_projections_go_over_and_come_back(engine: Engine, one: Process) -> None:
    _controller(engine, leaves=False).append([seen("a", 1), seen("b", 1)], now=NOW)
    second = _controller(engine, leaves=True)
    second.append([seen("a", 2)], now=NOW)
    one.caught_up()
    second.append([seen("a", 3)], now=NOW)
    third = _controller(engine, leaves=False)
    assert not any(place.active for place in one.caught_up().values())
    third.append([seen("a", 4)], now=NOW)
    assert compare_with_log(engine, ALL) == []
    assert {found.folded_by for found in standings(engine, ALL)} == {"the controller"}


def test_of_two_one_folds_and_the_other_takes_over(engine: Engine, one: Process, two: Process) -> None:
    log = _controller(engine, leaves=True)
    log.append([seen("a", 1), settled("i")], now=NOW)
    assert all(place.active for place in one.caught_up().values())
    assert not any(place.active for place in two.caught_up().values())
    by = {found.name: found.folded_by for found in standings(engine, ALL)}
    assert {by[found.name] for found in FOR_PEOPLE} == {"one"}
    assert {by[found.name] for found in NEEDED} == {"the controller"}
    one.die()
    log.append([seen("a", 2), seen("b", 1)], now=NOW)
    _claim_now(two)
    assert all(place.active and place.position == 4 for place in two.caught_up().values())
    assert {found.folded_by for found in standings(engine, FOR_PEOPLE)} == {"two"}
    assert compare_with_log(engine, ALL) == []


def test_each_of_two_may_have_some(engine: Engine, url: str, one: Process) -> None:
    log = _controller(engine, leaves=True)
    lines, rest = Process(url, FOR_PEOPLE[-1:], "lines"), Process(url, FOR_PEOPLE, "rest")
    log.append([seen("a", 1)], now=NOW)
    lines.caught_up()
    found = rest.caught_up()
    assert [name for name, place in found.items() if not place.active] == ["timeline"]
    assert {item.name: item.folded_by for item in standings(engine, FOR_PEOPLE)}["timeline"] == "lines"
    for process in (lines, rest):
        process.projecting.close()
        process.engine.dispose()
    # the server ends a session a moment after its client did
    eventually(
        lambda: {item.folded_by for item in standings(engine, FOR_PEOPLE)}, lambda by: by == {"nobody"}, "both are gone"
    )


def test_a_projector_that_is_behind_is_told_and_verified_where_it_is(engine: Engine, one: Process) -> None:
    log = _controller(engine, leaves=True)
    log.append([seen("a", 1)], now=NOW)
    one.caught_up()
    log.append([seen("a", version) for version in range(2, 5)], now=NOW)
    assert {found.behind for found in standings(engine, FOR_PEOPLE)} == {3}
    assert compare_with_log(engine, ALL) == []
    # and an answer says what it may lack
    url = engine.url.render_as_string(hide_password=False)
    late = CliRunner().invoke(history, ["--database", url, "log"])
    assert "timeline is 3 event(s) behind the log" in late.stderr
    one.caught_up()
    assert "behind" not in CliRunner().invoke(history, ["--database", url, "log"]).stderr


def test_a_rebuild_changes_the_rows_under_a_projector(engine: Engine, one: Process) -> None:
    log = _controller(engine, leaves=True)
    log.append([seen("a", 1), settled("i")], now=NOW)
    one.caught_up()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE p_timeline SET summary = 'wrong'")
    live_rebuild(engine, ALL, actor=ACTOR, now=NOW)
    log.append([seen("a", 2), settled("i")], now=NOW)
    one.caught_up()
    assert compare_with_log(engine, ALL) == []


def test_rebuilds_while_a_projector_works_wait_for_each_other(engine: Engine, one: Process) -> None:
    log = _controller(engine, leaves=True)
    for version in range(1, 40):
        log.append([seen(name, version, counter=version) for name in "abcde"], now=NOW)
    stop = threading.Event()
    working = threading.Thread(target=one.projecting.work, args=(stop, one.tell))
    working.start()
    try:
        for version in range(40, 43):
            live_rebuild(engine, ALL, actor=ACTOR, now=NOW)
            log.append([seen(name, version, counter=version) for name in "abcde"], now=NOW)
    finally:
        stop.set()
        working.join(PATIENCE)
    one.caught_up()
    assert compare_with_log(engine, ALL) == []
    assert log.verify().ok


def test_a_migration_while_a_projector_works_waits_for_it(engine: Engine, one: Process) -> None:
    log = _controller(engine, leaves=True)
    stop = threading.Event()
    working = threading.Thread(target=one.projecting.work, args=(stop, one.tell))
    working.start()
    try:
        for version in range(1, 6):
            log.append([seen(name, version, counter=version) for name in "abcde"], now=NOW)
            with engine.begin() as connection:
                # tables of another form, as an older program left them
                kept_still(connection, [projection.name for projection in ALL])
                connection.exec_driver_sql("ALTER TABLE p_timeline DROP COLUMN summary CASCADE")
                connection.exec_driver_sql("ALTER TABLE p_drift DROP COLUMN ended CASCADE")
            migrate(engine)
    finally:
        stop.set()
        working.join(PATIENCE)
    one.caught_up()
    assert compare_with_log(engine, ALL) == []


def test_rows_of_a_newer_program_are_not_started_over(engine: Engine, one: Process) -> None:
    log = _controller(engine, leaves=True)
    log.append([seen("a", 1)], now=NOW)
    one.caught_up()
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE projection_checkpoints SET version = 99, position = 0 WHERE name = 'timeline'"
        )
    places = one.caught_up()
    assert not places["timeline"].active
    assert places["gaps"].active
    with open_reader(engine, ALL) as reader:
        assert len(list(reader.all_rows("timeline"))) == 1


def test_a_database_that_goes_away_is_waited_for(engine: Engine, one: Process) -> None:
    log = _controller(engine, leaves=True)
    told = threading.Condition()

    def tell(places: Sequence[Place]) -> None:
        with told:
            one.tell(places)
            told.notify_all()

    def follows(position: int) -> bool:
        with told:
            return told.wait_for(
                lambda: bool(one.places) and all(p.active and p.position == position for p in one.places.values()),
                PATIENCE,
            )

    stop = threading.Event()
    working = threading.Thread(target=one.projecting.work, args=(stop, tell))
    working.start()
    try:
        log.append([seen("a", 1)], now=NOW)
        assert follows(1)
        with engine.connect() as connection, connection.begin():
            sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            connection.exec_driver_sql(f"{sql} WHERE pid <> pg_backend_pid() AND datname = current_database()")
        engine.dispose()
        log.append([seen("a", 2)], now=NOW)
        assert follows(2)
    finally:
        stop.set()
        working.join(PATIENCE)
    assert one.projecting.healthy


@pytest.mark.parametrize("leaves", [True, False])
def test_the_mirror_of_a_controller_has_what_its_passes_read(engine: Engine, one: Process, leaves: bool) -> None:
    mirror = Mirror(NEEDED)
    try:
        log = _controller(engine, leaves=leaves, mirror=mirror)
        log.append([seen("a", 1), settled("i")], now=NOW)
        with open_reader(mirror.engine, NEEDED) as reader:
            assert reader.position == 2
            assert reader.row("objects", "/ConfigMap/default/a") is not None
    finally:
        mirror.close()
