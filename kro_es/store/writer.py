"""The one writer as asyncio sees it: an append returns when its events are safe on disk, and many share one commit."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import exc

from kro_es.errors import FenceLost
from kro_es.events.types import Event, NewEvent
from kro_es.store.errors import MirrorError
from kro_es.store.event_log import Appended, EventLog

_AT_ONCE = 1000
"""Events in one transaction, at most (a single larger group goes in whole)."""
_OBSERVATIONS = ("object.", "watch.")
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 5.0
"""Seconds between two tries while the database cannot be written."""
_CURABLE = frozenset({"26000", "3D000", "3F000", "42501", "42P01", "42P05"})
"""What PostgreSQL says of a right, a table, a schema or a prepared statement that is not there now; SQLSTATE."""
logger = structlog.get_logger(__name__)
OBSERVATION_ROOM = 10_000
DECISION_ROOM = 10_000


class WriterClosed(Exception):
    """The writer takes no more events."""


@dataclass(slots=True, eq=False)
class _Pending:
    events: Sequence[NewEvent]
    room: _Room
    done: asyncio.Future[tuple[Event, ...]]


class _Room:
    """How many events may wait; who finds no room waits in line. Lives in the loop's thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, count: int) -> None:
        if not self._line and self._fits(count):
            self._taken += count
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back(count)
            raise

    def push(self, count: int) -> None:
        """Takes room that may not be there."""
        self._taken += count

    def give_back(self, count: int) -> None:
        self._taken -= count
        while self._line and (self._line[0][1].done() or self._fits(self._line[0][0])):
            wanted, turn = self._line.popleft()
            if not turn.done():
                self._taken += wanted
                turn.set_result(None)

    def refuse_all(self, error: Exception) -> None:
        while self._line:
            turn = self._line.popleft()[1]
            if not turn.done():
                turn.set_exception(error)

    def _fits(self, count: int) -> bool:
        return self._taken == 0 or self._taken + count <= self._limit


