"""Whether a CRD in the cluster is the one we would write: what kro's comparison leaves out counts too (spec/04 T5)."""

from __future__ import annotations

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, JsonValue


def covered(live: JsonObject, wanted: JsonObject) -> bool:
    """``live`` as the server shows it, with its defaults; ``wanted`` of :func:`kro_es.schema.crd.crd_for`.

    Our version label is written with another change, never for its own sake. Labels and annotations that a definition
    no longer has stay, as with kro: a merge does not remove them.
    """
    before, after = live["spec"], wanted["spec"]
    return (
        all(before.get(name) == after[name] for name in ("group", "scope"))
        and _names(before["names"]) == _names(after["names"])
        and len(before["versions"]) == len(after["versions"])
        and all(_version(*pair) for pair in zip(before["versions"], after["versions"], strict=True))
        and all(_within(wanted["metadata"].get(name), live["metadata"].get(name)) for name in ("labels", "annotations"))
    )


def same(left: JsonValue, right: JsonValue) -> bool:
    """JSON equality: 1 and 1.0 are one number, and true is none; the server leaves an empty description out."""
    if isinstance(left, dict) and isinstance(right, dict):
        before, after = _told(left), _told(right)
        return before.keys() == after.keys() and all(same(value, after[name]) for name, value in before.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _told(node: JsonObject) -> JsonObject:
    if node.get("description") == "":
        return {name: value for name, value in node.items() if name != "description"}
    return node


def _names(names: JsonObject) -> JsonObject:
    """No short names is the same as none given."""
    return {name: value for name, value in names.items() if value}


def _version(live: JsonObject, wanted: JsonObject) -> bool:
    """The server adds fields of its own to a version (deprecation, selectable fields), none inside the schema."""
    return all(same(live.get(name), value) for name, value in wanted.items())


def _within(wanted: JsonObject | None, live: JsonObject | None) -> bool:
    found = live or {}
    return all(found.get(name) == value for name, value in (wanted or {}).items() if name != metadata.VERSION)
