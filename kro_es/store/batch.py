"""The rows of one transaction: every event with its place, its leaf, and its payload as short as it gets."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from kro_es.api.objects import JsonObject
from kro_es.events import delta
from kro_es.events.types import Event, ObjectObserved
from kro_es.store.digest import leaf
from kro_es.store.names import Names
from kro_es.store.news import TELL
from kro_es.store.packing import DELTA, LATE, Packer
from kro_es.store.sql import Values, insert_many, run
from kro_es.store.staging import StagedEvent
from kro_es.store.stored import Bases, header_of
from kro_es.store.streams import StreamHead, last_snapshot

_SNAPSHOT_EVERY = 100
_COLUMNS = (
    "position, stream_id, stream_version, type_id, type_version, subject_id, actor_id, resource_version, occurred_at,"
    " recorded_at, cause, correlation_id, event_id, base_version, encoding, payload, salt, leaf"
)


@dataclass(slots=True)
class Head:
    """The row of ``log_head``."""

    position: int
    chain: bytes
    fence: int
    cluster: str

    @classmethod
    def locked(cls, connection: Connection) -> Head:
        """Nobody else moves the head until the transaction ends; SQLite has its one write lock since it began."""
        sql = "SELECT position, chain, fence, cluster FROM log_head"
        lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
        position, digest, fence, cluster = run(connection, sql + lock).one()
        return cls(position, bytes(digest), fence, cluster)


@dataclass(slots=True)
class Content:
    """What an event says, plain; :class:`StagedEvent` has the same."""

    payload: JsonObject
    canonical: bytes
    late: bool


class Encoder:
    """Turns events into rows, with the words and bases one writer knows."""

    def __init__(self, names: Names, packer: Packer, bases: Bases) -> None:
        self._names = names
        self._packer = packer
        self._bases = bases

    def row(
        self,
        connection: Connection,
        event: Event,
        stream: StreamHead,
        content: Content | StagedEvent,
        salt: bytes | None,
        leaf: bytes,
    ) -> Values:
        """The row of ``events``; may make the event the stream's new snapshot."""
        base, encoding, payload = self._packed(connection, event, stream, content)
        return (
            event.position,
            stream.id,
            event.stream_version,
            self._names.type(connection, event.type),
            event.type_version,
            self._names.subject(connection, event.cluster, event.subject),
            self._names.actor(connection, event.actor),
            event.resource_version,
            event.occurred_at,
            event.recorded_at,
            event.cause,
            self._names.correlation(connection, event.correlation),
            bytes.fromhex(event.event_id),
            base,
            encoding,
            payload,
            salt,
            leaf,
        )

    def _packed(
        self, connection: Connection, event: Event, stream: StreamHead, content: Content | StagedEvent
    ) -> tuple[int | None, int, bytes]:
        """Base version, encoding and bytes: a delta against the stream's last full observation where that is short."""
        flags = LATE if content.late else 0
        if event.type != ObjectObserved.TYPE:
            return None, *self._packer.pack(content.canonical, flags)
        if stream.snapshot_version is None:
            stream.snapshot_version = last_snapshot(connection, stream, _SNAPSHOT_EVERY)
        base = stream.snapshot_version
        if base and event.stream_version - base < _SNAPSHOT_EVERY:
            change = self._bases.get(connection, stream.id, base).diff(content.payload)
            text = delta.canonical(change)
            if len(text) <= 0.7 * len(content.canonical):
                return base, *self._packer.pack(text, flags | DELTA)
        stream.snapshot_version = event.stream_version
        self._bases.put(stream.id, event.stream_version, content.payload)
        return None, *self._packer.pack(content.canonical, flags)


class Batch:
    """What one transaction is going to write."""

    def __init__(self, head: Head, now: int, cluster: str) -> None:
        self.head = head
        self.now = now
        self.events: list[Event] = []
        self.rows: list[Values] = []
        self.leaves: list[bytes] = []
        self.texts: dict[int, bytes] = {}
        """Canonical texts that are known already, by identity of the JSON value in one of the events."""
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

    def add(self, connection: Connection, encoder: Encoder, item: StagedEvent, salt: bytes) -> Event:
        event = self.event(item)
        digest = leaf(header_of(event), salt, item.canonical)
        self.rows.append(encoder.row(connection, event, item.stream, item, salt, digest))
        self.events.append(event)
        self.leaves.append(digest)
        if item.observed:
            self.texts[id(item.payload["object"])] = item.observed
        return event


def insert(connection: Connection, rows: list[Values]) -> None:
    insert_many(connection, "events", _COLUMNS, rows)


def commit(connection: Connection, first: int, last: int, chain: bytes) -> None:
    """One link of the chain, which is the new head; who waits for news of the log hears of the commit."""
    run(connection, "INSERT INTO commits (first_position, last_position, chain) VALUES (?, ?, ?)", (first, last, chain))
    tell = TELL.get(connection.dialect.name, "")
    run(connection, f"UPDATE log_head SET position = ?, chain = ?{tell}", (last, chain))  # noqa: S608 the words are ours
