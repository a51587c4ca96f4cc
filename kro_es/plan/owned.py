"""The fields we own in a live object, as the server tells them, and the digests a no-op pass compares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, JsonValue

_OUR_VERSION = frozenset({metadata.VERSION, metadata.TOOLING})
"""Labels and annotations that carry our own version: outside every digest, only rewritten with another write."""
_ABSENT = "\0absent"
"""Stands for a field that is not there: absent, null and ``{}`` are three different things."""


def own_fields(obj: Mapping[str, JsonValue], manager: str) -> JsonObject | None:
    """fieldsV1 of the manager's server-side apply entry; None when it has none."""
    for entry in obj["metadata"].get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            found: JsonObject = entry.get("fieldsV1") or {}
            return _folded(found) if obj.get("kind") == "Secret" and "f:stringData" in found else found
    return None


def _folded(fields: JsonObject) -> JsonObject:
    """Whoever applied ``stringData`` owns what became of it."""
    rest = {name: below for name, below in fields.items() if name != "f:stringData"}
    return {**rest, "f:data": {**(fields.get("f:data") or {}), **fields["f:stringData"]}}


def extract(obj: JsonValue, fields: JsonObject) -> JsonValue:
    """The owned leaves of ``obj`` selected by ``fields`` (structured-merge-diff's FieldsV1), in a canonical shape."""
    if not fields or (len(fields) == 1 and "." in fields):
        return _existence(obj) if "." in fields else obj
    if isinstance(obj, list):
        return _items(obj, fields)
    if not isinstance(obj, dict):
        return obj
    found: JsonObject = {}
    for name, below in fields.items():
        if name == "." or not name.startswith("f:"):
            continue
        key = name[2:]
        if key in _OUR_VERSION:
            continue
        found[key] = extract(obj[key], below) if key in obj else _ABSENT
    return found


def _existence(obj: JsonValue) -> JsonValue:
    """A granular map or list that is owned as such counts by being there, not by what others put into it."""
    if isinstance(obj, dict):
        return {}
    return [] if isinstance(obj, list) else obj


def _items(obj: list[JsonValue], fields: JsonObject) -> JsonValue:
    """Our items of a list in their relative order; an item that is gone is told by its key."""
    selectors = {name: below for name, below in fields.items() if name != "."}
    found: list[JsonValue] = []
    matched = set()
    for index, item in enumerate(obj):
        for name, below in selectors.items():
            if name not in matched and selects(name, item, index):
                matched.add(name)
                found.append([name, extract(item, below)])
                break
    missing = sorted(selectors.keys() - matched)
    return [*found, *([name, _ABSENT] for name in missing)]


def selects(selector: str, item: JsonValue, index: int, *, exact: bool = False) -> bool:
    """Whether fieldsV1 means this item; unless ``exact`` also where a key is missing that the server sets by default."""
    kind, _, text = selector.partition(":")
    if kind == "i":
        return index == int(text)
    wanted = orjson.loads(text)
    if kind == "v":
        return bool(item == wanted)
    # a key the server defaulted (a port's protocol) is missing in what we send
    return isinstance(item, dict) and all(
        item.get(name, None if exact else value) == value for name, value in wanted.items()
    )


def agrees(desired: JsonValue, live: JsonValue, fields: JsonObject) -> bool:
    """Whether applying ``desired`` would change nothing in ``live``, where ``fields`` is what we own in it.

    False is the safe answer: a value the server writes in another way (a quantity) reads as a difference, and the
    apply that follows is a no-op there.
    """
    wanted = {name: value for name, value in desired.items() if name not in ("apiVersion", "kind")}
    meta = {name: value for name, value in desired["metadata"].items() if name not in ("name", "namespace")}
    return _covered({**wanted, "metadata": meta}, fields) and extract(desired, fields) == extract(live, fields)


def _covered(wanted: JsonValue, fields: JsonObject) -> bool:
    """Every leaf of ``wanted`` is one we own already."""
    if not any(name != "." for name in fields):
        return True
    if isinstance(wanted, dict):
        return all(
            f"f:{name}" in fields and _covered(value, fields[f"f:{name}"])
            for name, value in wanted.items()
            if name not in _OUR_VERSION
        )
    if isinstance(wanted, list):
        selectors = [name for name in fields if name != "."]
        found = [
            next((name for name in selectors if selects(name, item, index)), None) for index, item in enumerate(wanted)
        ]
        return all(name is not None and _covered(item, fields[name]) for name, item in zip(found, wanted, strict=True))
    return True


def owned_digest(obj: JsonValue, fields: JsonObject) -> str:
    """Digest of what we own in a live object."""
    return _digest(extract(obj, fields))


def digest(obj: JsonValue) -> str:
    """Digest of a desired object or of a set of fields, without the labels that carry our version."""
    return _digest(_without_version(obj))


def _digest(value: JsonValue) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _without_version(obj: JsonValue) -> JsonValue:
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
        return obj
    meta = dict(obj["metadata"])
    for part in ("labels", "annotations"):
        if isinstance(meta.get(part), dict):
            meta[part] = {name: value for name, value in meta[part].items() if name not in _OUR_VERSION}
    return {**obj, "metadata": meta}
