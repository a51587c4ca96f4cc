"""Whoever asks while nobody watches is told so, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from kro_es.events.types import Actor, NewEvent, Subject, WatchGap, WatchLost, WatchResumed
from kro_es.history.gaps import gaps, notes
from kro_es.history.read_only import select
from kro_es.history.source import History, open_history
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from tests.contract.store.support import NOW

Asked = Callable[[int], History]
HOUR = 3_600_000_000
KIND, SELECTOR = "apps/Deployment", "owned"


@pytest.fixture
def log(engine: Engine) -> EventLog:
    migrate(engine)
    opened = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    opened.issue_fence()
    return opened


def _told(body: WatchLost | WatchGap | WatchResumed) -> NewEvent:
    return NewEvent(f"watch/{KIND}/{SELECTOR}", body, Subject("apps", "Deployment"), Actor("kro-es", "controller"), NOW)


@pytest.fixture
def asked(url: str) -> Iterator[Asked]:
    """The log so many hours later."""
    with ExitStack() as stack:

        def ask(hours: int) -> History:
            history = open_history(url, NOW + hours * HOUR)
            stack.callback(history.close)
            return history

        yield ask


def _view(url: str) -> list[tuple[object, ...]]:
    rows = select(url, "SELECT until, seconds, reason, position FROM v_gaps").rows
    return [tuple(row.values()) for row in rows]


def test_a_gap_that_lasts_is_told_and_then_takes_its_place(log: EventLog, url: str, asked: Asked) -> None:
    log.append([_told(WatchLost(KIND, SELECTOR, NOW, "Forbidden"))], now=NOW)
    one = asked(1)
    (row,) = gaps(one, 0, one.now).rows
    assert (row["until"], row["seconds"], row["lasted"], row["reason"]) == (None, None, "1h", "Forbidden")
    (note,) = notes(one, 0, one.now, {KIND})
    assert note.startswith("nobody watches apps/Deployment from ")
    assert note.endswith(": what changes is not seen yet")
    assert notes(one, 0, NOW - 1, {KIND}) == notes(one, 0, one.now, {"/Secret"}) == ()
    assert _view(url) == [(None, None, "Forbidden", 1)]
    log.append([_told(WatchGap(KIND, SELECTOR, NOW, NOW + HOUR, "Forbidden"))], now=NOW + HOUR)
    two = asked(2)
    (row,) = gaps(two, 0, two.now).rows
    assert (row["seconds"], row["position"]) == (3600, 2)
    assert notes(two, 0, two.now)[0].startswith("nobody watched apps/Deployment from ")
    assert [(seconds, position) for _, seconds, _, position in _view(url)] == [(3600, 2)]


def test_a_watch_that_goes_on_leaves_no_gap(log: EventLog, url: str, asked: Asked) -> None:
    log.append([_told(WatchLost(KIND, SELECTOR, NOW, "disconnect")), _told(WatchResumed(KIND, SELECTOR))], now=NOW)
    one = asked(1)
    assert (gaps(one, 0, one.now).rows, notes(one, 0, one.now), _view(url)) == ([], (), [])


def test_a_log_without_a_controller_says_since_when(log: EventLog, asked: Asked) -> None:
    assert notes(asked(1), 0, NOW + HOUR) == (), "nobody ever watched"
    log.heartbeat(now=NOW)
    assert notes(asked(1), 0, NOW + 59_000_000) == ()
    (note,) = notes(asked(1), 0, NOW + HOUR)
    assert note.startswith("no controller has written to this log since ")
