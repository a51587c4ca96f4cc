"""Keys waiting for a pass: each at most once, never two passes of one key at a time, failed keys later and later."""

from __future__ import annotations

import asyncio
from collections import deque
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


@dataclass(slots=True)
class Queue:
    """The queue carries keys, never events, so a pass reads the state as it is now (anchors b.3)."""

    _ready: deque[Key] = field(default_factory=deque)
    _waiting: set[Key] = field(default_factory=set)
    _running: set[Key] = field(default_factory=set)
    _again: set[Key] = field(default_factory=set)
    _failures: dict[Key, int] = field(default_factory=dict)
    _timers: dict[Key, asyncio.TimerHandle] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, key: Key) -> None:
        """Ask for a pass; a key that is being worked on is passed once more afterwards."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._wake.set()

    async def take(self) -> Key:
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._running.add(key)
        self._cancel(key)
        return key

    def done(self, key: Key, *, failed: bool = False, after: float | None = None) -> None:
        """End of a pass: ``failed`` retries with growing delay, ``after`` comes back in that many seconds."""
        self._running.discard(key)
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
        return len(self._ready)

    @property
    def busy(self) -> int:
        return len(self._running)

    def _cancel(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
