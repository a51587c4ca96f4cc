"""Drift: fields of ours that somebody else changed, who, what they were put back to, and how long that took."""

from __future__ import annotations

from kro_es.api.objects import JsonObject
from kro_es.history.gaps import notes
from kro_es.history.nodes import instance_uid
from kro_es.history.revisions import parsed
from kro_es.history.source import Answer, History, Table
from kro_es.history.targets import Target
from kro_es.history.timeline import key, rows_at
from kro_es.history.times import iso, lasted
from kro_es.projections.projection import Row

COLUMNS = ("time", "object", "path", "wanted", "found", "actor", "healed_after", "event")
WIDE = (
    "time",
    "instance",
    "namespace",
    *COLUMNS[1:6],
    "actor_source",
    "seen_late",
    "healed_at",
    "healed_after",
    "tries",
    "event",
)


def drift(history: History, target: Target | None, since: int, until: int, limit: int) -> Answer:
    """The newest repairs of drift between two positions, oldest first; one row a field."""
    found = _repairs(history, target, since, until, limit)
    seen = rows_at(history, {int(str(row["cause"])) for row in found if row["cause"]})
    rows = [told for row in found for told in _told(row, seen.get(int(str(row["cause"])), {}))]
    spans = notes(history, int(str(found[0]["found_at"])), history.now) if found else ()
    return Answer(rows, COLUMNS, WIDE, spans)


def _repairs(history: History, target: Target | None, since: int, until: int, limit: int) -> Table:
    # an index has the rows of a definition or an instance in their order
    place, bounds = (
        ("key", (key(since + 1), key(until + 1))) if target is None else ("position", (since + 1, until + 1))
    )
    parts: list[tuple[str, object]] = [(f"{place} >= ?", bounds[0]), (f"{place} < ?", bounds[1])]
    if target is not None and target.is_definition:
        parts.append(("definition_uid = ?", target.uid))
    elif target is not None:
        parts.append(("instance_uid = ?", instance_uid(history, target)))
        if not target.is_instance:
            parts += [("kind = ?", target.ref.kind), ("name = ?", target.ref.name)]
    where = " AND ".join(sql for sql, _ in parts)
    sql = f"SELECT * FROM p_drift WHERE {where} ORDER BY {place} DESC, key DESC LIMIT ?"  # noqa: S608 the conditions are ours
    return history.rows(sql, (*(value for _, value in parts), limit))[::-1]


def _told(row: Row, seen: Row) -> list[JsonObject]:
    """``seen``: the observation that showed it, as far as it is known."""
    began = int(str(seen.get("occurred_at", row["found_at"])))
    done = int(str(row["healed_at"]))
    return [
        {
            "time": iso(began),
            "instance": f"{str(row['instance_kind']).lower()}/{row['instance_name']}",
            "namespace": row["namespace"],
            "object": f"{str(row['kind']).lower()}/{row['name']}" if row["name"] else row["node"],
            "node": row["node"],
            "path": field["path"],
            "wanted": field["from"],
            "found": field["to"],
            "actor": seen.get("actor", ""),
            "actor_source": seen.get("actor_source", "unknown"),
            "seen_late": "late" in str(seen.get("summary", "")),
            "healed_at": iso(done) if done else None,
            "healed_after": lasted((done - began) / 1_000_000) if done else str(row["ended"]) or "not healed",
            "tries": row.get("tries", 0),
            "revision": row["revision"],
            "event": row["position"],
        }
        for field in parsed(row["fields"])
    ]
