"""A value that slipped through is gone from every event, row and file; the chain still proves every place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from kro_es.cli.history import app
from kro_es.cli.operator import app as operator
from kro_es.errors import UserError
from kro_es.events.redaction import MARK
from kro_es.events.types import LogRedacted, ObjectObserved, WriteFailed
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate
from kro_es.store.packing import shipped_dictionary
from kro_es.store.rebuild import compare_with_log
from kro_es.store.redact import plan, redact
from kro_es.store.verify import verify
from tests.contract.store.support import ACTOR, NOW, config_map, seen, settled

PLANTED = "planted-where-it-must-not-be"
STREAM = "object//ConfigMap/default/a"


@pytest.fixture
def log(engine: Engine) -> EventLog:
    migrate(engine)
    made = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    made.issue_fence()
    return made


def _fill(log: EventLog) -> None:
    """Versions 3 to 105 hold the value: in a snapshot, in deltas, and in what is a delta against that snapshot."""
    for version in range(1, 121):
        data = {"token": PLANTED} if 3 <= version <= 105 else {}
        log.append([seen("a", version, beat=version, **data)], now=NOW)
    text = f"denied: {PLANTED} is weak"
    log.append([replace(settled("i"), body=WriteFailed(1, 0, "cfg", 422, "Invalid", text))], now=NOW)
    log.append([seen("b", 1, copied=f"user:{PLANTED}@host")], now=NOW)
    log.append([seen("b", 2)], now=NOW)


def _texts(engine: Engine) -> Iterator[str]:
    """Every event in full, and every column of every table."""
    yield from (orjson.dumps(event, default=str).decode() for event in LogReader(engine).read(1, 10_000))
    with engine.connect() as connection:
        listed = {
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
            "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        }
        for (table,) in connection.exec_driver_sql(listed[engine.dialect.name]).all():
            yield from (repr(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}"))
    if engine.dialect.name == "sqlite":
        for path in Path(str(engine.url.database)).parent.glob("*"):
            yield path.read_bytes().decode("latin-1")


def _history(url: str, *words: str, given: str = "") -> Result:
    return CliRunner().invoke(app, ["--database", url, *words], input=given)


def test_it_is_gone_from_everything(log: EventLog, engine: Engine, url: str) -> None:
    _fill(log)
    before = {event.position: event for event in log.read(1, 10_000)}
    assert any(PLANTED in text for text in _texts(engine))
    done = _history(url, "redact", "configmap/a", "data.token", "--reason", "slipped through", "--yes")
    assert (done.exception, "105 event(s)" in done.output) == (None, True), done.output
    engine.dispose()
    assert not [text for text in _texts(engine) if PLANTED in text]
    report = verify(engine)
    assert (report.faults, report.redacted) == ([], 105)
    assert compare_with_log(engine, PROJECTIONS) == []
    for position, event in before.items():
        found = LogReader(engine).event(position)
        assert found is not None
        if PLANTED not in str(event):
            assert found == event
        elif isinstance(found.body, ObjectObserved) and found.stream == STREAM:
            data = found.body.object["data"]
            assert MARK in data.pop("token")
            assert {**found.body.object, "data": data} == config_map("a", position, beat=position)


def test_the_event_that_accounts_for_it_tells_nothing(log: EventLog, engine: Engine, url: str) -> None:
    _fill(log)
    _history(url, "redact", "--stdin", "--reason", "leaked", "--yes", given=f"{PLANTED}\n")
    event = log.event(124)
    assert event is not None
    assert isinstance(event.body, LogRedacted)
    assert (len(event.body.positions), event.body.reason) == (105, "leaked")
    log.append([seen("a", 121, beat=1), seen("c", 1)], now=NOW)
    assert verify(engine).ok
    assert compare_with_log(engine, PROJECTIONS) == []


def test_the_copies_it_cannot_reach_are_named(log: EventLog, engine: Engine, url: str, tmp_path: Path) -> None:
    _fill(log)
    copy = tmp_path / "elsewhere" / "log.jsonl.zst"
    copy.parent.mkdir()
    assert CliRunner().invoke(operator, ["db", "export", str(copy), "--database", url]).exit_code == 0
    done = _history(url, "redact", "configmap/a", "data.token", "--reason", "leaked", "--yes")
    assert f"not reached: export {copy}" in done.output
    assert (
        "not reached: " + {"sqlite": "copies of the file", "postgresql": "the server's"}[engine.dialect.name]
        in done.output
    )


def test_one_that_was_killed_before_it_rebuilt_is_finished_by_the_next(log: EventLog, engine: Engine, url: str) -> None:
    _fill(log)
    redact(engine, plan(engine, [PLANTED]), reason="", actor=ACTOR, now=NOW)
    assert any(PLANTED in text for text in _texts(engine))
    again = _history(url, "redact", "configmap/a", "data.token", "--reason", "again", "--yes")
    assert "finished: the redaction of event 124, which had been interrupted" in again.output
    assert not any(PLANTED in text for text in _texts(engine))
    assert compare_with_log(engine, PROJECTIONS) == []


def test_a_dry_run_changes_nothing(log: EventLog, engine: Engine, url: str) -> None:
    _fill(log)
    shown = _history(url, "redact", "configmap/a", "data.token", "--reason", "x", "--dry-run")
    assert "105 event(s) hold it: 3, 4, 5" in shown.output
    assert (log.head(), verify(engine).redacted) == (123, 0)


def test_what_the_cluster_still_shows_is_refused(log: EventLog, engine: Engine) -> None:
    log.append([seen("a", 1, token=PLANTED)], now=NOW)
    log.append([seen("b", 1, token=PLANTED)], now=NOW)
    with pytest.raises(UserError, match="still in the cluster, in configmap default/a, configmap default/b: change it"):
        plan(engine, [PLANTED])


@pytest.mark.parametrize("text", ["", "abc"])
def test_what_is_part_of_ordinary_words_is_refused(log: EventLog, engine: Engine, text: str) -> None:
    with pytest.raises(UserError, match="4 characters"):
        plan(engine, [text])


def test_a_name_and_a_reason_are_refused(log: EventLog, engine: Engine) -> None:
    _fill(log)
    with pytest.raises(UserError, match="part of a name"):
        plan(engine, ["kubectl"])
    with pytest.raises(UserError, match="the reason holds"):
        redact(engine, plan(engine, [PLANTED]), reason=f"it was {PLANTED}", actor=ACTOR, now=NOW)


def test_a_dictionary_that_learnt_it_is_replaced(log: EventLog, engine: Engine) -> None:
    body = shipped_dictionary() + f'"token": "{PLANTED}"'.encode() * 3
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO dictionaries (id, body) VALUES (2, {mark})", (body,))
    other = EventLog(engine, PROJECTIONS)
    other.issue_fence()
    _fill(other)
    before = [event for event in LogReader(engine).read(1, 10_000) if PLANTED not in str(event)]
    redact(engine, plan(engine, [PLANTED]), reason="leaked", actor=ACTOR, now=NOW)
    with engine.connect() as connection:
        bodies = dict(connection.exec_driver_sql("SELECT id, body FROM dictionaries").all())
    assert set(bodies) == {1, 3}
    assert not any(PLANTED.encode() in bytes(one) for one in bodies.values())
    after = {event.position: event for event in LogReader(engine).read(1, 10_000)}
    assert all(after[event.position] == event for event in before)
    # the writer that knew the old one goes on with the new one
    other.append([seen("a", 121, beat=1)], now=NOW)
    assert verify(engine).ok
