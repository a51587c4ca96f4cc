"""Several processes fold what one would have folded, byte for byte; and only projections that can be split are."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from kro_es.cli.operator import app
from kro_es.events.types import Actor, AuditMatched, Event, NewEvent
from kro_es.projections.registry import BY_STREAM, PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate
from kro_es.store.rebuild import compare_with_log
from kro_es.store.shares import shares
from kro_es.store.transfer import import_log
from tests.benchmarks.generator import Generator
from tests.contract.store.support import ACTOR, NOW, seen, settled
from tests.contract.store.support import PROJECTIONS as OF_TESTS
from tests.replay.test_recorded_logs import LOGS
from tests.support.steps import eventually


def _audited(event: Event) -> NewEvent:
    body = AuditMatched(
        event.position, (), (), "kubectl", verb="patch", impersonated_by="", how="uid and resourceVersion", audit_id="1"
    )
    return NewEvent(f"audit/{event.stream}", body, event.subject, Actor("dana", "audit"), NOW, cause=event.position)


def _filled(engine: Engine) -> EventLog:
    """Everything a recorded life has, many streams, an audit, an event a projection fails on."""
    migrate(engine)
    import_log(engine, next(path for path in LOGS if path.name.startswith("life")), PROJECTIONS, now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM seals")
    log = EventLog(engine, PROJECTIONS)
    log.issue_fence()
    for batch in Generator(3, objects=60).batches(2_000):
        log.append(batch, now=NOW)
    one = log.append([seen("audited", 1)], now=NOW)[0]
    log.append([_audited(one), seen("audited", 2), settled("i")], now=NOW)
    return log


def test_two_processes_fold_the_rows_of_one(engine: Engine, url: str) -> None:
    log = _filled(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE p_timeline SET summary = 'wrong'")
        connection.exec_driver_sql("DELETE FROM p_objects")
    done = CliRunner().invoke(app, ["db", "rebuild", "--processes", "2", "--database", url])
    assert (done.exit_code, done.exception) == (0, None)
    # compared with a fold by one process, from zero
    assert compare_with_log(engine, PROJECTIONS) == []
    log.append([seen("audited", 3), settled("i")], now=NOW)
    assert compare_with_log(engine, PROJECTIONS) == []
    if url.startswith("sqlite"):
        assert list(Path(url.removeprefix("sqlite:///")).parent.glob("*.rebuild-*")) == []


def _children(pid: int) -> set[int]:
    return {int(found) for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # ended, and nobody has asked how


def test_a_rebuild_that_is_killed_leaves_no_process_and_the_next_one_its_folder(tmp_path: Path) -> None:
    database = tmp_path / "log.db"
    engine = open_engine(f"sqlite:///{database}")
    _filled(engine)
    words = ("db", "rebuild", "--processes", "2", "--database", f"sqlite:///{database}")
    left = lambda: list(tmp_path.glob("*.rebuild-*"))  # noqa: E731
    with subprocess.Popen([sys.executable, "-m", "kro_es.cli.operator", *words]) as rebuilding:
        eventually(lambda: left() and _children(rebuilding.pid), bool, "its processes are there")
        children = _children(rebuilding.pid)
        rebuilding.kill()
    eventually(lambda: [pid for pid in children if _runs(pid)], [].__eq__, "its processes end")
    assert len(left()) == 1
    assert compare_with_log(engine, PROJECTIONS) == []
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (left(), compare_with_log(engine, PROJECTIONS)) == ([], [])
    engine.dispose()


def test_projections_nobody_declared_are_folded_by_one_process(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1), seen("b", 2), settled("i")], now=NOW)
    assert [share.of for share in shares(OF_TESTS, [found.name for found in OF_TESTS], 4)] == [1]
    live_rebuild(engine, OF_TESTS, actor=ACTOR, now=NOW, processes=2)
    assert compare_with_log(engine, OF_TESTS) == []


def test_a_database_in_memory_is_refused() -> None:
    engine = open_engine("sqlite://")
    migrate(engine)
    with pytest.raises(ValueError, match="in memory"):
        live_rebuild(engine, PROJECTIONS, actor=ACTOR, now=NOW, processes=2)


def test_rows_of_split_projections_are_of_one_stream() -> None:
    engine = open_engine("sqlite://")
    _filled(engine)
    events = LogReader(engine).read(1, 100_000)
    streams: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in events:
        for projection in PROJECTIONS:
            if projection.name in BY_STREAM and isinstance(event.body, projection.bodies):
                for key in projection.keys(event):
                    streams[projection.name, key].add(event.stream.removeprefix("audit/"))
    assert [item for item in streams.items() if len(item[1]) > 1] == []
    assert {name for name, _ in streams} >= BY_STREAM - {"gaps", "lost_watches"}
