"""What is held, and the edits that wait for its release."""

from __future__ import annotations

from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.history import tail
from kro_es.history.changes import changes
from kro_es.history.revisions import parsed
from kro_es.history.source import Answer, History
from kro_es.history.targets import Target
from kro_es.history.times import iso
from kro_es.projections.holds import Holds
from kro_es.projections.projection import Row


def holds(history: History) -> Answer:
    """One row a held object, the longest held first."""
    found = sorted(tail.rows(history, Holds()), key=lambda row: (int(str(row["since"])), str(row["key"])))
    rows = [_told(history, row) for row in found]
    columns = ("object", "namespace", "held_at", "since", "actor", "reason", "waiting")
    return Answer(rows, columns, (*columns, "edited_by", "position"))


def waiting(history: History, target: Target) -> tuple[JsonObject, ...]:
    """Field by field what the cluster shows otherwise than it is held at."""
    rows = [row for row in tail.rows(history, Holds()) if row["key"] == target.uid]
    return _waiting(rows[0], _live(history, rows[0])) if rows else ()


def _told(history: History, row: Row) -> JsonObject:
    live = _live(history, row)
    found = _waiting(row, live)
    return {
        "object": f"{str(row['kind']).lower()}/{row['name']}",
        "namespace": row["namespace"],
        "held_at": str(row["mark"]).partition("@")[0],
        "since": iso(int(str(row["since"]))),
        "actor": row["actor"],
        "reason": row["reason"],
        "waiting": len(found),
        "fields": list(found),
        "edited_by": live["editor"] if found and live else "",
        "position": row["position"],
    }


def _live(history: History, row: Row) -> Row | None:
    ref = ObjectRef(str(row["api_group"]), str(row["kind"]), str(row["namespace"]), str(row["name"]))
    found = history.rows("SELECT object, editor FROM p_objects WHERE key = ?", (ref.key,))
    return found[0] if found else None


def _waiting(row: Row, live: Row | None) -> tuple[JsonObject, ...]:
    return tuple(changes(parsed(row["spec"]), parsed(live["object"]).get("spec") or {})) if live else ()
