"""The event log: what is appended is there for good, in one order, with every projection at the same position."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, exc

from kro_es.errors import FenceLost, KroEsError
from kro_es.events.types import Actor, Event, LogRebuilt, LogRetrained, NewEvent
from kro_es.projections.projection import Projection
from kro_es.store.batch import Batch, Encoder, Head, commit, insert
from kro_es.store.delegation import delegate
from kro_es.store.digest import chain
from kro_es.store.engine import WRITE
from kro_es.store.errors import OtherCluster
from kro_es.store.folding import Folding
from kro_es.store.log_file import LogFile
from kro_es.store.log_reader import LogReader
from kro_es.store.maintenance import maintenance_event
from kro_es.store.mirror import Changes, Mirror
from kro_es.store.names import Names
from kro_es.store.packing import Packer
from kro_es.store.seal import refuse_sealed
from kro_es.store.sql import COPIED, run, sent_at_once
from kro_es.store.staging import StagedEvent, Staging
from kro_es.store.stored import Bases
from kro_es.store.streams import Streams
from kro_es.store.succession import free_head
from kro_es.store.upkeep import Upkeep, upkeep
from kro_es.store.verify import VerifyReport, verify

_SALT = 16
_SELF = Actor("kro-es", "controller")
_CATCH_UP_AT_ONCE = 10_000
_KEPT_FOR = 1.0
"""Seconds between two appends for which the connection stays: after more, the pool sees whether it still is one."""
Appended = tuple[Event, ...] | Exception
"""What became of one group: its events as they are in the log, or why none of them is."""
Also = Callable[[Connection, Sequence[Event]], None]
"""More of a transaction, given what it appends."""
_REBUILT = "SELECT 1 FROM events WHERE position > ? AND type_id IN (SELECT id FROM types WHERE name = ?) LIMIT 1"


@dataclass(slots=True)
class _Doubt:
    """A transaction that was told to commit; until the answer nobody knows whether it did."""

    last: int
    chain: bytes
    """No two transactions have the same: every event has a salt of its own."""
    results: list[Appended]
    done: bool = False
    """It did, and what is left to do is to show it in the mirror."""


class EventLog(LogReader):
    """The writing side; used from one thread.

    It may append commands only, until :meth:`issue_fence` makes it the log's one writer. Without ``cluster`` events
    belong to the cluster the log was begun for. ``mirror`` has the rows of every commit before the append returns.
    Projections in ``left`` are folded by processes of their own from the fence on.
    """

    def __init__(
        self,
        engine: Engine,
        projections: Sequence[Projection] = (),
        *,
        cluster: str = "",
        mirror: Mirror | None = None,
        left: Sequence[Projection] = (),
    ) -> None:
        super().__init__(engine)
        self._projections, self._left = projections, left
        self._cluster = cluster
        self._mirror = mirror
        self._fence: int | None = None
        self._file = LogFile(engine)
        self._doubt: _Doubt | None = None
        self._names = Names()
        self._streams = Streams()
        self._folding = Folding(projections)
        self._position = -1
        """Head as this writer last left it; another value in the database means that somebody else wrote."""
        self._mirrored: int | None = None
        """Position the mirror is at."""
        self._replaced = False
        """Somebody replaced rows that the mirror shows, or nobody knows what it lacks."""
        self._unshown: list[Changes] = []
        """Committed, and not in the mirror yet."""
        self._recorded_at = 0
        self._encoder: Encoder | None = None
        self._bases: Bases | None = None
        self._packer: Packer | None = None
        self._dictionaries: set[int] = set()
        self._upkeep: Upkeep | None = None
        self._keeps = False
        self._connection: Connection | None = None
        self._used_at = 0.0

    def append(self, events: Sequence[NewEvent], *, now: int, also: Also | None = None) -> tuple[Event, ...]:
        """One atomic group, in order; events whose identity is already in the log are left out.

        ``also`` happens in the same transaction, after the events. Raises FenceLost when another writer owns the
        log, ConcurrencyError when a stream moved on.
        """
        appended = self.append_group([events], now=now, also=also)[0]
        if isinstance(appended, Exception):
            raise appended
        return appended

    def append_group(
        self, groups: Sequence[Sequence[NewEvent]], *, now: int, also: Also | None = None
    ) -> list[Appended]:
        """Several groups in one transaction, each atomic by itself: one that fails does not hinder the others."""
        results: list[Appended] = []
        with self._writing() as (connection, head):
            staging = Staging(connection, self._streams, commands_only=self._fence is None)
            batch = Batch(head, max(now, self._recorded_at), self._cluster or head.cluster)
            for group in groups:
                try:
                    staged = staging.stage(group)
                except (KroEsError, ValueError, TypeError) as error:
                    results.append(error)
                else:
                    results.append(tuple(self._built(connection, batch, staged)))
            if batch.events:
                learnt = self._taken_up(connection, staging, batch)
                digest = self._store(connection, batch)
                if also is not None:
                    also(connection, batch.events)
                self._doubt = _Doubt(batch.events[-1].position, digest, results)
        if batch.events:
            assert self._doubt is not None
            self._doubt.done = True
            self._position, self._recorded_at = batch.events[-1].position, batch.now
            if self._upkeep is not None:
                self._upkeep.appended(len(batch.events), self._position)
                if learnt:
                    self._upkeep.learnt = None
            self._reflect(self._position)
        elif self.mirror_lost:
            self._load_mirror()
        self._doubt = None
        return results

    def carried_out(self) -> list[Appended] | None:
        """What became of the last append when its commit was never answered; None when it did not happen.

        To be asked before the same groups are appended again.
        """
        doubt = self._doubt
        if doubt is None:
            return None
        if not doubt.done:
            with self._engine.connect().execution_options(**WRITE) as connection, connection.begin():
                # The head is free only when that transaction has ended, one way or the other.
                Head.locked(connection)
                found = run(connection, "SELECT chain FROM commits WHERE last_position = ?", (doubt.last,)).scalar()
            if found is None or bytes(found) != doubt.chain:
                self._doubt = None
                return None
            doubt.done = self._replaced = True
        self._reflect(doubt.last)
        self._doubt = None
        return doubt.results

    def issue_fence(self) -> int:
        """Makes this the one writer, every earlier token is refused from now on; brings projections up to the head.

        Raises SealedLog for a copy that nobody adopted yet, OtherCluster for a log that was begun for another one.
        """
        self._fence = None
        free_head(self._engine)
        with self._writing() as (connection, head):
            refuse_sealed(connection)
            if self._cluster and head.cluster not in ("", self._cluster):
                raise OtherCluster(head.cluster, self._cluster)
            fence = head.fence + 1
            cluster = head.cluster or self._cluster
            run(connection, "UPDATE log_head SET fence = ?, cluster = ?", (fence, cluster))
            delegate(connection, self._projections, self._left)
        self._fence = fence
        self._file.remember()
        self._position = -1
        while not self._caught_up():
            pass
        self._load_mirror()
        return fence

    def heartbeat(self, *, now: int) -> None:
        """Notes that somebody is watching; what lies between the last note and the next start is a gap.

        Nothing happens when another writer owns the log; nor while the database is away, or its file is not there any
        more: the writer tells what is wrong.
        """
        if self._file.lost:
            return
        sql = "UPDATE heartbeat SET at = ? WHERE EXISTS (SELECT 1 FROM log_head WHERE fence = ?)"
        with (
            suppress(exc.DBAPIError),
            self._engine.connect().execution_options(**WRITE) as connection,
            connection.begin(),
        ):
            run(connection, sql, (now, self._fence))

    def last_heartbeat(self) -> int:
        """Microseconds since the epoch; 0 when nobody ever watched."""
        with self._reading() as connection:
            return int(run(connection, "SELECT at FROM heartbeat").scalar_one())

    @property
    def mirror_lost(self) -> bool:
        """Whether an append, of nothing at all if need be, has to load it anew; any thread may ask."""
        return self._mirror is not None and self._mirror.lost

    def verify(self) -> VerifyReport:
        """Recomputes every digest from what is stored."""
        return verify(self._engine)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, Head]]:
        """A transaction that owns the head of the log; whatever goes wrong in it, nothing remembered outlives it."""
        try:
            self._file.refuse_another()
            connection = self._connected()
            with connection.begin():
                head = Head.locked(connection)
                if self._fence is not None and head.fence != self._fence:
                    raise FenceLost(f"the log belongs to writer {head.fence}, this is writer {self._fence}")
                if head.position != self._position:
                    self._refresh(connection, head)
                yield connection, head
        except BaseException:
            self._forget()
            self._disconnect()
            raise
        if not self._keeps:
            self._disconnect()

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Meanwhile appends share a connection: a pool takes longer over one than a small transaction does."""
        with upkeep(self._engine) as self._upkeep:
            self._keeps = True
            try:
                yield
            finally:
                self._keeps = False
                self._disconnect()
                self._upkeep = None

    def _connected(self) -> Connection:
        now = time.monotonic()
        if now - self._used_at > _KEPT_FOR:
            self._disconnect()
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(**WRITE)
        self._used_at = now
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _refresh(self, connection: Connection, head: Head) -> None:
        numbers = {number for (number,) in run(connection, "SELECT id FROM dictionaries")}
        if self._encoder is None or self._bases is None or numbers != self._dictionaries:
            self._packer = Packer.load(connection)
            self._dictionaries = numbers
            self._bases = Bases(self._packer)
            self._encoder = Encoder(self._names, self._packer, self._bases)
        # Whoever wrote meanwhile may have redacted what later versions are deltas against.
        self._bases.forget()
        self._decoder = None
        self._names.refresh(connection)
        self._streams.refresh(connection)
        last = run(connection, "SELECT recorded_at FROM events WHERE position = ?", (head.position,)).scalar()
        self._recorded_at = last or 0
        self._folding.resume(connection, rebuild=self._fence is not None)
        if self._mirrored is not None and not self._replaced:
            found = run(connection, _REBUILT, (self._mirrored, LogRebuilt.TYPE)).first()
            self._replaced = found is not None
        self._position = head.position

    def _caught_up(self) -> bool:
        """Folds the next stretch of what the projections lack; True when nothing is left."""
        with self._writing() as (connection, head):
            behind = self._folding.behind
            if behind is None or behind >= head.position:
                return True
            # of a long log a projection that starts over needs but little, and most of a start is reading
            events = self._read(connection, behind + 1, _CATCH_UP_AT_ONCE, self._folding.lacking(head.position))
            until = events[-1].position if len(events) == _CATCH_UP_AT_ONCE else head.position
            self._folding.fold(connection, events, until=until)
        self._folding.taken()
        return False

    def _reflect(self, position: int) -> None:
        """The mirror shows what was committed; raises MirrorError, and then :meth:`carried_out` tries it again."""
        self._unshown += self._folding.taken()
        if self._mirror is not None and self._fence is not None:
            if self._replaced or self._mirror.lost:
                self._load_mirror()
            else:
                self._mirror.apply(self._unshown, position)
            self._mirrored = position
        self._unshown.clear()

    def _load_mirror(self) -> None:
        if self._mirror is None:
            return
        with self._reading() as connection:
            self._mirror.load(connection)
        self._folding.taken()
        self._unshown.clear()
        self._mirrored, self._replaced = self._position, False

    def _forget(self) -> None:
        self._position = -1
        self._names.forget()
        self._streams.forget()
        if self._bases is not None:
            self._bases.forget()

    def _built(self, connection: Connection, batch: Batch, staged: Sequence[StagedEvent]) -> Iterator[Event]:
        assert self._encoder is not None
        salts = os.urandom(_SALT * len(staged))
        for index, item in enumerate(staged):
            yield batch.add(connection, self._encoder, item, salts[index * _SALT : (index + 1) * _SALT])

    def _taken_up(self, connection: Connection, staging: Staging, batch: Batch) -> bool:
        """What upkeep learnt: events are compressed with it from here on, and an event says so."""
        learnt = None if self._upkeep is None or self._fence is None else self._upkeep.learnt
        if learnt is None or self._packer is None:
            return False
        number = max(self._dictionaries) + 1
        event = maintenance_event(LogRetrained(number, learnt.samples), _SELF, batch.now)
        tuple(self._built(connection, batch, staging.stage([event])))
        learnt.add(connection, number)
        self._packer.reload(connection)
        self._dictionaries.add(number)
        return True

    def _store(self, connection: Connection, batch: Batch) -> bytes:
        first = batch.events[0].position
        behind = self._folding.behind
        if behind is not None and behind < first - 1:
            # Somebody appended without these projections; they must not see a later event first.
            self._folding.fold(connection, self._read(connection, behind + 1, first - 1 - behind))
        if len(batch.rows) >= COPIED:
            return self._put(connection, batch)
        with sent_at_once(connection):
            return self._put(connection, batch)

    def _put(self, connection: Connection, batch: Batch) -> bytes:
        first, last = batch.events[0].position, batch.events[-1].position
        self._names.flush(connection)
        self._streams.flush(connection)
        insert(connection, batch.rows)
        digest = chain(batch.head.chain, first, last, batch.leaves)
        commit(connection, first, last, digest)
        self._folding.fold(connection, batch.events, batch.texts)
        return digest
