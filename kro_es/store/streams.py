"""Where every stream ends: its version, and which fact is its head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from kro_es.events.types import ObjectObserved
from kro_es.store.lru import Lru
from kro_es.store.packing import LATE
from kro_es.store.sql import Values, run, run_many

_KEPT = 50_000
_LAST = (
    "SELECT s.id, e.stream_version, e.encoding, e.event_id, j.uid, e.resource_version FROM streams s"
    " LEFT JOIN events e ON e.position ="
    " (SELECT position FROM events WHERE stream_id = s.id{} ORDER BY stream_version DESC LIMIT 1)"
    " LEFT JOIN subjects j ON j.id = e.subject_id WHERE s.name = ?"
)
_FIND = _LAST.format("")
_FIND_HEAD = _LAST.format(f" AND encoding & {LATE} = 0")
_SNAPSHOT = (
    "SELECT coalesce(base_version, stream_version) FROM events WHERE stream_id = ? AND stream_version > ?"
    " AND type_id = (SELECT id FROM types WHERE name = ?) ORDER BY stream_version DESC LIMIT 1"
)
_INSERT = "INSERT INTO streams (id, name) VALUES (?, ?)"


@dataclass(slots=True)
class StreamHead:
    """Where a stream ends, as its last events say; ``id`` is 0 until the stream has its first event."""

    id: int
    name: str
    version: int = 0
    event_id: bytes = b""
    """Of the fact that is the head: the last event that is not late. So are uid and resource version."""
    uid: str = ""
    resource_version: int = 0
    snapshot_version: int | None = 0
    """Version of the last full observation; 0 when there is none, None when nobody looked yet."""

    def copy(self) -> StreamHead:
        return StreamHead(
            self.id, self.name, self.version, self.event_id, self.uid, self.resource_version, self.snapshot_version
        )


def last_snapshot(connection: Connection, stream: StreamHead, within: int) -> int:
    """Version of the last full observation that one of the last versions is, or builds on; 0 when there is none."""
    first = stream.version - within
    return int(run(connection, _SNAPSHOT, (stream.id, first, ObjectObserved.TYPE)).scalar() or 0)


class Streams:
    """The heads, as the one writer knows them; they are stored nowhere but in the events."""

    def __init__(self) -> None:
        self._heads: Lru[str, StreamHead] = Lru(_KEPT)
        self._top = 0
        self._empty_at_start = False
        self._new: list[Values] = []

    def refresh(self, connection: Connection) -> None:
        """Another process may have moved any stream: nothing kept is believed any more."""
        self.forget()
        self._top = int(run(connection, "SELECT coalesce(max(id), 0) FROM streams").scalar_one())
        # In a log begun here and small enough to be kept whole, a stream that is not here is new, without asking.
        self._empty_at_start = self._top == 0

    def find(self, connection: Connection, name: str) -> StreamHead:
        """The head, or that of a stream without events; not to be changed but through :meth:`put`."""
        head = self._heads.get(name)
        if head is not None:
            return head
        head = None if self._empty_at_start else _stored(connection, name)
        if head is None:
            return StreamHead(0, name)
        self._heads.put(name, head)
        return head

    def put(self, heads: Iterable[StreamHead]) -> None:
        for head in heads:
            if head.id == 0:
                self._top += 1
                head.id = self._top
                self._new.append((head.id, head.name))
            self._heads.put(head.name, head)

    def flush(self, connection: Connection) -> None:
        run_many(connection, _INSERT, self._new)
        self._new.clear()
        if len(self._heads) > _KEPT:
            self._empty_at_start = False
            self._heads.trim()

    def forget(self) -> None:
        self._heads.clear()
        self._new.clear()
        self._top = 0
        self._empty_at_start = False


def _stored(connection: Connection, name: str) -> StreamHead | None:
    row = run(connection, _FIND, (name,)).first()
    if row is None:
        return None
    number, version, encoding, *head = row
    if version is None:
        # only in an import: its first events are pruned, or not written yet
        return StreamHead(number, name)
    if encoding & LATE:
        _, _, _, *head = run(connection, _FIND_HEAD, (name,)).one()
    event_id, uid, resource_version = head
    return StreamHead(number, name, version, bytes(event_id or b""), uid or "", resource_version or 0, None)
