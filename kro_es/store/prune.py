"""Retention: old observations that differ from their predecessor in status only go; every retained moment stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from kro_es.api.objects import JsonObject
from kro_es.errors import UserError
from kro_es.events.delta import canonical
from kro_es.events.types import Actor, Event, LogPruned, ObjectObserved, ReconcileDecided
from kro_es.store.digest import PrunedDigest
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from kro_es.store.maintenance import maintenance_event
from kro_es.store.packing import LATE
from kro_es.store.sql import marks, run

_AT_ONCE = 5_000
_MOVED_AT_ONCE = 500
_HEADS = f"SELECT max(position) FROM events GROUP BY stream_id, encoding & {LATE}"  # noqa: S608 the number is ours
"""The last event of every stream, and the last that is not late: what the next one is compared with."""
_ONE_EVENT = 20_000
"""Positions one event accounts for: a running controller waits that long and no longer."""


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
    candidate: bool


def plan(engine: Engine, before: int) -> PrunePlan:
    """What of the observations recorded before a time (microseconds) may go.

    Kept: what changed anything but the status; the last one before the time (the state of every later moment); the
    first of an object; what a decision read, another event names as its cause, or a kept delta is built on.
    """
    found = PrunePlan(before)
    log = LogReader(engine)
    candidates: dict[int, tuple[str, int]] = {}
    needed: set[int] = set()
    last: dict[str, _Last] = {}
    position, head = 0, log.head()
    while position < head:
        events = log.read(position + 1, _AT_ONCE)
        for event in events:
            _look(event, before, last, candidates, needed, found)
        position = events[-1].position
    for item in last.values():
        if item.candidate and candidates.pop(item.position, None) is not None:
            found.keep("last before the time")
    for position in needed & candidates.keys():
        del candidates[position]
        found.keep("input or cause of another event")
    with engine.connect() as connection, connection.begin():
        _without_bases(connection, candidates, found)
        found.positions = sorted(candidates)
        for part in _parts(found.positions):
            sql = f"SELECT sum(length(payload)) FROM events WHERE position IN ({marks(len(part))})"  # noqa: S608
            found.bytes += int(run(connection, sql, tuple(part)).scalar() or 0)
    return found


def _look(
    event: Event,
    before: int,
    last: dict[str, _Last],
    candidates: dict[int, tuple[str, int]],
    needed: set[int],
    found: PrunePlan,
) -> None:
    needed.add(event.cause)
    if isinstance(event.body, ReconcileDecided):
        needed.update(item.position for item in event.body.inputs)
    if not isinstance(event.body, ObjectObserved):
        last.pop(event.stream, None)
        return
    content = _but_status(event.body.object)
    previous = last.get(event.stream)
    old = event.recorded_at < before
    if not old and (previous is None or previous.position not in candidates):
        last[event.stream] = _Last(event.position, content, candidate=False)
        return
    if not old:
        # The newest old one is the state of every moment from then on.
        assert previous is not None
        del candidates[previous.position]
        found.keep("last before the time")
        last[event.stream] = _Last(event.position, content, candidate=False)
        return
    status_only = previous is not None and previous.content == content and not event.body.seen_late
    if status_only:
        candidates[event.position] = (event.stream, event.stream_version)
    else:
        found.keep("first, or more than the status changed")
    last[event.stream] = _Last(event.position, content, candidate=status_only)


def _but_status(obj: JsonObject) -> bytes:
    rest = {name: value for name, value in obj.items() if name != "status"}
    meta = {name: value for name, value in obj.get("metadata", {}).items() if name != "resourceVersion"}
    return canonical({**rest, "metadata": meta})


def _without_bases(connection: Connection, candidates: dict[int, tuple[str, int]], found: PrunePlan) -> None:
    """A snapshot stays while a delta that stays needs it; of a stream that has a head, so does what is last."""
    versions = {place: position for position, place in candidates.items()}
    sql = (
        "SELECT s.name, e.base_version, e.position FROM events e JOIN streams s ON s.id = e.stream_id"
        " WHERE e.base_version IS NOT NULL"
    )
    bases = {(name, base) for name, base, position in run(connection, sql) if position not in candidates}
    heads = {position for (position,) in run(connection, _HEADS)}
    for place in bases & versions.keys():
        del candidates[versions[place]]
        found.keep("snapshot others build on")
    for position in heads & candidates.keys():
        del candidates[position]
        found.keep("head of its stream")


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
