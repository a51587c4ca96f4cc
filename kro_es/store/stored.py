"""A stored row becomes the event it was, and the text its leaf was taken over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.events import codec, delta
from kro_es.events.types import Actor, Event, Subject
from kro_es.store.errors import LogDamaged
from kro_es.store.lru import Lru
from kro_es.store.packing import DELTA, Packer
from kro_es.store.sql import Values, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEADER = (
    "e.position, s.name, e.stream_version, t.name, e.type_version, k.uid, j.api_group, j.kind, j.namespace, j.name,"
    " j.uid, a.name, a.source, e.resource_version, e.occurred_at, e.recorded_at, e.cause, c.text"
)
FROM = (
    "FROM events e JOIN streams s ON s.id = e.stream_id JOIN types t ON t.id = e.type_id"
    " JOIN subjects j ON j.id = e.subject_id JOIN clusters k ON k.id = j.cluster_id"
    " JOIN actors a ON a.id = e.actor_id JOIN correlations c ON c.id = e.correlation_id"
)
_WIDTH = HEADER.count(",") + 1
SELECT = f"SELECT {HEADER}, e.event_id, e.stream_id, e.encoding, e.base_version, e.payload, e.salt, e.leaf {FROM}"
_BASE = "SELECT encoding, payload FROM events WHERE stream_id = ? AND stream_version = ?"
_BASES_KEPT = 4096


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as read, its payload plain."""

    header: list[JsonValue]
    """What the leaf is taken over, in the order of the columns, the event id last."""
    payload: JsonObject
    salt: bytes | None
    leaf: bytes
    stream_id: int
    encoding: int
    base_version: int | None

    @property
    def position(self) -> int:
        return int(self.header[0])

    @property
    def version(self) -> int:
        """Of the stream."""
        return int(self.header[2])

    @property
    def type(self) -> str:
        return str(self.header[3])

    def event(self) -> Event:
        """Raises CodecError for a body this program does not know."""
        (position, stream, version, name, type_version, cluster, group, kind, namespace, obj, uid, *rest) = self.header
        actor, source, resource_version, occurred_at, recorded_at, cause, correlation, event_id = rest
        return Event(
            position=position,
            stream=stream,
            stream_version=version,
            type=name,
            type_version=type_version,
            body=codec.decode(name, type_version, self.payload),
            subject=Subject(group, kind, namespace, obj, uid),
            actor=Actor(actor, source),
            occurred_at=occurred_at,
            recorded_at=recorded_at,
            resource_version=resource_version,
            cause=cause,
            correlation=correlation,
            event_id=event_id,
            cluster=cluster,
        )


def header_of(event: Event) -> list[JsonValue]:
    """The same header from the event, before it is stored."""
    subject, actor = event.subject, event.actor
    return [
        event.position,
        event.stream,
        event.stream_version,
        event.type,
        event.type_version,
        event.cluster,
        subject.group,
        subject.kind,
        subject.namespace,
        subject.name,
        subject.uid,
        actor.name,
        actor.source,
        event.resource_version,
        event.occurred_at,
        event.recorded_at,
        event.cause,
        event.correlation,
        event.event_id,
    ]


class Bases:
    """Full payloads that deltas are taken against, by stream and version."""

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        self._kept: Lru[tuple[int, int], delta.Base] = Lru(_BASES_KEPT)

    def get(self, connection: Connection, stream_id: int, version: int) -> delta.Base:
        kept = self._kept.get((stream_id, version))
        if kept is not None:
            return kept
        row = run(connection, _BASE, (stream_id, version)).first()
        if row is None:
            raise LogDamaged(f"stream number {stream_id} lacks version {version}, which later versions build on")
        self._packer.ready_for(row[0], connection)
        return self.put(stream_id, version, orjson.loads(self._packer.unpack(row[0], bytes(row[1]))))

    def put(self, stream_id: int, version: int, payload: JsonObject) -> delta.Base:
        base = delta.Base(payload)
        self._kept.put((stream_id, version), base)
        self._kept.trim()
        return base

    def forget(self) -> None:
        self._kept.clear()


class Decoder:
    """Reads rows of ``SELECT``; one per thread and database."""

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        self._bases = Bases(packer)

    def stored(self, connection: Connection, row: Values) -> StoredEvent:
        """Raises LogDamaged when the payload cannot be read."""
        event_id, stream_id, encoding, base_version, packed, salt, leaf = row[_WIDTH:]
        self._packer.ready_for(encoding, connection)
        try:
            payload = orjson.loads(self._packer.unpack(encoding, bytes(packed)))
            if encoding & DELTA:
                payload = delta.apply(self._bases.get(connection, stream_id, base_version).value, payload)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise LogDamaged(f"event {row[0]}: {error}") from error
        header = [*row[:_WIDTH], bytes(event_id).hex()]
        proof = None if salt is None else bytes(salt)
        return StoredEvent(header, payload, proof, bytes(leaf), stream_id, encoding, base_version)

    def events(self, connection: Connection, rows: Iterable[Values]) -> Iterator[Event]:
        for row in rows:
            yield self.stored(connection, row).event()
