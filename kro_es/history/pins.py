"""What is pinned: who, to which revision, since when, by whom and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kro_es.api.objects import JsonObject
from kro_es.history import tail
from kro_es.history.source import Answer, History
from kro_es.history.times import iso
from kro_es.projections.pins import Pins

if TYPE_CHECKING:
    from kro_es.decisions.pin import Pin


def pins(history: History) -> Answer:
    """One row a pinned instance, the longest pinned first."""
    active = {row["key"]: row["active"] for row in history.rows("SELECT key, active FROM p_definitions")}
    found = sorted(tail.rows(history, Pins()), key=lambda row: (int(str(row["since"])), str(row["key"])))
    rows = [
        {
            "object": f"{str(row['kind']).lower()}/{row['name']}",
            "namespace": row["namespace"],
            "pinned_to": f"{row['definition']}@{row['number']}",
            "active": f"{row['definition']}@{active.get(row['definition_uid'], 0)}",
            "since": iso(int(str(row["since"]))),
            "actor": row["actor"],
            "reason": row["reason"],
            "position": row["position"],
        }
        for row in found
    ]
    columns = ("object", "namespace", "pinned_to", "active", "since", "actor", "reason")
    return Answer(rows, columns, (*columns, "position"))


def pin_of(history: History, uid: str, obj: JsonObject) -> Pin | None:
    """What an instance is pinned to, by the log or by the object as it is recorded."""
    from kro_es.decisions.pin import Pin  # noqa: PLC0415 what it knows of graphs takes time to load

    rows = [row for row in tail.rows(history, Pins()) if row["key"] == uid]
    return Pin.of(obj, rows[0] if rows else None)


def pinned_of(history: History, definition_uid: str) -> dict[str, int]:
    """By uid, instances of a definition that are pinned, and to which revision."""
    rows = [row for row in tail.rows(history, Pins()) if row["definition_uid"] == definition_uid]
    return {str(row["key"]): int(str(row["number"])) for row in rows}
