"""Times at which this process did not run, because it was stopped or its machine was: nobody watched then."""

from __future__ import annotations

import asyncio
import time

_TICK_SECONDS = 1.0
_LEAST_SECONDS = 3.0
_LATELY_SECONDS = 45.0
"""A connection that ended during a stall is known to have done so by then."""


class Stalls:
    """By the clock on the wall: the others stop with the machine."""

    def __init__(self) -> None:
        self._seen = time.time()
        self._began = self._ended = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(_TICK_SECONDS)

    def seconds(self) -> float:
        """How long ago a stall began that ended lately; 0 when there was none."""
        now = self._look()
        return now - self._began if now - self._ended < _LATELY_SECONDS else 0.0

    def _look(self) -> float:
        now = time.time()
        if now - self._seen > _LEAST_SECONDS:
            self._began, self._ended = self._seen, now
        self._seen = now
        return now
