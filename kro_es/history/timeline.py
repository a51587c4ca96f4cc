"""What happened, one line an event: the whole log, or all that concerns one object, instance or definition."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from kro_es.api.objects import JsonObject
from kro_es.errors import UserError
from kro_es.events import codec
from kro_es.events.types import Event
from kro_es.history import tail
from kro_es.history.gaps import notes
from kro_es.history.positions import concerning
from kro_es.history.source import Answer, History, Table
from kro_es.history.targets import Target
from kro_es.history.times import iso
from kro_es.projections.timeline import DEFINITION, SOURCE, WHAT, Timeline
from kro_es.store.sql import marks

_SELECT = (
    "SELECT t.position, t.occurred_at, t.what, t.api_group, t.kind, t.namespace, t.name, t.uid, t.summary, t.actor,"
    " t.actor_source, t.cause, t.correlation, t.instance_uid FROM p_timeline t WHERE "
)
_Conditions: TypeAlias = list[tuple[str, tuple[object, ...]]]
"""SQL and the values it asks for."""
_AT_ONCE = 400
_NEWEST = 50_000
"""So many positions are looked at by themselves before everything is gone through."""
_OF_SUBJECT = ("kind", "namespace", "name")
COLUMNS = ("position", "time", "object", "summary", "actor", "actor_source")
WIDE = ("position", "time", "type", "object", "namespace", "summary", "actor", "actor_source", "cause", "correlation")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a listed event must be; empty text takes any, in ``since``/``until`` a position bounds it."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    definition_uid: str = ""
    actor: str = ""
    type: str = ""
    since: int = 0
    """Events after this position."""
    until: int = 0
    """Events up to this position; 0 for the end of the log."""
    limit: int = 50

    def fit(self, row: dict[str, object]) -> bool:
        """The same conditions of a row that is not in the database yet."""
        found = {**row, "kind": str(row["kind"]).lower()}
        return all(found[name] == value for name, value in self.asked.items())

    @property
    def asked(self) -> dict[str, object]:
        """Column of the timeline to what it must be."""
        found = {
            "kind": self.kind.lower(),
            "namespace": self.namespace,
            "name": self.name,
            "definition_uid": self.definition_uid,
            "actor": self.actor,
            "what": self.type,
        }
        return {name: value for name, value in found.items() if value}


def key(position: int) -> str:
    return f"{position:020d}"


def listed(history: History, filters: Filters, target: Target | None = None) -> Answer:
    """The newest events that fit, oldest first."""
    if filters.type and filters.type not in codec.TYPES:
        raise UserError(f"no event is of type {filters.type!r}; there are {', '.join(sorted(codec.TYPES))}")
    rows = _newest(history, filters) if target is None else _among(history, filters, concerning(history, target))
    kinds = None if target is None else {f"{row['api_group']}/{row['kind']}" for row in rows}
    span = (int(str(rows[0]["occurred_at"])), history.now) if rows else (0, 0)
    return Answer([told(row) for row in rows], COLUMNS, WIDE, notes(history, *span, kinds))


def picked(history: History, positions: Iterable[int], filters: Filters) -> Answer:
    """Of these events the newest that fit."""
    rows = _among(history, filters, sorted(set(positions), reverse=True))
    return Answer([told(row) for row in rows], COLUMNS, WIDE)


def told_up_to(history: History) -> int:
    """Position up to which every event has its line: behind the head of the log where a projector is far behind it."""
    return tail.reach(history, Timeline())


def after(history: History, position: int, filters: Filters, target: Target | None) -> Iterator[tuple[int, Table]]:
    """What ``--follow`` prints: all events told since a position, oldest first, in parts, each with where it ends."""
    end = told_up_to(history)
    while position < end:
        until = min(end, position + _AT_ONCE)
        part = Filters(**{**_values(filters), "since": position, "until": until, "limit": _AT_ONCE})
        among = None if target is None else concerning(history, target, position)
        rows = _newest(history, part) if among is None else _among(history, part, among)
        yield until, [told(row) for row in rows]
        position = until


def _values(filters: Filters) -> JsonObject:
    return {name: getattr(filters, name) for name in Filters.__slots__}


def _newest(history: History, filters: Filters) -> Table:
    until = filters.until or history.log.head()
    late = [
        row
        for row in tail.timeline_rows(history)
        if filters.since < int(str(row["position"])) <= until and filters.fit(row)
    ]
    return _joined(_told(history, filters, until)[::-1], late)[-filters.limit :]


def _told(history: History, filters: Filters, until: int) -> Table:
    """The newest rows that fit, newest first."""
    sources = _sources(history, filters.actor) if filters.actor else set()
    conditions = _conditions(history, filters)
    if conditions is None or (filters.actor and not sources):
        return []
    ask = partial(_asked, history, filters.limit)
    if rare := _rare(filters, sources):
        return ask([*conditions, *rare], "t.position", (filters.since, until))
    newest = max(filters.since, until - _NEWEST)
    rows = ask(conditions, "t.key", (key(newest), key(until)))
    if len(rows) == filters.limit or newest == filters.since:
        return rows
    likely = min(until - filters.since, _NEWEST * filters.limit // len(rows) if rows else until)
    if likely <= history.head // 3:
        return ask(conditions, "t.key", (key(filters.since), key(until)))
    # as the rows lie: by an index in between it would take three times as long
    return ask(conditions, "t.position + 0", (filters.since, until))


def _asked(history: History, limit: int, conditions: _Conditions, place: str, bounds: tuple[object, object]) -> Table:
    parts = [*(sql for sql, _ in conditions), f"{place} > ? AND {place} <= ?"]
    values = [value for _, own in conditions for value in own]
    return history.rows(f"{_SELECT}{' AND '.join(parts)} ORDER BY {place} DESC LIMIT ?", (*values, *bounds, limit))


def _conditions(history: History, filters: Filters) -> _Conditions | None:
    """None when the log has no object of that kind, namespace and name."""
    asked = filters.asked
    found: _Conditions = [(f"t.{name} = ?", (value,)) for name, value in asked.items() if name != "kind"]
    there = {("lower(kind)" if name == "kind" else name): asked[name] for name in _OF_SUBJECT if name in asked}
    if there:
        sql = f"SELECT DISTINCT kind FROM subjects WHERE {' AND '.join(f'{name} = ?' for name in there)}"  # noqa: S608 our own names
        kinds = tuple(str(row["kind"]) for row in history.rows(sql, tuple(there.values())))
        if not kinds:
            return None
        if filters.kind:
            found.append((f"t.kind IN ({marks(len(kinds))})", kinds))
    return found


def _rare(filters: Filters, sources: set[str]) -> _Conditions:
    """Conditions by which an index gives the events in their order; none: all are gone through from the end.

    ``sources``: how the actor that is asked for is known.
    """
    if filters.type and filters.type not in WHAT.common:
        return [(WHAT.rare, ())]
    if filters.definition_uid:
        return [(DEFINITION.rare, ())]
    if sources and not sources & set(SOURCE.common):
        return [(SOURCE.rare, ()), (f"t.{SOURCE.name} IN ({marks(len(sources))})", tuple(sorted(sources)))]
    return []


def _sources(history: History, actor: str) -> set[str]:
    """How somebody is known wherever the log has them."""
    return {str(row["source"]) for row in history.rows("SELECT source FROM actors WHERE name = ?", (actor,))}


def _joined(rows: Table, late: Table) -> Table:
    """Both in order, none twice."""
    known = {row["position"] for row in rows}
    return [*rows, *(row for row in late if row["position"] not in known)]


def _among(history: History, filters: Filters, positions: Iterable[int]) -> Table:
    """``positions``: newest first, taken as far as needed."""
    until = filters.until or history.log.head()
    late = {int(str(row["position"])): row for row in tail.timeline_rows(history)}
    before = (position for position in positions if position <= until)
    wanted = itertools.takewhile(lambda position: position > filters.since, before)
    found: Table = []
    while len(found) < filters.limit and (part := list(itertools.islice(wanted, _AT_ONCE))):
        stored = _stored(history, part)
        rows = [stored.get(position) or late.get(position) for position in part]
        found += [row for row in rows if row is not None and filters.fit(row)]
    return found[: filters.limit][::-1]


def told(row: dict[str, object]) -> dict[str, object]:
    """A row of the timeline with the names an answer has."""
    kind, name = str(row["kind"]).lower(), str(row["name"])
    return {
        "position": row["position"],
        "time": iso(int(str(row["occurred_at"]))),
        "type": row["what"],
        "object": f"{kind}/{name}" if name else kind,
        "namespace": row["namespace"],
        "summary": row["summary"],
        "actor": row["actor"],
        "actor_source": row["actor_source"],
        "cause": row["cause"],
        "correlation": row["correlation"],
    }


def rows_at(history: History, positions: Iterable[int]) -> dict[int, dict[str, object]]:
    """Timeline rows by position."""
    wanted = sorted(set(positions))
    found = _stored(history, wanted)
    if len(found) < len(wanted):
        late = {int(str(row["position"])): row for row in tail.timeline_rows(history)}
        # what was folded meanwhile is stored by now
        missing = [position for position in wanted if position not in found and position not in late]
        found |= {position: late[position] for position in wanted if position in late} | _stored(history, missing)
    return found


def _stored(history: History, wanted: list[int]) -> dict[int, dict[str, object]]:
    found: dict[int, dict[str, object]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        rows = history.rows(f"{_SELECT}t.key IN ({marks(len(part))})", [key(position) for position in part])
        found |= {int(str(row["position"])): row for row in rows}
    return found


def shown(history: History, position: int) -> JsonObject:
    """One event in full. Raises UserError for a position the log does not have."""
    event = history.log.event(position) if position else None
    if event is None:
        raise UserError(f"there is no event {position}: the log has 1 to {history.head}")
    return whole(event)


def whole(event: Event) -> JsonObject:
    """Everything the log holds about an event, as JSON."""
    subject = event.subject
    return {
        "position": event.position,
        "type": event.type,
        "occurred_at": iso(event.occurred_at),
        "recorded_at": iso(event.recorded_at),
        "stream": event.stream,
        "stream_version": event.stream_version,
        "object": {
            "group": subject.group, "kind": subject.kind, "namespace": subject.namespace, "name": subject.name,
            "uid": subject.uid, "resourceVersion": event.resource_version,
        },
        "actor": event.actor.name,
        "actor_source": event.actor.source,
        "cause": event.cause,
        "correlation": event.correlation,
        "event_id": event.event_id,
        "cluster": event.cluster,
        "body": codec.encode(event.body)[2],
    }  # fmt: skip


def exported(history: History, filters: Filters, target: Target | None) -> Iterator[JsonObject]:
    """Events in full, oldest first; of a target all that concern it."""
    until = filters.until or history.head
    if target is not None:
        positions = [one for one in concerning(history, target, filters.since) if one <= until][::-1]
        for start in range(0, len(positions), _AT_ONCE):
            yield from map(whole, history.log.events_at(positions[start : start + _AT_ONCE]))
        return
    position = filters.since + 1
    while position <= until:
        batch = history.log.read(position, min(1000, until - position + 1))
        if not batch:
            return
        yield from map(whole, batch)
        position = batch[-1].position + 1
