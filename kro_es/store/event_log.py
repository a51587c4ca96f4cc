"""The event log: what is appended is there for good, in one order, with every projection at the same position."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from kro_es.errors import FenceLost, KroEsError
from kro_es.events import delta
from kro_es.events.types import Event, NewEvent, ObjectObserved
from kro_es.projections.projection import Projection
from kro_es.store.digest import chain, leaf
from kro_es.store.engine import WRITE
from kro_es.store.folding import Folding
from kro_es.store.log_reader import LogReader
from kro_es.store.mirror import Mirror
from kro_es.store.names import Names
from kro_es.store.packing import DELTA, LATE, Packer
from kro_es.store.sql import Values, run, run_many
from kro_es.store.staging import StagedEvent, Staging
from kro_es.store.stored import Bases, header_of
from kro_es.store.streams import StreamHead, Streams
from kro_es.store.verify import VerifyReport, verify

_SNAPSHOT_EVERY = 100
_SALT = 16
_CATCH_UP_AT_ONCE = 10_000
_INSERT = (
    "INSERT INTO events (position, stream_id, stream_version, type_id, type_version, subject_id, actor_id,"
    " resource_version, occurred_at, recorded_at, cause, correlation_id, event_id, base_version, encoding, payload,"
    " salt, leaf) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_HEAD = "SELECT position, chain, fence, cluster FROM log_head"

Appended = tuple[Event, ...] | Exception
"""What became of one group: its events as they are in the log, or why none of them is."""


@dataclass(slots=True)
class _Head:
    position: int
    chain: bytes
    fence: int
    cluster: str


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A transaction that was told to commit; until the answer nobody knows whether it did."""

    last: int
    chain: bytes
    """No two transactions have the same: every event has a salt of its own."""
    results: list[Appended]