class LogWriter:
    """Satisfies ``EventLog`` of the controller's ports. Made in a running loop; owns ``log`` from then on.

    Observations and decisions wait in one order but have room of their own: a flood of observations makes the
    watches pause, never a pass. While the database cannot be written everybody waits: what was handed over is
    neither lost nor doubled, and it is acknowledged when it is safe.
    """

    def __init__(
        self,
        log: EventLog,
        on_commit: Callable[[Sequence[Event]], None] | None = None,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.healthy = True
        """False while the database cannot be written."""
        self.lost: asyncio.Future[FenceLost] = asyncio.get_running_loop().create_future()
        """Done when another writer owns the log: nothing will be appended any more."""
        self._log = log
        self._on_commit = on_commit
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._observations = _Room(OBSERVATION_ROOM)
        self._decisions = _Room(DECISION_ROOM)
        self._pending: deque[_Pending] = deque()
        self._arrived = threading.Condition()
        self._closing = False
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._drain, name="log-writer", daemon=True)
        self._thread.start()

    async def append(self, events: Sequence[NewEvent]) -> tuple[Event, ...]:
        """One atomic group, in order; returns after the commit what was not in the log already."""
        if not events:
            return ()
        observed = all(event.body.TYPE.startswith(_OBSERVATIONS) for event in events)
        room = self._observations if observed else self._decisions
        self._open_or_raise()
        await room.take(len(events))
        return await self._lined_up(events, room)

    def submit(self, events: Sequence[NewEvent]) -> asyncio.Future[tuple[Event, ...]]:
        """:meth:`append` that is in line before it returns, whether there is room or not.

        Raises WriterClosed. A pass ends with a few of these; what it begins with had to find room.
        """
        self._open_or_raise()
        self._decisions.push(len(events))
        return self._lined_up(events, self._decisions)

    def _lined_up(self, events: Sequence[NewEvent], room: _Room) -> asyncio.Future[tuple[Event, ...]]:
        pending = _Pending(events, room, self._loop.create_future())
        with self._arrived:
            if self._closing:
                room.give_back(len(events))
                raise WriterClosed("the log writer is closed")
            self._pending.append(pending)
            self._arrived.notify()
        return pending.done

    async def close(self) -> None:
        """Commits what is queued, refuses what waits for room, and ends the thread."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        for room in (self._observations, self._decisions):
            room.refuse_all(WriterClosed("the log writer is closed"))
        await self._ended.wait()
        self._thread.join()

    def _open_or_raise(self) -> None:
        if self._closing:
            raise WriterClosed("the log writer is closed")

    def _drain(self) -> None:
        """The thread: whatever has arrived meanwhile is the next transaction, so a lone event never waits."""
        with self._log.connected():
            while groups := self._next():
                results = self._written([pending.events for pending in groups])
                self._loop.call_soon_threadsafe(self._settle, groups, results)
        self._loop.call_soon_threadsafe(self._ended.set)

    def _written(self, groups: list[Sequence[NewEvent]]) -> list[Appended] | Exception:
        """Tries until the database takes the groups or says that it never will."""
        delay, began = _FIRST_DELAY, time.monotonic()
        told: Exception | None = None
        while True:
            try:
                results = self._log.carried_out() or self._log.append_group(groups, now=self._clock())
            except Exception as error:  # noqa: BLE001 it is handed to those who wait, whatever it is
                if not _passing(error):
                    return error if len(groups) == 1 else self._one_by_one(groups)
                if self.healthy or type(error) is not type(told):
                    self.healthy, told = False, error
                    logger.error(
                        f"{_what(error)} cannot be written: nothing is decided until it can", error=_worded(error)
                    )
                if self._wait(delay):
                    return error
                delay = min(2 * delay, _LONGEST_DELAY)
            else:
                if not self.healthy:
                    self.healthy = True
                    logger.warning(f"{_what(told)} is written again", seconds=round(time.monotonic() - began, 3))
                return results

    def _one_by_one(self, groups: list[Sequence[NewEvent]]) -> list[Appended] | Exception:
        """One group that no database takes must not hinder the others of its transaction."""
        found: list[Appended] = []
        for group in groups:
            results = self._written([group])
            if isinstance(results, FenceLost):
                return results
            found += [results] if isinstance(results, Exception) else results
        return found

    def _wait(self, seconds: float) -> bool:
        """True when the writer was closed meanwhile."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self._closing, seconds)

    def _next(self) -> list[_Pending]:
        """Groups for one transaction; none when closed and all is written."""
        with self._arrived:
            while not self._pending and not self._closing:
                self._arrived.wait()
            groups: list[_Pending] = []
            count = 0
            while self._pending and (not groups or count + len(self._pending[0].events) <= _AT_ONCE):
                groups.append(self._pending.popleft())
                count += len(groups[-1].events)
            return groups

    def _settle(self, groups: list[_Pending], results: list[Appended] | Exception) -> None:
        """In the loop: room is given back, the commit is told, then everybody who waits."""
        for pending in groups:
            pending.room.give_back(len(pending.events))
        if isinstance(results, FenceLost) and not self.lost.done():
            self.lost.set_result(results)
        if isinstance(results, Exception):
            for pending in groups:
                _resolve(pending.done, results)
            return
        committed = [event for result in results if isinstance(result, tuple) for event in result]
        try:
            if committed and self._on_commit is not None:
                self._on_commit(committed)
        finally:
            for pending, result in zip(groups, results, strict=True):
                _resolve(pending.done, result)


def _passing(error: Exception) -> bool:
    """Whether the same transaction may succeed later: the disk was full, the server gone, the file locked, a right withdrawn."""
    if isinstance(error, exc.ProgrammingError):
        return getattr(error.orig, "sqlstate", None) in _CURABLE
    if isinstance(error, exc.DataError | exc.IntegrityError):
        return False
    return isinstance(error, exc.DBAPIError | exc.TimeoutError | OSError | MirrorError)


def _what(error: Exception | None) -> str:
    return "the copy of the rows on this machine" if isinstance(error, MirrorError) else "the log"


def _worded(error: Exception) -> str:
    """The database's own words in one line; never a value."""
    return str(error.orig if isinstance(error, exc.DBAPIError) else error).partition("\n")[0]


def _resolve(done: asyncio.Future[tuple[Event, ...]], result: Appended | Exception) -> None:
    if done.done():
        return
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)
