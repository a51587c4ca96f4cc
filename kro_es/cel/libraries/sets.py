"""The ``sets`` functions of cel-go: lists taken as sets, their elements compared as ``==`` compares them."""

from __future__ import annotations

from kro_es.cel.overloads import Overload, T, function
from kro_es.cel.types import BOOL, ListType
from kro_es.cel.values import CelValue, contains


def _contains(items: list[CelValue], wanted: list[CelValue]) -> bool:
    return all(contains(items, item) for item in wanted)


def _equivalent(left: list[CelValue], right: list[CelValue]) -> bool:
    return _contains(left, right) and _contains(right, left)


def _intersects(left: list[CelValue], right: list[CelValue]) -> bool:
    return any(contains(right, item) for item in left)


_TWO = (ListType(T), ListType(T))

OVERLOADS: tuple[Overload, ...] = (
    function("sets.contains", _TWO, BOOL, _contains),
    function("sets.equivalent", _TWO, BOOL, _equivalent),
    function("sets.intersects", _TWO, BOOL, _intersects),
)
