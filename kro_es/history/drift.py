"""Drift: fields of ours that somebody else changed, who, what they were put back to, and how long that took."""

from __future__ import annotations

from kro_es.api.objects import JsonObject
from kro_es.events.types import Event, ReconcileDecided, ResourceApplied
from kro_es.history.gaps import notes
from kro_es.history.nodes import instance_uid
from kro_es.history.source import Answer, History
from kro_es.history.targets import Target
from kro_es.history.timeline import key, rows_at
from kro_es.history.times import iso, lasted

COLUMNS = ("time", "object", "path", "wanted", "found", "actor", "healed_after", "event")
WIDE = ("time", "instance", "namespace", *COLUMNS[1:6], "known_by", "seen_late", "healed_at", "healed_after", "event")


def drift(history: History, target: Target | None, since: int, until: int, limit: int) -> Answer:
    """The newest repairs of drift between two positions, oldest first; one row a field."""
    conditions, values = ["t.what = ?", "t.summary LIKE ?", "t.key > ?", "t.key <= ?"], []
    values = [ReconcileDecided.TYPE, "%(drift: %", key(since), key(until)]
    if target is not None and target.is_definition:
        conditions.append("t.definition_uid = ?")
        values.append(target.uid)
    elif target is not None:
        conditions.append("t.instance_uid = ?")
        values.append(instance_uid(history, target))
    sql = f"SELECT t.position FROM p_timeline t WHERE {' AND '.join(conditions)} ORDER BY t.key DESC LIMIT ?"  # noqa: S608
    positions = [int(str(row["position"])) for row in history.rows(sql, (*values, limit))][::-1]
    rows = [row for position in positions for row in _repaired(history, position)]
    if target is not None and not (target.is_definition or target.is_instance):
        rows = [row for row in rows if row["object"] == f"{target.ref.kind.lower()}/{target.ref.name}"]
    first = history.log.event(positions[0]) if positions else None
    return Answer(rows, COLUMNS, WIDE, notes(history, first.occurred_at, history.now) if first else ())


def _repaired(history: History, position: int) -> list[JsonObject]:
    event = history.log.event(position)
    assert event is not None
    assert isinstance(event.body, ReconcileDecided)
    seen = rows_at(history, [event.cause]).get(event.cause, {}) if event.cause else {}
    healed = _outcomes(history, event)
    names = {write.node: f"{write.kind.lower()}/{write.name}" for write in event.body.writes}
    rows = []
    for change in event.body.drift:
        node = str(change["node"])
        done = healed.get(node)
        began = int(str(seen.get("occurred_at", event.occurred_at)))
        rows.append(
            {
                "time": iso(began),
                "instance": f"{event.subject.kind.lower()}/{event.subject.name}",
                "namespace": event.subject.namespace,
                "object": names.get(node, node),
                "node": node,
                "path": change["path"],
                "wanted": change.get("from"),
                "found": change.get("to"),
                "actor": change.get("manager") or seen.get("actor", ""),
                "known_by": seen.get("actor_source", "unknown"),
                "seen_late": "late" in str(seen.get("summary", "")),
                "healed_at": iso(done) if done else None,
                "healed_after": lasted((done - began) / 1_000_000) if done else "not healed",
                "revision": event.body.revision,
                "event": position,
            }
        )
    return rows


def _outcomes(history: History, decided: Event) -> dict[str, int]:
    """Node to the time its repair was answered."""
    sql = "SELECT position FROM p_timeline WHERE instance_uid = ? AND cause = ? AND what = ?"
    uid = decided.stream.removeprefix("instance/")
    found: dict[str, int] = {}
    for row in history.rows(sql, (uid, decided.position, ResourceApplied.TYPE)):
        event = history.log.event(int(str(row["position"])))
        if event is not None and isinstance(event.body, ResourceApplied):
            found[event.body.node] = event.occurred_at
    return found
