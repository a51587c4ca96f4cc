"""What is pinned: who, to which revision, since when, by whom and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kro_es.api.objects import JsonObject
from kro_es.events.types import CommandPinSelector, CommandUnpinSelector
from kro_es.history import tail
from kro_es.history.revisions import parsed
from kro_es.history.source import Answer, History, Table
from kro_es.history.times import iso
from kro_es.projections.pins import Pins
from kro_es.projections.projection import Row
from kro_es.projections.revisions import Definitions
from kro_es.store.sql import marks

if TYPE_CHECKING:
    from kro_es.decisions.pin import Pin, SelectorPin

_ORDER = CommandPinSelector | CommandUnpinSelector


def pins(history: History) -> Answer:
    """One row a pinned instance, the longest pinned first, then one for each set of labels that pins whoever has them."""
    active = {row["key"]: row["active"] for row in history.rows("SELECT key, active FROM p_definitions")}
    found = sorted(tail.rows(history, Pins()), key=lambda row: (int(str(row["since"])), str(row["key"])))
    rows: Table = [
        {
            "object": f"{str(row['kind']).lower()}/{row['name']}",
            "namespace": row["namespace"],
            "selector": row.get("selector", ""),
            "pinned_to": f"{row['definition']}@{row['number']}",
            "active": f"{row['definition']}@{active.get(row['definition_uid'], 0)}",
            "since": iso(int(str(row["since"]))),
            "actor": row["actor"],
            "reason": row["reason"],
            "position": row["position"],
        }
        for row in found
    ]
    rows += _of_labels(history)
    said = ("selector",) if any(row["selector"] for row in rows) else ()
    columns = ("object", "namespace", *said, "pinned_to", "active", "since", "actor", "reason")
    return Answer(rows, columns, (*columns, "position"))


def standing(history: History, definition_uid: str) -> tuple[SelectorPin, ...]:
    """Pins by labels of a definition, the oldest command first, those no projection has folded yet too."""
    from kro_es.decisions.pin import SelectorPin  # noqa: PLC0415 what it knows of graphs takes time to load

    found = history.rows("SELECT * FROM p_definitions WHERE key = ?", (definition_uid,))
    row: Row | None = {**found[0], "pins": parsed(found[0].get("pins"))} if found else None
    for event in tail.events(history, Definitions()):
        body = event.body
        if isinstance(body, _ORDER) and body.definition_uid == definition_uid:
            row = Definitions().fold(definition_uid, row, event)
    return SelectorPin.all_of(row)


def _of_labels(history: History) -> Table:
    """Of definitions that are there: with a definition what was said about its instances ends."""
    orders = (event.body for event in tail.events(history, Definitions()))
    late = sorted({"", *(order.definition_uid for order in orders if isinstance(order, _ORDER))})
    sql = (
        "SELECT d.key, d.definition, d.active, r.instance_kind FROM p_definitions d JOIN p_objects o ON o.uid = d.key"  # noqa: S608 only marks
        " JOIN p_revisions r ON r.definition_uid = d.key AND r.number = d.active"
        f" WHERE d.pins_position > 0 OR d.key IN ({marks(len(late))}) ORDER BY d.definition"
    )
    return [
        {
            "object": str(row["instance_kind"]).lower(),
            "namespace": one.namespace,
            "selector": one.selector,
            "pinned_to": f"{row['definition']}@{one.number}",
            "active": f"{row['definition']}@{row['active']}",
            "since": iso(one.since),
            "actor": one.actor,
            "reason": one.reason,
            "position": one.position,
        }
        for row in history.rows(sql, late)
        for one in standing(history, str(row["key"]))
    ]


def selector_of(pin: Pin) -> str:
    """The labels it is pinned by; empty for a pin of its own."""
    return str(pin.row.get("selector") or "") if pin.row is not None else ""


def pin_of(history: History, uid: str, obj: JsonObject) -> Pin | None:
    """What an instance is pinned to, by the log or by the object as it is recorded."""
    from kro_es.decisions.pin import Pin  # noqa: PLC0415 what it knows of graphs takes time to load

    rows = [row for row in tail.rows(history, Pins()) if row["key"] == uid]
    return Pin.of(obj, rows[0] if rows else None)


def pinned_of(history: History, definition_uid: str) -> dict[str, int]:
    """By uid, instances of a definition that are pinned, and to which revision."""
    return {uid: int(str(row["number"])) for uid, row in pins_of(history, definition_uid).items()}


def pins_of(history: History, definition_uid: str) -> dict[str, Row]:
    """By uid, what pins instances of a definition."""
    return {str(row["key"]): row for row in tail.rows(history, Pins()) if row["definition_uid"] == definition_uid}
