"""Where every stream stands: its version, and which fact is its head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from kro_es.store.lru import Lru
from kro_es.store.sql import run, run_many

_KEPT = 50_000
_COLUMNS = "id, name, head_version, head_event_id, head_uid, head_resource_version, head_position, snapshot_version"
_FIND = f"SELECT {_COLUMNS} FROM streams WHERE name = ?"  # noqa: S608 the columns are ours
_INSERT = f"INSERT INTO streams ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_UPDATE = (
    "UPDATE streams SET head_version = ?, head_event_id = ?, head_uid = ?, head_resource_version = ?,"
    " head_position = ?, snapshot_version = ? WHERE id = ?"
)


@dataclass(slots=True)
class StreamHead:
    """One row of ``streams``; ``id`` is 0 until the stream has its first event."""

    id: int
    name: str
    version: int = 0
    event_id: bytes = b""
    uid: str = ""
    resource_version: int = 0
    position: int = 0
    snapshot_version: int = 0
    """Version of the last full observation; 0 when there is none."""

    def copy(self) -> StreamHead:
        return StreamHead(
            self.id,
            self.name,
            self.version,
            self.event_id,
            self.uid,
            self.resource_version,
            self.position,
            self.snapshot_version,
        )


class Streams:
    """The heads, as the one writer knows them."""

    def __init__(self) -> None:
        self._heads: Lru[str, StreamHead] = Lru(_KEPT)
        self._top = 0
        self._empty_at_start = False
        self._new: dict[int, StreamHead] = {}
        self._moved: dict[int, StreamHead] = {}

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
        row = None if self._empty_at_start else run(connection, _FIND, (name,)).first()
        if row is None:
            return StreamHead(0, name)
        number, found, version, event_id, *rest = row
        head = StreamHead(number, found, version, bytes(event_id), *rest)
        self._heads.put(name, head)
        return head

    def put(self, heads: Iterable[StreamHead]) -> None:
        for head in heads:
            if head.id == 0:
                self._top += 1
                head.id = self._top
                self._new[head.id] = head
            elif head.id in self._new:
                self._new[head.id] = head
            else:
                self._moved[head.id] = head
            self._heads.put(head.name, head)

    def flush(self, connection: Connection) -> None:
        rows = [
            (h.id, h.name, h.version, h.event_id, h.uid, h.resource_version, h.position, h.snapshot_version)
            for h in self._new.values()
        ]
        run_many(connection, _INSERT, rows)
        moved = [
            (h.version, h.event_id, h.uid, h.resource_version, h.position, h.snapshot_version, h.id)
            for h in self._moved.values()
        ]
        run_many(connection, _UPDATE, moved)
        self._new.clear()
        self._moved.clear()
        if len(self._heads) > _KEPT:
            self._empty_at_start = False
            self._heads.trim()

    def forget(self) -> None:
        self._heads.clear()
        self._new.clear()
        self._moved.clear()
        self._top = 0
        self._empty_at_start = False
