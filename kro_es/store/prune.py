"""Retention: old observations that differ from their predecessor in status only go; every retained moment stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from sqlalchemy import Connection, Engine

from kro_es.api.objects import JsonObject
from kro_es.errors import UserError
from kro_es.events.delta import canonical
from kro_es.events.types import Actor, Event, LogPruned, ObjectObserved, ReconcileDecided
from kro_es.store.digest import PrunedDigest
from kro_es.store.event_log import EventLog
from kro_es.store.maintenance import Told, maintenance_event, silent
from kro_es.store.packing import LATE, Packer
from kro_es.store.sql import Values, marks, read_connection, rows_by_page, run
from kro_es.store.stored import SELECT, Decoder

_AT_ONCE = 2_000
_MOVED_AT_ONCE = 500
_ONE_EVENT = 20_000
"""Positions one event accounts for: a running controller waits that long and no longer."""
_DELTAS = (
    "SELECT position, stream_id, base_version FROM events WHERE base_version IS NOT NULL AND position > ?"
    " ORDER BY position LIMIT ?"
)


@dataclass(slots=True)
class PrunePlan:
    """What would go, and why the rest of what is old enough stays."""

    before: int
    positions: list[int] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    """Reason to number of old observations that stay for it."""
    bytes: int = 0

    def keep(self, reason: str) -> None:
        self.kept[reason] = self.kept.get(reason, 0) + 1


@dataclass(slots=True)
class _Last:
    """The newest observation of a stream so far."""

    position: int
    content: bytes
    """Digest of all but the status; empty of one that is too young to be compared."""


class _Marks:
    """A set of positions that takes one byte for each there may be, however many it has."""

    def __init__(self, head: int) -> None:
        self._marks = bytearray(head + 1)

    def __contains__(self, position: int) -> bool:
        return bool(self._marks[position])

    def add(self, position: int) -> None:
        self._marks[position] = 1

    def discard(self, position: int) -> None:
        self._marks[position] = 0

    def positions(self) -> Iterator[int]:
        """In order."""
        found = self._marks.find(1)
        while found >= 0:
            yield found
            found = self._marks.find(1, found + 1)


def plan(engine: Engine, before: int, told: Told = silent) -> PrunePlan:
    """What of the observations recorded before a time (microseconds) may go.

    Kept: what changed anything but the status; the last one before the time (the state of every later moment); the
    first of an object; what a decision read, another event names as its cause, or a kept delta is built on.
    """
    with read_connection(engine) as connection, connection.begin():
        head = int(run(connection, "SELECT position FROM log_head").scalar_one())
        looking = _Looking(connection, before, head)
        for row in rows_by_page(connection, f"{SELECT} WHERE e.position > ? ORDER BY e.position LIMIT ?", _AT_ONCE):
            looking.look(row)
            if row[0] % _AT_ONCE == 0:
                told(row[0], head)
        return looking.plan()


class _Looking:
    """A log gone through once; what is remembered grows with its streams, not with its events."""

    def __init__(self, connection: Connection, before: int, head: int) -> None:
        self._connection = connection
        self._decoder = Decoder(Packer.load(connection))
        self._candidates, self._needed = _Marks(head), _Marks(head)
        self._last: dict[str, _Last] = {}
        self._snapshots: dict[tuple[int, int], int] = {}
        """Stream and version of the candidates a delta can be built on, and where they are."""
        self._heads: dict[tuple[int, int], int] = {}
        """The last event of every stream, and the last that is not late: what the next one is compared with."""
        self._found = PrunePlan(before)

    def look(self, row: Values) -> None:
        position, stream, type_name, recorded_at, cause = row[0], row[1], row[3], row[15], row[16]
        self._heads[row[19], row[20] & LATE] = position
        self._needed.add(cause)
        if type_name == ReconcileDecided.TYPE:
            body = self._decoder.stored(self._connection, row).event().body
            assert isinstance(body, ReconcileDecided)
            for item in body.inputs:
                self._needed.add(item.position)
        if type_name != ObjectObserved.TYPE:
            self._last.pop(stream, None)
        elif recorded_at < self._found.before:
            self._old(row)
        else:
            previous = self._last.get(stream)
            if previous is not None and previous.position in self._candidates:
                # The newest old one is the state of every moment from then on.
                self._keep(previous.position, "last before the time")
            self._last[stream] = _Last(position, b"")

    def _old(self, row: Values) -> None:
        position, stream = row[0], row[1]
        stored = self._decoder.stored(self._connection, row)
        content = _but_status(stored.payload["object"])
        previous = self._last.get(stream)
        if previous is not None and previous.content == content and not stored.payload.get("seen_late", False):
            self._candidates.add(position)
            if stored.base_version is None:
                self._snapshots[stored.stream_id, stored.version] = position
        else:
            self._found.keep("first, or more than the status changed")
        self._last[stream] = _Last(position, content)

    def _keep(self, position: int, reason: str) -> None:
        if position in self._candidates:
            self._candidates.discard(position)
            self._found.keep(reason)

    def plan(self) -> PrunePlan:
        """When all events were looked at."""
        for item in self._last.values():
            self._keep(item.position, "last before the time")
        for position in self._needed.positions():
            self._keep(position, "input or cause of another event")
        for position in self._heads.values():
            self._keep(position, "head of its stream")
        self._keep_bases()
        self._found.positions = list(self._candidates.positions())
        for part in _parts(self._found.positions):
            sql = f"SELECT sum(length(payload)) FROM events WHERE position IN ({marks(len(part))})"  # noqa: S608
            self._found.bytes += int(run(self._connection, sql, tuple(part)).scalar() or 0)
        return self._found

    def _keep_bases(self) -> None:
        """A snapshot stays while a delta that stays needs it; the next one builds on what the last one did."""
        for position, stream, version in rows_by_page(self._connection, _DELTAS, _AT_ONCE):
            base = self._snapshots.get((stream, version))
            if base is not None and position not in self._candidates:
                self._keep(base, "snapshot others build on")


def _but_status(obj: JsonObject) -> bytes:
    rest = {name: value for name, value in obj.items() if name != "status"}
    meta = {name: value for name, value in obj.get("metadata", {}).items() if name != "resourceVersion"}
    return sha256(canonical({**rest, "metadata": meta})).digest()


def prune(engine: Engine, found: PrunePlan, *, actor: Actor, now: int) -> list[Event]:
    """Carries a plan out: only the leaves stay. The events say what went; none when nothing did.

    Rows of projections that were folded from what is gone are the caller's to rebuild.
    """
    log = EventLog(engine)
    return [
        _prune_part(engine, log, found.positions[start : start + _ONE_EVENT], found.before, actor, now)
        for start in range(0, len(found.positions), _ONE_EVENT)
    ]


def _prune_part(engine: Engine, log: EventLog, positions: list[int], before: int, actor: Actor, now: int) -> Event:
    """What goes and the event that says so are one transaction."""
    digest = PrunedDigest()
    with engine.connect() as connection, connection.begin():
        chain = bytes(run(connection, "SELECT chain FROM log_head").scalar_one()).hex()
        for part in _parts(positions):
            sql = f"SELECT position, leaf FROM events WHERE position IN ({marks(len(part))}) ORDER BY position"  # noqa: S608
            for position, leaf in run(connection, sql, tuple(part)):
                digest.add(position, bytes(leaf))
    body = LogPruned(before, len(positions), positions[0], positions[-1], digest.hex(), chain)

    def carry_out(connection: Connection, events: Sequence[Event]) -> None:
        moved = sum(_move(connection, part, events[0].position) for part in _parts(positions))
        if moved != len(positions):
            raise UserError("somebody else pruned this log at the same time: nothing was pruned by this command")

    return log.append([maintenance_event(body, actor, now)], now=now, also=carry_out)[0]


def _move(connection: Connection, positions: list[int], by: int) -> int:
    """Leaves of the events go where the chain still finds them, the rest is gone."""
    listed = marks(len(positions))
    kept = f"SELECT position, stream_id, stream_version, leaf, ? FROM events WHERE position IN ({listed})"  # noqa: S608
    columns = "position, stream_id, stream_version, leaf, pruned_by"
    moved = run(connection, f"INSERT INTO pruned ({columns}) {kept}", (by, *positions)).rowcount
    run(connection, f"DELETE FROM events WHERE position IN ({listed})", tuple(positions))  # noqa: S608
    return moved


def _parts(positions: list[int]) -> Iterable[list[int]]:
    return (positions[start : start + _MOVED_AT_ONCE] for start in range(0, len(positions), _MOVED_AT_ONCE))
