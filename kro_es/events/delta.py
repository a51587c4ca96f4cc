"""The difference of two JSON values: applied to the first it gives the second exactly, down to 1, 1.0, true and -0.0.

A delta is an object with at most these members: ``v`` the whole new value; or, for two objects, ``s`` members set,
``c`` members changed (name to delta), ``d`` names removed; or, for two lists, ``c`` items changed (index to delta),
``n`` the length it is cut to, ``a`` items appended. The empty delta changes nothing.
"""

from __future__ import annotations

import orjson

from kro_es.api.objects import JsonObject, JsonValue

_PLAIN = frozenset((str, int, bool, type(None)))
"""Types whose values are the same when they are equal; 0.0 and -0.0 are equal and not the same."""


def canonical(value: JsonValue) -> bytes:
    """The one text of a JSON value: sorted keys, no spaces; different values never share it."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def diff(old: JsonValue, new: JsonValue) -> JsonObject:
    """The delta from ``old`` to ``new``, type-strict: Python's ``==`` takes True, 1 and 1.0 for the same."""
    return {} if _same(old, new) else _diff(old, new)


def apply(old: JsonValue, delta: JsonObject) -> JsonValue:
    """``old`` after the delta; ``old`` is never changed, unchanged parts are shared with it."""
    if not delta:
        return old
    if "v" in delta:
        return delta["v"]
    if isinstance(old, list):
        return _apply_list(old, delta)
    new = dict(old)
    for name, change in delta.get("c", {}).items():
        new[name] = apply(new[name], change)
    for name in delta.get("d", ()):
        del new[name]
    new.update(delta.get("s", {}))
    return new


def _apply_list(old: list[JsonValue], delta: JsonObject) -> list[JsonValue]:
    new = old[: delta["n"]] if "n" in delta else list(old)
    for index, change in delta.get("c", {}).items():
        new[int(index)] = apply(new[int(index)], change)
    new.extend(delta.get("a", ()))
    return new


def _same(old: JsonValue, new: JsonValue) -> bool:
    """Never True for different values; it may be False for objects that differ in the order of their members only."""
    if type(old) is not type(new):
        return False
    if old != new:
        return False
    # equal is not the same yet: the texts tell 1 from 1.0 and from True, and 0.0 from -0.0
    return type(old) in _PLAIN or orjson.dumps(old) == orjson.dumps(new)


def _diff(old: JsonValue, new: JsonValue) -> JsonObject:
    """Of two values that are not the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        return _diff_objects(old, new)
    if isinstance(old, list) and isinstance(new, list):
        return _diff_lists(old, new)
    return {"v": new}


def _diff_objects(old: JsonObject, new: JsonObject) -> JsonObject:
    added: JsonObject = {}
    changed: JsonObject = {}
    for name, value in new.items():
        if name not in old:
            added[name] = value
            continue
        before = old[name]
        if before is value or _same(before, value):
            continue
        change = _diff(before, value)
        if "v" in change:
            added[name] = value
        elif change:
            changed[name] = change
    delta: JsonObject = {}
    if added:
        delta["s"] = added
    if changed:
        delta["c"] = changed
    removed = [name for name in old if name not in new]
    if removed:
        delta["d"] = removed
    return delta


def _diff_lists(old: list[JsonValue], new: list[JsonValue]) -> JsonObject:
    shared = min(len(old), len(new))
    changed: JsonObject = {}
    for index in range(shared):
        before, value = old[index], new[index]
        if before is not value and not _same(before, value) and (change := _diff(before, value)):
            changed[str(index)] = change
    delta: JsonObject = {}
    if len(old) > shared:
        delta["n"] = shared
    if changed:
        delta["c"] = changed
    if len(new) > shared:
        delta["a"] = new[shared:]
    return delta
