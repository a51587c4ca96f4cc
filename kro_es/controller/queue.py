"""Keys waiting for a pass: each once, never two passes of one at a time, kinds in turn, failed keys later and later."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal

FIRST_DELAY = 0.2
"""Seconds before the first retry of a failed key (kro's default, spec/03 §14)."""
LONGEST_DELAY = 300.0
"""kro waits up to 1000 s; five minutes keep a repaired cluster from looking stuck."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What a pass is about: a definition or an instance by uid, and the reference its object is stored under."""

    kind: Literal["definition", "instance"]
    uid: str
    ref: str
    """``ObjectRef.key`` of the object."""

    @property
    def lane(self) -> tuple[str, str]:
        """Whom it waits in line with: definitions, or the instances of one kind."""
        return self.kind, self.ref[: self.ref.index("/", self.ref.index("/") + 1)]


@dataclass(slots=True)
class Queue:
    """The queue carries keys, never events, so a pass reads the state as it is now (anchors b.3).

    One line for each kind, served in turn: thousands of instances of one definition delay one of another by a single
    turn of each line, not by thousands. ``most`` of one line are worked on at a time, so that slow writes of one kind
    leave workers for the others.
    """

    most: int = sys.maxsize
    _lines: OrderedDict[tuple[str, str], deque[Key]] = field(default_factory=OrderedDict)
    _waiting: set[Key] = field(default_factory=set)
    _running: set[Key] = field(default_factory=set)
    _again: set[Key] = field(default_factory=set)
    _under_way: Counter[tuple[str, str]] = field(default_factory=Counter)
    _failures: dict[Key, int] = field(default_factory=dict)
    _timers: dict[Key, asyncio.TimerHandle] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, key: Key) -> None:
        """Ask for a pass; a key that is being worked on is passed once more afterwards."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._lines.setdefault(key.lane, deque()).append(key)
            self._wake.set()

    async def take(self) -> Key:
        while (lane := self._turn()) is None:
            self._wake.clear()
            await self._wake.wait()
        line = self._lines.pop(lane)
        key = line.popleft()
        if line:
            self._lines[lane] = line
        self._waiting.discard(key)
        self._running.add(key)
        self._under_way[lane] += 1
        self._cancel(key)
        return key

    def _turn(self) -> tuple[str, str] | None:
        return next((lane for lane in self._lines if self._under_way[lane] < self.most), None)

    def done(self, key: Key, *, failed: bool = False, after: float | None = None) -> None:
        """End of a pass: ``failed`` retries with growing delay, ``after`` comes back in that many seconds."""
        self._running.discard(key)
        self._under_way[key.lane] -= 1
        if self._lines:
            self._wake.set()
        if failed:
            count = self._failures.get(key, 0)
            self._failures[key] = count + 1
            after = min(FIRST_DELAY * 2**count, LONGEST_DELAY)
        elif after is None:
            self._failures.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif after is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(after, self.add, key)

    def forget(self, key: Key) -> None:
        """The object is gone: no retry of it is wanted any more."""
        self._failures.pop(key, None)
        self._again.discard(key)
        self._cancel(key)

    def close(self) -> None:
        for key in list(self._timers):
            self._cancel(key)

    @property
    def depth(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._running)

    def _cancel(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
