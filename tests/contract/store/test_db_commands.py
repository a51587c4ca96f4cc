"""``kro-es db`` on both databases, as a person types it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from kro_es.cli.operator import app
from kro_es.projections.registry import PROJECTIONS
from kro_es.store import prune as pruning
from kro_es.store.errors import SchemaError
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from tests.contract.store.support import ACTOR, NOW, settled
from tests.contract.store.test_prune import churn


def _db(*words: str, url: str) -> Result:
    return CliRunner().invoke(app, ["db", *words, "--database", url])


def _log(engine: Engine) -> EventLog:
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    return log


def test_a_database_is_made_and_its_revision_told(url: str) -> None:
    assert _db("current", url=url).output == "none\n"
    assert isinstance(_db("verify", url=url).exception, SchemaError)
    made = _db("upgrade", url=url)
    assert made.exit_code == 0
    assert made.output.removeprefix("at revision ") == _db("current", url=url).output


def test_old_status_is_pruned(url: str, engine: Engine) -> None:
    log = _log(engine)
    log.append([churn(version, version) for version in range(1, 31)], now=NOW)
    dry = _db("prune", "--dry-run", url=url)
    assert "would go: 28 event(s)" in dry.output
    assert log.head() == 30
    assert "gone: 28 event(s)" in _db("prune", url=url).output
    assert "whole: 4 events (28 pruned before, 0 redacted)" in _db("verify", url=url).output
    assert "gone: 0 event(s)" in _db("prune", "--status-days", "0", url=url).output


def test_a_prune_that_was_killed_before_it_rebuilt_is_finished_by_the_next(url: str, engine: Engine) -> None:
    log = _log(engine)
    log.append([churn(version, version) for version in range(1, 31)], now=NOW)
    pruning.prune(engine, pruning.plan(engine, NOW + 1), actor=ACTOR, now=NOW)
    told = _db("verify", url=url)
    assert told.exit_code == 1
    assert "kro-es db rebuild folds them anew; what log.pruned (event 31) began was interrupted" in told.output
    assert "gone: 0 event(s)" in _db("prune", "--status-days", "0", url=url).output
    assert _db("verify", url=url).exit_code == 0
    head = log.head()
    assert "gone: 0 event(s)" in _db("prune", "--status-days", "0", url=url).output
    assert log.head() == head


def test_wrong_rows_are_named_and_rebuilt(url: str, engine: Engine) -> None:
    log = _log(engine)
    log.append([churn(1, 1), settled("i")], now=NOW)
    assert _db("verify", url=url).exit_code == 0
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE p_objects SET actor = 'somebody'")
    wrong = _db("verify", url=url)
    assert wrong.exit_code == 1
    assert "differs in actor" in wrong.output
    assert wrong.output.endswith("kro-es db rebuild folds them anew\n")
    assert "rebuilt" in _db("rebuild", url=url).output
    assert _db("verify", url=url).exit_code == 0


@pytest.mark.parametrize("change", ["UPDATE events SET occurred_at = 1 WHERE position = 1"])
def test_a_log_that_is_not_whole_is_named(url: str, engine: Engine, change: str) -> None:
    _log(engine).append([churn(1, 1)], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql(change)
    found = _db("verify", url=url)
    assert found.exit_code == 1
    assert "event 1: not what was written" in found.output
    assert "rebuild" not in found.output
