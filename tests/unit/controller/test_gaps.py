"""A gap that lasts is told while it does, once, and what was told always comes to an end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kro_es.api.watch import Broken, Watched
from kro_es.controller.gaps import LOST, Gaps
from kro_es.events.types import Body, NewEvent, WatchGap, WatchLost, WatchResumed
from kro_es.projections.bookkeeping import LostWatches
from kro_es.projections.projection import Row
from tests.support.ingesting import CONFIG_MAPS, SECRETS

MINUTE = 60_000_000


class _Log:
    """What is recorded, the rows of it, and the time; ``run`` is a controller of it."""

    def __init__(self) -> None:
        self.now = 1_000 * MINUTE
        self.rows: dict[str, Row] = {}

    def run(self, last_seen_alive: int = 0) -> Gaps:
        found = Gaps(self._reader, lambda: self.now)
        found.last_seen_alive = last_seen_alive
        return found

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        yield self

    def row(self, projection: str, key: str) -> Row | None:
        return self.rows.get(key)

    def all_rows(self, projection: str) -> list[tuple[str, Row]]:
        return list(self.rows.items())

    def keep(self, events: Sequence[NewEvent]) -> list[Body]:
        folding = LostWatches()
        for event in events:
            recorded: Any = _Recorded(event)
            for key in folding.keys(recorded):
                row = folding.fold(key, self.rows.pop(key, None), recorded)
                self.rows |= {key: row} if row is not None else {}
        return [event.body for event in events]


class _Recorded:
    position = 7

    def __init__(self, event: NewEvent) -> None:
        self.stream, self.body = event.stream, event.body


@pytest.fixture
def log() -> _Log:
    return _Log()


def _lost(log: _Log, gaps: Gaps, watched: Watched = CONFIG_MAPS) -> int:
    """Since when, after it was told."""
    gaps.begin(watched, Broken("Forbidden"))
    since = log.now
    log.now += LOST
    assert log.keep(gaps.news({watched})) == [WatchLost(watched.kind_key, watched.text, since, "Forbidden")]
    return since


def test_a_break_is_told_when_it_has_lasted_and_only_once(log: _Log) -> None:
    gaps = log.run()
    gaps.begin(CONFIG_MAPS, Broken("Forbidden"))
    log.now += LOST - 1
    assert gaps.news({CONFIG_MAPS}) == []
    log.now += 1
    assert len(log.keep(gaps.news({CONFIG_MAPS}))) == 1
    log.now += MINUTE
    assert gaps.news({CONFIG_MAPS}) == []


def test_its_gap_ends_it(log: _Log) -> None:
    gaps = log.run()
    since = _lost(log, gaps)
    log.now += MINUTE
    assert log.keep(gaps.end(CONFIG_MAPS, has_history=True)) == [
        WatchGap(CONFIG_MAPS.kind_key, CONFIG_MAPS.text, since, log.now, "Forbidden")
    ]
    assert (log.rows, gaps.news({CONFIG_MAPS})) == ({}, [])


def test_while_its_gap_waits_for_the_database_nothing_else_is_said(log: _Log) -> None:
    gaps = log.run()
    _lost(log, gaps)
    waiting = gaps.end(CONFIG_MAPS, has_history=True)
    assert gaps.news({CONFIG_MAPS}) == []
    log.keep(waiting)
    assert (log.rows, gaps.news({CONFIG_MAPS})) == ({}, [])


def test_a_watch_that_breaks_again_is_still_lost(log: _Log) -> None:
    gaps = log.run()
    _lost(log, gaps)
    gaps.resumed(CONFIG_MAPS)
    gaps.begin(CONFIG_MAPS, Broken("disconnect"))
    assert gaps.news({CONFIG_MAPS}) == []


def test_a_watch_that_goes_on_ends_it_without_a_gap(log: _Log) -> None:
    gaps = log.run()
    _lost(log, gaps)
    gaps.resumed(CONFIG_MAPS)
    assert log.keep(gaps.news({CONFIG_MAPS})) == [WatchResumed(CONFIG_MAPS.kind_key, CONFIG_MAPS.text)]
    assert (log.rows, gaps.news({CONFIG_MAPS})) == ({}, [])


def test_a_watch_nobody_needs_any_more_is_not_lost(log: _Log) -> None:
    gaps = log.run()
    _lost(log, gaps)
    gaps.unneeded(CONFIG_MAPS)
    log.now += MINUTE
    assert log.keep(gaps.news(set())) == [WatchResumed(CONFIG_MAPS.kind_key, CONFIG_MAPS.text, needed=False)]
    gaps.unneeded(SECRETS)
    log.now += MINUTE
    assert gaps.news(set()) == []


def test_a_gap_over_a_restart_begins_where_the_run_before_lost_the_watch(log: _Log) -> None:
    since = _lost(log, log.run())
    alive = log.now
    log.now += MINUTE
    gaps = log.run(alive)
    assert gaps.news(set()) == []
    (gap,) = log.keep(gaps.end(CONFIG_MAPS, has_history=True))
    assert (gap.since, gap.until, log.rows) == (since, log.now, {})  # type: ignore[union-attr]


def test_what_a_run_before_lost_and_this_one_does_not_watch_is_let_go(log: _Log) -> None:
    _lost(log, log.run())
    gaps = log.run()
    assert gaps.news(set()) == []
    log.now += LOST
    assert log.keep(gaps.news(set())) == [WatchResumed(CONFIG_MAPS.kind_key, CONFIG_MAPS.text, needed=False)]


def test_what_a_run_before_lost_and_this_one_cannot_watch_either_stays_told(log: _Log) -> None:
    since = _lost(log, log.run())
    gaps = log.run(log.now)
    gaps.begin(CONFIG_MAPS, Broken("Forbidden"))
    for _ in range(3):
        log.now += LOST
        assert gaps.news(set()) == []
    assert [row["since"] for row in log.rows.values()] == [since]
