"""Who waits for the log to grow hears of it: on PostgreSQL at once, on a SQLite file when it looks again."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine

from kro_es.events.types import Event
from kro_es.store import news as module
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from kro_es.store.news import news
from tests.contract.store.support import NOW, command, seen

PATIENCE = 60.0


def test_every_append_is_news(log: EventLog, engine: Engine) -> None:
    """A reader that looks only when it is told reads on to the end."""
    found: list[int] = []
    listening = threading.Event()

    def follow() -> None:
        reader = LogReader(engine)
        for _ in news(engine):
            listening.set()
            found.extend(event.position for event in reader.read(len(found) + 1, 100))
            if len(found) == 30:
                return

    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(follow)
        assert listening.wait(PATIENCE)
        for version in range(30):
            log.append([seen("a", version)], now=NOW)
        following.result(PATIENCE)
    assert found == list(range(1, 31))


def _patient(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    """Nothing is seen by looking unasked any more."""
    if engine.dialect.name != "postgresql":
        pytest.skip("a file tells nobody")
    monkeypatch.setattr(module, "PATIENCE", 600.0)


def test_postgresql_tells_at_once(log: EventLog, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _patient(monkeypatch, engine)
    told = news(engine)
    next(told)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: next(told))
        log.append([seen("a", 1)], now=NOW)
        waiting.result(PATIENCE)
        # what another process appends is news too
        waiting = threads.submit(lambda: next(told))
        code = (
            "import sys; from kro_es.store.engine import open_engine; from kro_es.store.event_log import EventLog;"
            "from tests.contract.store.support import NOW, command;"
            "EventLog(open_engine(sys.argv[1])).append([command()], now=NOW)"
        )
        subprocess.run([sys.executable, "-c", code, engine.url.render_as_string(hide_password=False)], check=True)
        waiting.result(PATIENCE)
    assert LogReader(engine).head() == 2


def test_only_what_is_committed_is_told(log: EventLog, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _patient(monkeypatch, engine)
    reader, told = LogReader(engine), news(engine)
    next(told)

    def fail(_: Connection, __: Sequence[Event]) -> None:
        raise RuntimeError("at the last moment")

    with pytest.raises(RuntimeError):
        log.append([seen("a", 1)], now=NOW, also=fail)
    log.append([seen("b", 1), seen("b", 2)], now=NOW)
    next(told)
    assert [event.subject.name for event in reader.read(1, 10)] == ["b", "b"]
    assert log.append([seen("b", 2)], now=NOW) == ()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: next(told))
        with pytest.raises(TimeoutError):
            waiting.result(0.2)  # nothing was appended: nobody is woken; no event tells that
        log.append([command()], now=NOW)
        waiting.result(PATIENCE)


def test_a_file_is_looked_at_once_a_second(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("PostgreSQL tells")
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    told = news(open_engine(url))
    for _ in range(4):
        next(told)
    assert slept == [1.0, 1.0, 1.0]


def test_a_server_that_goes_away_is_told(log: EventLog, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _patient(monkeypatch, engine)
    told = news(engine)
    next(told)
    with engine.connect() as connection, connection.begin():
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
        connection.exec_driver_sql(sql)
    with pytest.raises(ConnectionError):
        next(told)