class EventLog(LogReader):
    """The writing side; used from one thread.

    It may append commands only, until :meth:`issue_fence` makes it the log's one writer. Without ``cluster`` events
    belong to the cluster the log was begun for. ``mirror`` has the rows of every commit before the append returns.
    """

    def __init__(
        self,
        engine: Engine,
        projections: Sequence[Projection] = (),
        *,
        cluster: str = "",
        mirror: Mirror | None = None,
    ) -> None:
        super().__init__(engine)
        self._cluster = cluster
        self._mirror = mirror
        self._fence: int | None = None
        self._doubt: _Doubt | None = None
        self._names = Names()
        self._streams = Streams()
        self._folding = Folding(projections)
        self._position = -1
        """Head as this writer last left it; another value in the database means that somebody else wrote."""
        self._recorded_at = 0
        self._packer: Packer | None = None
        self._bases: Bases | None = None

    def append(self, events: Sequence[NewEvent], *, now: int) -> tuple[Event, ...]:
        """One atomic group, in order; events whose identity is already in the log are left out.

        Raises FenceLost when another writer owns the log, ConcurrencyError when a stream moved on.
        """
        appended = self.append_group([events], now=now)[0]
        if isinstance(appended, Exception):
            raise appended
        return appended

    def append_group(self, groups: Sequence[Sequence[NewEvent]], *, now: int) -> list[Appended]:
        """Several groups in one transaction, each atomic by itself: one that fails does not hinder the others."""
        results: list[Appended] = []
        with self._writing() as (connection, head):
            staging = Staging(connection, self._streams, commands_only=self._fence is None)
            batch = _Batch(head, max(now, self._recorded_at), self._cluster or head.cluster)
            for group in groups:
                try:
                    staged = staging.stage(group)
                except (KroEsError, ValueError, TypeError) as error:
                    results.append(error)
                else:
                    results.append(tuple(self._built(connection, batch, staged)))
            if batch.events:
                digest = self._store(connection, batch)
                self._doubt = _Doubt(batch.events[-1].position, digest, results)
        if batch.events:
            self._position, self._recorded_at = batch.events[-1].position, batch.now
            self._reflect()
        self._doubt = None
        return results

    def carried_out(self) -> list[Appended] | None:
        """What became of the last append when its commit was never answered; None when it did not happen.

        To be asked before the same groups are appended again.
        """
        doubt = self._doubt
        if doubt is None:
            return None
        with self._engine.connect().execution_options(**WRITE) as connection, connection.begin():
            # The head is free only when that transaction has ended, one way or the other.
            self._lock(connection)
            found = run(connection, "SELECT chain FROM commits WHERE last_position = ?", (doubt.last,)).scalar()
            done = found is not None and bytes(found) == doubt.chain
            if done and self._mirror is not None:
                self._mirror.load(connection)
        self._doubt = None
        return doubt.results if done else None

    def issue_fence(self) -> int:
        """Makes this the one writer, every earlier token is refused from now on; brings projections up to the head."""
        self._fence = None
        with self._writing() as (connection, head):
            fence = head.fence + 1
            cluster = head.cluster or self._cluster
            run(connection, "UPDATE log_head SET fence = ?, cluster = ?", (fence, cluster))
        self._fence = fence
        self._position = -1
        while not self._caught_up():
            pass
        if self._mirror is not None:
            with self._reading() as connection:
                self._mirror.load(connection)
            self._folding.taken()
        return fence

    def heartbeat(self, *, now: int) -> None:
        """Notes that somebody is watching; what lies between the last note and the next start is a gap.

        Nothing happens when another writer owns the log.
        """
        sql = "UPDATE heartbeat SET at = ? WHERE EXISTS (SELECT 1 FROM log_head WHERE fence = ?)"
        with self._engine.connect().execution_options(**WRITE) as connection, connection.begin():
            run(connection, sql, (now, self._fence))

    def last_heartbeat(self) -> int:
        """Microseconds since the epoch; 0 when nobody ever watched."""
        with self._reading() as connection:
            return int(run(connection, "SELECT at FROM heartbeat").scalar_one())

    def verify(self) -> VerifyReport:
        """Recomputes every digest from what is stored."""
        return verify(self._engine)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, _Head]]:
        """A transaction that owns the head of the log; whatever goes wrong in it, nothing remembered outlives it."""
        try:
            with self._engine.connect().execution_options(**WRITE) as connection, connection.begin():
                head = self._lock(connection)
                if self._fence is not None and head.fence != self._fence:
                    raise FenceLost(f"the log belongs to writer {head.fence}, this is writer {self._fence}")
                if head.position != self._position:
                    self._refresh(connection, head)
                yield connection, head
        except BaseException:
            self._forget()
            raise

    @staticmethod
    def _lock(connection: Connection) -> _Head:
        # SQLite holds the one write lock since BEGIN IMMEDIATE.
        lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
        position, digest, fence, cluster = run(connection, _HEAD + lock).one()
        return _Head(position, bytes(digest), fence, cluster)

    def _refresh(self, connection: Connection, head: _Head) -> None:
        if self._packer is None or self._bases is None:
            self._packer = Packer.load(connection)
            self._bases = Bases(self._packer)
        self._names.refresh(connection)
        self._streams.refresh(connection)
        last = run(connection, "SELECT recorded_at FROM events WHERE position = ?", (head.position,)).scalar()
        self._recorded_at = last or 0
        self._folding.resume(connection, rebuild=self._fence is not None)
        self._position = head.position

    def _caught_up(self) -> bool:
        """Folds the next stretch of what the projections lack; True when nothing is left."""
        with self._writing() as (connection, head):
            behind = self._folding.behind
            if behind is None or behind >= head.position:
                return True
            self._folding.fold(connection, self._read(connection, behind + 1, _CATCH_UP_AT_ONCE))
        self._folding.taken()
        return False

    def _reflect(self) -> None:
        """The mirror shows what was committed; one that cannot is loaded anew by :meth:`carried_out`."""
        changes = self._folding.taken()
        if self._mirror is not None and self._fence is not None:
            self._mirror.apply(changes, self._position)

    def _forget(self) -> None:
        self._position = -1
        self._names.forget()
        self._streams.forget()
        if self._bases is not None:
            self._bases.forget()

    def _built(self, connection: Connection, batch: _Batch, staged: Sequence[StagedEvent]) -> Iterator[Event]:
        salts = os.urandom(_SALT * len(staged))
        for index, item in enumerate(staged):
            event = batch.event(item)
            stream = self._streams.find(connection, event.stream)
            stream.position = event.position
            salt = salts[index * _SALT : (index + 1) * _SALT]
            digest = leaf(header_of(event), salt, item.canonical)
            base, encoding, payload = self._packed(connection, stream, item)
            row = (
                event.position,
                stream.id,
                item.version,
                self._names.type(connection, item.type),
                item.type_version,
                self._names.subject(connection, event.cluster, event.subject),
                self._names.actor(connection, event.actor),
                event.resource_version,
                event.occurred_at,
                event.recorded_at,
                event.cause,
                self._names.correlation(connection, event.correlation),
                item.event_id,
                base,
                encoding,
                payload,
                salt,
                digest,
            )
            batch.add(event, row, digest)
            yield event

    def _packed(self, connection: Connection, stream: StreamHead, item: StagedEvent) -> tuple[int | None, int, bytes]:
        """Base version, encoding and bytes: a delta against the stream's last full observation where that is short."""
        assert self._packer is not None
        assert self._bases is not None
        flags = LATE if item.late else 0
        if not isinstance(item.new.body, ObjectObserved):
            return None, *self._packer.pack(item.canonical, flags)
        base = stream.snapshot_version
        if base and item.version - base < _SNAPSHOT_EVERY:
            change = delta.diff(self._bases.get(connection, stream.id, base), item.payload, item.canonical)
            text = delta.canonical(change)
            if len(text) <= 0.7 * len(item.canonical):
                return base, *self._packer.pack(text, flags | DELTA)
        stream.snapshot_version = item.version
        self._bases.put(stream.id, item.version, item.payload)
        return None, *self._packer.pack(item.canonical, flags)

    def _store(self, connection: Connection, batch: _Batch) -> bytes:
        first, last = batch.events[0].position, batch.events[-1].position
        behind = self._folding.behind
        if behind is not None and behind < first - 1:
            # Somebody appended without these projections; they must not see a later event first.
            self._folding.fold(connection, self._read(connection, behind + 1, first - 1 - behind))
        self._names.flush(connection)
        self._streams.flush(connection)
        run_many(connection, _INSERT, batch.rows)
        digest = chain(batch.head.chain, first, last, batch.leaves)
        run(
            connection,
            "INSERT INTO commits (first_position, last_position, chain) VALUES (?, ?, ?)",
            (first, last, digest),
        )
        run(connection, "UPDATE log_head SET position = ?, chain = ?", (last, digest))
        self._folding.fold(connection, batch.events)
        return digest


class _Batch:
    """What one transaction is going to write."""

    def __init__(self, head: _Head, now: int, cluster: str) -> None:
        self.head = head
        self.now = now
        self.events: list[Event] = []
        self.rows: list[Values] = []
        self.leaves: list[bytes] = []
        self._cluster = cluster

    def event(self, item: StagedEvent) -> Event:
        new = item.new
        return Event(
            position=self.head.position + len(self.events) + 1,
            stream=new.stream,
            stream_version=item.version,
            type=item.type,
            type_version=item.type_version,
            body=new.body,
            subject=new.subject,
            actor=new.actor,
            occurred_at=new.occurred_at,
            recorded_at=self.now,
            resource_version=new.resource_version,
            cause=new.cause,
            correlation=new.correlation,
            event_id=item.event_id.hex(),
            cluster=self._cluster,
        )

    def add(self, event: Event, row: Values, digest: bytes) -> None:
        self.events.append(event)
        self.rows.append(row)
        self.leaves.append(digest)
