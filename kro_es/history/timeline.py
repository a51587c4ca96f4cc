"""What happened, one line an event: the whole log, or all that concerns one object, instance or definition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.errors import UserError
from kro_es.events import codec
from kro_es.events.types import Event
from kro_es.history import tail
from kro_es.history.gaps import notes
from kro_es.history.source import Answer, History, Table
from kro_es.history.targets import Target
from kro_es.history.times import iso
from kro_es.projections.timeline import Timeline
from kro_es.store.sql import marks

_SELECT = (
    "SELECT t.position, t.occurred_at, t.what, t.api_group, t.kind, t.namespace, t.name, t.uid, t.summary, t.actor,"
    " t.actor_source, t.cause, t.correlation, t.instance_uid FROM p_timeline t WHERE "
)
_AT_ONCE = 400
COLUMNS = ("position", "time", "object", "summary", "actor", "known_by")
WIDE = ("position", "time", "type", "object", "namespace", "summary", "actor", "known_by", "cause", "correlation")


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

    @property
    def conditions(self) -> list[tuple[str, object]]:
        spelled = {"kind": "lower(t.kind) = ?"}
        return [(spelled.get(name, f"t.{name} = ?"), value) for name, value in self._asked.items()]

    def fit(self, row: dict[str, object]) -> bool:
        """The same conditions of a row that is not in the database yet."""
        found = {**row, "kind": str(row["kind"]).lower()}
        return all(found[name] == value for name, value in self._asked.items())

    @property
    def _asked(self) -> dict[str, str]:
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
    rows = _among(history, filters, sorted(set(positions)))
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
    bounds = "t.key > ? AND t.key <= ?"
    until = filters.until or history.log.head()
    parts = [bounds, *(sql for sql, _ in filters.conditions)]
    values = [key(filters.since), key(until), *(value for _, value in filters.conditions), filters.limit]
    sql = f"{_SELECT}{' AND '.join(parts)} ORDER BY t.key DESC LIMIT ?"
    late = [row for row in unfolded(history) if filters.since < int(str(row["position"])) <= until and filters.fit(row)]
    return _joined(history.rows(sql, values)[::-1], late)[-filters.limit :]


def unfolded(history: History) -> Table:
    """Rows of events the timeline has not got yet: commands that were given while no controller runs.

    To be asked before the rows it has: what is folded in between is in both then, and else in neither.
    """
    timeline = Timeline()
    return [
        dict(row)
        for event in tail.events(history, timeline)
        for own in timeline.keys(event)
        if (row := timeline.fold(own, None, event)) is not None
    ]


def _joined(rows: Table, late: Table) -> Table:
    """Both in order, none twice."""
    known = {row["position"] for row in rows}
    return [*rows, *(row for row in late if row["position"] not in known)]


def _among(history: History, filters: Filters, positions: list[int]) -> Table:
    until = filters.until or history.log.head()
    wanted = [position for position in positions if filters.since < position <= until][::-1]
    chosen = set(wanted)
    late = [row for row in unfolded(history) if int(str(row["position"])) in chosen and filters.fit(row)]
    found: Table = []
    for start in range(0, len(wanted), _AT_ONCE):
        keys = [key(position) for position in wanted[start : start + _AT_ONCE]]
        parts = [f"t.key IN ({marks(len(keys))})", *(sql for sql, _ in filters.conditions)]
        values = [*keys, *(value for _, value in filters.conditions)]
        found += history.rows(f"{_SELECT}{' AND '.join(parts)} ORDER BY t.key DESC", values)
        if len(found) >= filters.limit:
            break
    return _joined(found[: filters.limit][::-1], late)[-filters.limit :]


def concerning(history: History, target: Target, since: int = 0) -> list[int]:
    """Positions of everything about an object; of an instance also its children, of a definition its instances' passes.

    Times nobody watched a kind concerned are among them.
    """
    if target.is_definition:
        found = _indexed(history, "definition_uid", target.uid, since)
        refs = {target.ref}
    else:
        owner = target.uid if target.is_instance else instance_of(history, target)
        refs = {target.ref, *(children(history, owner) if target.is_instance else ())}
        found = _indexed(history, "instance_uid", owner, since) if owner else []
        if not target.is_instance:
            found = [row for row in found if _is_about(row, target.ref)]
    positions = {int(str(row["position"])) for row in found}
    for ref in refs:
        positions.update(stream_positions(history, f"object/{ref.key}", since))
    kinds = sorted({f"{ref.group}/{ref.kind}" for ref in refs})
    if positions:
        sql = f"SELECT position FROM p_gaps WHERE kind IN ({marks(len(kinds))}) AND position > ?"  # noqa: S608
        gaps = history.rows(sql, (*kinds, max(since, min(positions))))
        positions.update(int(str(row["position"])) for row in gaps)
    return sorted(positions)


def _indexed(history: History, column: str, value: str, since: int) -> Table:
    sql = f"SELECT position, api_group, kind, namespace, name FROM p_timeline WHERE {column} = ? AND key > ?"  # noqa: S608
    late = [row for row in unfolded(history) if row[column] == value and int(str(row["position"])) > since]
    return _joined(history.rows(sql, (value, key(since))), late)


def _is_about(row: dict[str, object], ref: ObjectRef) -> bool:
    return (row["api_group"], row["kind"], row["namespace"], row["name"]) == (
        ref.group, ref.kind, ref.namespace, ref.name,
    )  # fmt: skip


def stream_positions(history: History, stream: str, since: int = 0) -> list[int]:
    sql = "SELECT e.position FROM events e JOIN streams s ON s.id = e.stream_id WHERE s.name = ? AND e.position > ?"
    return [int(str(row["position"])) for row in history.rows(sql, (stream, since))]


def instance_of(history: History, target: Target) -> str:
    """uid of the instance a child belongs (or belonged) to; empty when it is nobody's."""
    positions = stream_positions(history, target.stream)[:_AT_ONCE]
    if not positions:
        return ""
    among = marks(len(positions))
    sql = f"SELECT instance_uid FROM p_timeline WHERE key IN ({among}) AND instance_uid <> '' LIMIT 1"  # noqa: S608
    rows = history.rows(sql, [key(position) for position in positions])
    return str(rows[0]["instance_uid"]) if rows else ""


def children(history: History, instance_uid: str) -> list[ObjectRef]:
    """Every object that ever belonged to the instance, those that are gone too."""
    sql = (
        "SELECT DISTINCT api_group, kind, namespace, name FROM p_timeline WHERE instance_uid = ? AND uid <> ?"
        " AND uid <> '' ORDER BY api_group, kind, namespace, name"
    )
    return [ObjectRef(*map(str, row.values())) for row in history.rows(sql, (instance_uid, instance_uid))]


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
        "known_by": row["actor_source"],
        "cause": row["cause"],
        "correlation": row["correlation"],
    }


def rows_at(history: History, positions: Iterable[int]) -> dict[int, dict[str, object]]:
    """Timeline rows by position."""
    wanted = sorted(set(positions))
    found = _stored(history, wanted)
    if len(found) < len(wanted):
        late = {int(str(row["position"])): row for row in unfolded(history)}
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
    positions = None if target is None else set(concerning(history, target))
    position = filters.since + 1
    while position <= until:
        batch = history.log.read(position, min(1000, until - position + 1))
        if not batch:
            return
        yield from (whole(event) for event in batch if positions is None or event.position in positions)
        position = batch[-1].position + 1
