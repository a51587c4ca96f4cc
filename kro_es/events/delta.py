"""The difference of two JSON values: applied to the first it gives the second exactly, down to 1, 1.0, true and -0.0.

A delta is an object with at most these members: ``v`` the whole new value; or, for two objects, ``s`` members set,
``c`` members changed (name to delta), ``d`` names removed; or, for two lists, ``c`` items changed (index to delta),
``n`` the length it is cut to, ``a`` items appended. The empty delta changes nothing.
"""

from __future__ import annotations

import orjson

from kro_es.api.objects import JsonObject, JsonValue


def canonical(value: JsonValue) -> bytes:
    """The one text of a JSON value: sorted keys, no spaces; different values never share it."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def diff(old: JsonValue, new: JsonValue, new_canonical: bytes | None = None) -> JsonObject:
    """The delta from ``old`` to ``new``; ``new_canonical`` saves work when it is known already.

    Python's ``==`` is fast and takes True, 1 and 1.0 for the same; so its delta is tried first, proved on the
    canonical text, and only when the proof fails the values are walked strictly.
    """
    delta = _diff(old, new, strict=False)
    if canonical(apply(old, delta)) == (canonical(new) if new_canonical is None else new_canonical):
        return delta
    return _diff(old, new, strict=True)


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


def _diff(old: JsonValue, new: JsonValue, *, strict: bool) -> JsonObject:
    if canonical(old) == canonical(new) if strict else old == new:
        return {}
    if isinstance(old, dict) and isinstance(new, dict):
        return _diff_objects(old, new, strict=strict)
    if isinstance(old, list) and isinstance(new, list):
        return _diff_lists(old, new, strict=strict)
    return {"v": new}


def _diff_objects(old: JsonObject, new: JsonObject, *, strict: bool) -> JsonObject:
    added: JsonObject = {}
    changed: JsonObject = {}
    for name, value in new.items():
        if name not in old:
            added[name] = value
            continue
        before = old[name]
        if not strict and before == value:
            continue
        change = _diff(before, value, strict=strict)
        if "v" in change:
            added[name] = value
        elif change:
            changed[name] = change
    removed = [name for name in old if name not in new]
    delta: JsonObject = {}
    if added:
        delta["s"] = added
    if changed:
        delta["c"] = changed
    if removed:
        delta["d"] = removed
    return delta


def _diff_lists(old: list[JsonValue], new: list[JsonValue], *, strict: bool) -> JsonObject:
    shared = min(len(old), len(new))
    changed = {
        str(index): change for index in range(shared) if (change := _diff(old[index], new[index], strict=strict))
    }
    delta: JsonObject = {}
    if len(old) > shared:
        delta["n"] = shared
    if changed:
        delta["c"] = changed
    if len(new) > shared:
        delta["a"] = new[shared:]
    return delta
