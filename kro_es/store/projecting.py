"""Projections folded by a process of their own: one process at a time folds each, and where it ends the next one goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from sqlalchemy import Connection, Engine, exc

from kro_es.events.types import Event
from kro_es.projections.projection import Projection
from kro_es.store.delegation import claim, kept_still
from kro_es.store.errors import LogDamaged, SchemaError
from kro_es.store.folding import Folding
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import check
from kro_es.store.news import FOLDED, PATIENCE, news
from kro_es.store.sql import run

_AT_ONCE = 2000
"""Events folded in one transaction: as long may those who follow closely wait for one that catches up."""
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0
_SESSION = {
    # A server that lost a projector's machine without a word ends its session, and with it its claims, in seconds.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    # What a crash of the server takes, rows and checkpoint together, is folded again: nobody has to wait for the disk.
    "synchronous_commit": "off",
}
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one projection is; ``active`` when this process folds it."""

    name: str
    position: int
    behind: int
    active: bool
    newest: int
    """When the last event this process folded was recorded, microseconds since the epoch; 0 when it folded none now."""


Told: TypeAlias = Callable[[Sequence[Place]], None]


class Projecting:
    """A process's side of it; used from one thread. Several may name the same projections, and stand by for each other.

    A claim is an advisory lock of the session that also writes the rows: a session that is lost loses its claim and
    its transaction together, so no two fold at the same time, whatever became of the first. What the controller folds
    itself is left alone until it leaves it (``kro-es run --projections needed``).
    """

    def __init__(self, engine: Engine, projections: Sequence[Projection], name: str) -> None:
        self.healthy = False
        """False while the database does not answer, or is of another version."""
        self._engine = engine
        self._projections = {projection.name: projection for projection in projections}
        self._name = name
        self._held: set[str] = set()
        self._claimed_at = 0.0
        self._folding: dict[str, Folding] = {}
        self._reader = LogReader(engine)
        self._session: Connection | None = None

    def work(self, stop: threading.Event, told: Told) -> None:
        """Until it is told to stop; what goes wrong with the database is waited out, then it begins anew."""
        delay = _FIRST_DELAY
        while not stop.is_set():
            try:
                for _ in news(self._engine):
                    while not stop.is_set() and self.step(told):
                        pass
                    delay = _FIRST_DELAY
                    if stop.is_set():
                        break
            except (exc.DBAPIError, exc.TimeoutError, OSError, SchemaError, LogDamaged) as error:
                if self.healthy or delay == _FIRST_DELAY:
                    logger.error(
                        "nothing is folded until the database can be used", error=str(error).partition("\n")[0]
                    )
                self.healthy = False
                stop.wait(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
            finally:
                self.close()

    def step(self, told: Told) -> bool:
        """The next stretch of every projection this process may fold; True when there is more to fold."""
        session = self._opened()
        if time.monotonic() - self._claimed_at >= PATIENCE:
            self._claim(session)
        with session.begin():
            active = kept_still(session, sorted(self._held)) if self._held else set()
            before = self._resumed(session, active)
            newest = self._fold(
                session, {name: before[name] for name in active if self._folding[name].behind is not None}
            )
            head = int(run(session, "SELECT position FROM log_head").scalar_one())
            if newest:
                run(session, f"SELECT pg_notify('{FOLDED}', '')")
        places = []
        for name in self._projections:
            position = self._folding[name].behind if name in active else None
            at = before.get(name, 0) if position is None else position
            places.append(Place(name, at, head - at, position is not None, newest.get(name, 0)))
        self.healthy = True
        told(places)
        return any(place.active and place.behind > 0 for place in places)

    def close(self) -> None:
        """Gives up every claim."""
        self._held.clear()
        self._folding.clear()
        if self._session is not None:
            self._session.invalidate()
            self._session.close()
            self._session = None

    def _opened(self) -> Connection:
        if self._session is None:
            check(self._engine)
            self._session = self._engine.connect()
            with self._session.begin():
                for name, value in {"application_name": self._name, **_SESSION}.items():
                    run(self._session, "SELECT set_config(?, ?, false)", (name, value))
            self._claimed_at = 0.0
        return self._session

    def _claim(self, session: Connection) -> None:
        self._claimed_at = time.monotonic()
        with session.begin():
            for name in self._projections.keys() - self._held:
                if claim(session, name):
                    logger.info("folding, or standing by for the controller to leave it", projection=name)
                    self._held.add(name)

    def _resumed(self, session: Connection, active: set[str]) -> dict[str, int]:
        """Stored positions. Whatever is not where this process left it, somebody else wrote: it is taken up anew."""
        found = run(session, "SELECT name, version, position FROM projection_checkpoints").all()
        stored = {name: (version, position) for name, version, position in found}
        for name in active:
            version, position = stored.get(name, (0, 0))
            folding = self._folding.get(name)
            if folding is None or folding.behind != position:
                # Bases of deltas may have been redacted meanwhile.
                self._reader = LogReader(self._engine)
                projection = self._projections[name]
                folding = self._folding[name] = Folding((projection,))
                # Rows of a newer program's version are not this one's to start over.
                folding.resume(session, rebuild=version <= projection.version)
        for name in self._folding.keys() - active:
            del self._folding[name]
        return {name: int(stored.get(name, (0, 0))[1]) for name in self._projections}

    def _fold(self, session: Connection, places: dict[str, int]) -> dict[str, int]:
        """Folds a stretch of each; when the last event of it was recorded, by projection."""
        newest: dict[str, int] = {}
        read: dict[int, list[Event]] = {}
        for name, position in places.items():
            if position not in read:
                read[position] = self._reader.read_with(session, position + 1, _AT_ONCE)
            events = read[position]
            if events:
                self._folding[name].fold(session, events)
                self._folding[name].taken()
                newest[name] = events[-1].recorded_at
        return newest
