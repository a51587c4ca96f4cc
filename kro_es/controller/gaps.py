"""When nobody watched: each gap is recorded when it ends, and one that lasts is told while it does."""

from __future__ import annotations

from collections.abc import Callable, Set
from contextlib import AbstractContextManager

from kro_es.api.watch import EXPIRED, Broken, Watched
from kro_es.controller.ports import Reader
from kro_es.events.types import Actor, NewEvent, Subject, WatchGap, WatchLost, WatchResumed

LOST = 30_000_000
"""Microseconds a watch is broken before that is told: most go on at once, and what they missed comes with their gap."""
_SELF = Actor("kro-es", "controller")


class Gaps:
    """Which watches do not watch, since when and why; one per controller."""

    def __init__(self, open_reader: Callable[[], AbstractContextManager[Reader]], clock: Callable[[], int]) -> None:
        self._open_reader = open_reader
        self._clock = clock
        self._since: dict[Watched, tuple[int, str]] = {}
        self._broken: set[Watched] = set()
        self._gapless: dict[str, bool] = {}
        """Streams of broken watches that came to an end without a gap, and whether they are still needed."""
        self._once_up: set[Watched] = set()
        self._begun = 0
        self.last_seen_alive = 0
        """Microseconds: until when an earlier run is known to have watched; 0 for an empty log."""

    def __contains__(self, watched: Watched) -> bool:
        return watched in self._since

    def begin(self, watched: Watched, broken: Broken) -> None:
        since, why = self._since.get(watched, (self._clock() - int(broken.silent * 1_000_000), broken.reason))
        # what broke it and that it cannot be resumed are two facts; how often it was tried is none
        also = broken.reason == EXPIRED and EXPIRED not in why
        self._since[watched] = since, f"{why}, {broken.reason}" if also else why
        self._broken.add(watched)
        self._gapless.pop(_stream(watched), None)

    def resumed(self, watched: Watched) -> None:
        """It went on where it was: nothing was missed."""
        self._since.pop(watched, None)
        self._mend(watched, needed=True)

    def unneeded(self, watched: Watched) -> None:
        self._since.setdefault(watched, (self._clock(), "not needed"))
        self._mend(watched, needed=False)

    def _mend(self, watched: Watched, *, needed: bool) -> None:
        if watched in self._broken:
            self._broken.discard(watched)
            self._gapless[_stream(watched)] = needed

    def end(self, watched: Watched, *, has_history: bool) -> list[NewEvent]:
        """The gap that a list ends, if there was one.

        A watch that is refused since the start was blind before it, too: from the end of the run before, or from where
        that one lost it.
        """
        before = self.last_seen_alive if has_history and watched not in self._once_up else 0
        self._once_up.add(watched)
        since, reason = self._since.pop(watched, (before, "restart"))
        self._broken.discard(watched)
        stream = _stream(watched)
        self._gapless.pop(stream, None)
        with self._open_reader() as reader:
            lost = reader.row("lost_watches", stream)
        begins = [found for found in (since, before, int(str(lost["since"])) if lost else 0) if found]
        if not begins:
            return []
        now = self._clock()
        return [_event(stream, WatchGap(watched.kind_key, watched.text, min(begins), now, reason), now)]

    def news(self, active: Set[Watched]) -> list[NewEvent]:
        """What is lost for long enough to be told, and what was told and ended without a gap; ``active``: had a list."""
        now = self._clock()
        self._begun = self._begun or now
        with self._open_reader() as reader:
            told = dict(reader.all_rows("lost_watches"))
        broken = {_stream(watched): watched for watched in self._broken}
        events = []
        for stream, watched in broken.items():
            since, reason = self._since[watched]
            if stream not in told and now - since >= LOST:
                events.append(_event(stream, WatchLost(watched.kind_key, watched.text, since, reason), now))
        # told once more until it is recorded
        self._gapless = {stream: needed for stream, needed in self._gapless.items() if stream in told}
        up = {_stream(watched) for watched in active}
        for stream, row in told.items():
            # what a run before left behind may still be on its way to its first list; after that, its gap is
            left = stream not in broken and stream not in up and now - self._begun >= LOST
            if left or stream in self._gapless:
                needed = self._gapless.get(stream, False)
                body = WatchResumed(str(row["kind"]), str(row["selector"]), needed=needed)
                events.append(_event(stream, body, now))
        return events


def _stream(watched: Watched) -> str:
    return f"watch/{watched.kind_key}/{watched.text}"


def _event(stream: str, body: WatchGap | WatchLost | WatchResumed, now: int) -> NewEvent:
    group, _, kind = body.kind.rpartition("/")
    return NewEvent(stream, body, Subject(group, kind), _SELF, now)
