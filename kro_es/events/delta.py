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

_MISSING = object()
_SURELY_DIFFERENT = 2
"""Parts so near the root are not compared as a whole: an object without any change is never written."""


def canonical(value: JsonValue) -> bytes:
    """The one text of a JSON value: sorted keys, no spaces; different values never share it."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def diff(old: JsonValue, new: JsonValue) -> JsonObject:
    """The delta from ``old`` to ``new``, type-strict: Python's ``==`` takes True, 1 and 1.0 for the same."""
    return Base(old).diff(new)


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


class Base:
    """A value that many others are compared with: it remembers the texts of its parts. The value never changes."""

    __slots__ = ("_texts", "value")

    def __init__(self, value: JsonValue) -> None:
        self.value = value
        self._texts: dict[int, bytes] = {}
        """By identity of the part, which lives as long as the value."""

    def diff(self, new: JsonValue) -> JsonObject:
        """The delta from the value to ``new``."""
        return self._diff(self.value, new, 0)

    def _diff(self, old: JsonValue, new: JsonValue, depth: int) -> JsonObject:
        if isinstance(old, dict) and isinstance(new, dict):
            return self._diff_objects(old, new, depth + 1)
        if isinstance(old, list) and isinstance(new, list):
            return self._diff_lists(old, new, depth + 1)
        return {} if self._same(old, new) else {"v": new}

    def _same(self, old: JsonValue, new: JsonValue) -> bool:
        """Never True for different values; it may be False for objects that differ in the order of their members only."""
        kind = type(new)
        if type(old) is not kind:
            return False
        if kind in _PLAIN:
            return bool(old == new)
        # the texts tell 1 from 1.0 and from True, and 0.0 from -0.0
        text = self._texts.get(id(old))
        if text is None:
            text = self._texts[id(old)] = orjson.dumps(old)
        return text == orjson.dumps(new)

    def _diff_objects(self, old: JsonObject, new: JsonObject, depth: int) -> JsonObject:
        added: JsonObject = {}
        changed: JsonObject = {}
        for name, value in new.items():
            before = old.get(name, _MISSING)
            kind = type(value)
            if before is value or (type(before) is kind and kind in _PLAIN and before == value):
                continue
            if type(before) is not kind or kind in _PLAIN:
                added[name] = value
            elif depth < _SURELY_DIFFERENT or not self._same(before, value):
                change = self._diff(before, value, depth)
                if "v" in change:
                    added[name] = value
                elif change:
                    changed[name] = change
        delta: JsonObject = {"s": added} if added else {}
        if changed:
            delta["c"] = changed
        removed = [name for name in old if name not in new]
        if removed:
            delta["d"] = removed
        return delta

    def _diff_lists(self, old: list[JsonValue], new: list[JsonValue], depth: int) -> JsonObject:
        shared = min(len(old), len(new))
        changed: JsonObject = {}
        for index in range(shared):
            before, value = old[index], new[index]
            if before is not value and not self._same(before, value) and (change := self._diff(before, value, depth)):
                changed[str(index)] = change
        delta: JsonObject = {}
        if len(old) > shared:
            delta["n"] = shared
        if changed:
            delta["c"] = changed
        if len(new) > shared:
            delta["a"] = new[shared:]
        return delta
