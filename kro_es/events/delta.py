"""The difference of two JSON values: applied to the first it gives the second exactly, down to 1, 1.0, true and -0.0.

A delta is an object with at most these members: ``v`` the whole new value; or, for two objects, ``s`` members set,
``c`` members changed (name to delta), ``d`` names removed; or, for two lists, ``c`` items changed (index to delta),
``n`` the length it is cut to, ``a`` items appended. The empty delta changes nothing.
"""

from __future__ import annotations

import orjson

from kro_es.api.objects import JsonObject, JsonValue

_MISSING = object()
_PARTS = (dict, list)
_SURELY_DIFFERENT = 2
"""Parts so near the root are not compared as a whole: an object without any change is never written."""


def canonical(value: JsonValue) -> bytes:
    """The one text of a JSON value: sorted keys, no spaces; different values never share it."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def canonical_around(value: JsonObject, name: str) -> tuple[bytes, bytes]:
    """The text of an object, and within it that of a member; neither is made twice."""
    part = canonical(value[name])
    return canonical({**value, name: orjson.Fragment(part)}), part


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
        if type(new) in _PARTS and type(self.value) is type(new):
            return self._walked(self.value, new, 1)
        return {} if _same_leaf(self.value, new) else {"v": new}

    def _diff(self, old: JsonValue, new: JsonValue, depth: int) -> JsonObject:
        """Of two objects, or of two lists."""
        if depth > _SURELY_DIFFERENT:
            # the texts tell 1 from 1.0 and from True, and 0.0 from -0.0
            text = self._texts.get(id(old))
            if text is None and old == new:
                # only of parts that stay as they are: what differs is found at its first difference
                text = self._texts[id(old)] = orjson.dumps(old)
            if text is not None and text == orjson.dumps(new):
                return {}
        return self._walked(old, new, depth)

    def _walked(self, old: JsonValue, new: JsonValue, depth: int) -> JsonObject:
        if type(new) is dict:
            return self._diff_objects(old, new, depth + 1)
        return self._diff_lists(old, new, depth + 1)

    def _diff_objects(self, old: JsonObject, new: JsonObject, depth: int) -> JsonObject:
        added: JsonObject = {}
        changed: JsonObject = {}
        common = len(new)
        for name, value in new.items():
            before = old.get(name, _MISSING)
            kind = type(value)
            # most members are texts, and no other value equals one
            if before == value if kind is str else before is value:
                continue
            if kind in _PARTS and type(before) is kind:
                if change := self._diff(before, value, depth):
                    changed[name] = change
            elif before is _MISSING:
                common -= 1
                added[name] = value
            elif not _same_leaf(before, value):
                added[name] = value
        delta: JsonObject = {"s": added} if added else {}
        if changed:
            delta["c"] = changed
        if common < len(old):
            delta["d"] = [name for name in old if name not in new]
        return delta

    def _diff_lists(self, old: list[JsonValue], new: list[JsonValue], depth: int) -> JsonObject:
        changed: JsonObject = {}
        for index, (before, value) in enumerate(zip(old, new, strict=False)):
            kind = type(value)
            if kind in _PARTS and type(before) is kind:
                if change := self._diff(before, value, depth):
                    changed[str(index)] = change
            elif not _same_leaf(before, value):
                changed[str(index)] = {"v": value}
        delta: JsonObject = {}
        if len(old) > len(new):
            delta["n"] = len(new)
        if changed:
            delta["c"] = changed
        if len(new) > len(old):
            delta["a"] = new[len(old) :]
        return delta


def _same_leaf(old: JsonValue, new: JsonValue) -> bool:
    """Of two values that are not both objects or both lists."""
    kind = type(new)
    # 0.0 and -0.0 are equal and not the same
    return type(old) is kind and old == new and (kind is not float or orjson.dumps(old) == orjson.dumps(new))
