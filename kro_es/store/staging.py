"""A group of events is checked whole before anything of it is written, so that it goes in whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from kro_es.api.objects import JsonObject
from kro_es.errors import FenceLost
from kro_es.events import codec
from kro_es.events.delta import canonical, canonical_around
from kro_es.events.types import NewEvent, ObjectObserved
from kro_es.store.digest import decision_id
from kro_es.store.errors import ConcurrencyError
from kro_es.store.sql import run
from kro_es.store.streams import StreamHead, Streams

_ECHOES = 64
"""How many versions back the echo of an older fact is looked for."""
_RECENT = "SELECT event_id FROM events WHERE stream_id = ? AND stream_version > ?"
_TEXTS = ("stream", "correlation", "group", "kind", "namespace", "name", "uid", "actor", "actor source")
_LAST = 2**63 - 1


@dataclass(slots=True)
class StagedEvent:
    """An event that will be in the log, all but its position."""

    new: NewEvent
    stream: StreamHead
    version: int
    event_id: bytes
    late: bool
    type: str
    type_version: int
    payload: JsonObject
    canonical: bytes
    observed: bytes
    """The text of the observed object; empty when it is no observation."""


class Staging:
    """The checks of one transaction; knows the ids staged before although no table has them yet."""

    def __init__(self, connection: Connection, streams: Streams, *, commands_only: bool) -> None:
        self._connection = connection
        self._streams = streams
        self._commands_only = commands_only
        self._staged_ids: set[tuple[str, bytes]] = set()

    def stage(self, group: Sequence[NewEvent]) -> list[StagedEvent]:
        """The group's events without those the log has already; moves the heads. Raises before it changes anything."""
        heads: dict[str, tuple[StreamHead, StreamHead]] = {}
        staged: list[StagedEvent] = []
        ids: set[tuple[str, bytes]] = set()
        for new in group:
            name = new.stream
            found = heads.get(name)
            if found is None:
                before = self._streams.find(self._connection, name)
                found = heads[name] = before, before.copy()
            event = self._checked(new, *found, ids)
            if event is not None:
                staged.append(event)
                ids.add((name, event.event_id))
        self._staged_ids |= ids
        self._streams.put(head for before, head in heads.values() if head.version > before.version)
        return staged

    def _checked(
        self, new: NewEvent, before: StreamHead, head: StreamHead, ids: set[tuple[str, bytes]]
    ) -> StagedEvent | None:
        if self._commands_only and not new.body.TYPE.startswith(("command.", "log.")):
            raise FenceLost(f"a writer without the fence may append commands only, not {new.body.TYPE}")
        _check_header(new)
        event_id = bytes.fromhex(new.event_id)
        late = self._late(new, head)
        if event_id and (event_id == head.event_id or (late and self._known(head, event_id, ids))):
            return None
        # The group was decided on what was there before it: its own events do not count.
        if new.expected_version is not None and new.expected_version != before.version:
            raise ConcurrencyError(new.stream, new.expected_version, before.version)
        type_name, type_version, payload = codec.encode(new.body)
        observation = isinstance(new.body, ObjectObserved)
        text, observed = canonical_around(payload, "object") if observation else (canonical(payload), b"")
        head.version += 1
        event_id = event_id or decision_id(new.stream, head.version)
        if not late:
            head.event_id, head.uid, head.resource_version = event_id, new.subject.uid, new.resource_version
        return StagedEvent(new, head, head.version, event_id, late, type_name, type_version, payload, text, observed)

    @staticmethod
    def _late(new: NewEvent, head: StreamHead) -> bool:
        """An observation older than what the stream shows."""
        return (
            isinstance(new.body, ObjectObserved)
            and new.subject.uid == head.uid
            and new.resource_version < head.resource_version
        )

    def _known(self, head: StreamHead, event_id: bytes, ids: set[tuple[str, bytes]]) -> bool:
        """Two writes of ours in a row: the echo of the first comes when the second is the head already."""
        if (head.name, event_id) in self._staged_ids or (head.name, event_id) in ids:
            return True
        found = run(self._connection, _RECENT, (head.id, head.version - _ECHOES))
        return any(bytes(row[0]) == event_id for row in found)


def _check_header(new: NewEvent) -> None:
    """Raises ValueError for what one of the databases would refuse, or store as something else."""
    subject, actor = new.subject, new.actor
    texts = (
        new.stream,
        new.correlation,
        subject.group,
        subject.kind,
        subject.namespace,
        subject.name,
        subject.uid,
        actor.name,
        actor.source,
    )
    whole = "".join(texts)
    if "\0" in whole or (not whole.isascii() and not _encodable(whole)):
        for name, text in zip(_TEXTS, texts, strict=True):
            if "\0" in text or not _encodable(text):
                raise ValueError(f"{new.body.TYPE}: {name} {text!r} has a character no database can keep")
    if 0 <= new.resource_version <= _LAST and 0 <= new.occurred_at <= _LAST and 0 <= new.cause <= _LAST:
        return
    for name, number in (
        ("resource version", new.resource_version),
        ("time of occurrence", new.occurred_at),
        ("cause", new.cause),
    ):
        if not 0 <= number <= _LAST:
            raise ValueError(f"{new.body.TYPE}: {name} {number} is not between 0 and 2^63")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
