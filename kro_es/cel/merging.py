"""Lists that Kubernetes declares as sets or as maps: equal in any order, added without doubles."""

from __future__ import annotations

from kro_es.cel.overloads import Implementation
from kro_es.cel.values import CelValue, contains


def same_items(left: list[CelValue], right: list[CelValue]) -> bool:
    """Equality of two such lists: the order is of no account."""
    if not isinstance(right, list) or len(left) != len(right):
        return False
    return left == right or all(contains(right, item) for item in left)


def adder(keys: tuple[str, ...]) -> Implementation:
    """``+``: a union for a set (no ``keys``); for a map, items of the right replace those with their keys."""
    return _merge_by(keys) if keys else _union


def _union(left: list[CelValue], right: list[CelValue]) -> list[CelValue]:
    found = list(left)
    for item in right:
        if not contains(found, item):
            found.append(item)
    return found


def _merge_by(keys: tuple[str, ...]) -> Implementation:
    def identity(item: CelValue) -> str | None:
        return repr([item.get(key) for key in keys]) if isinstance(item, dict) else None

    def merge(left: list[CelValue], right: list[CelValue]) -> list[CelValue]:
        found = list(left)
        places = {identity(item): place for place, item in enumerate(left)}
        for item in right:
            place = places.setdefault(identity(item), len(found))
            if place < len(found):
                found[place] = item
            else:
                found.append(item)
        return found

    return merge


def comparison(function: str) -> Implementation:
    """``==`` or ``!=`` whose left side is such a list."""
    if function == "_==_":
        return same_items
    return lambda left, right: not same_items(left, right)
