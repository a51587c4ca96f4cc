"""Lists: nothing is changed in place, and equality never takes a bool for a number."""

from __future__ import annotations

from functools import cmp_to_key
from itertools import pairwise

from kro_es.cel.errors import EvaluationError, NoSuchOverload, Overflow
from kro_es.cel.overloads import Overload, T, function, member
from kro_es.cel.types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, STRING, TIMESTAMP, UINT, CelType, ListType
from kro_es.cel.values import (
    INT_MAX,
    INT_MIN,
    UINT_MAX,
    CelValue,
    Duration,
    Timestamp,
    Uint,
    checked_size,
    contains,
    equal,
)

MAX_RANGE = 1_000_000
_COMPARABLE: tuple[CelType, ...] = (INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES)
_COMPARABLE_CLASSES = frozenset({int, Uint, float, bool, Duration, Timestamp, str, bytes})


def _check_comparable(items: list[CelValue]) -> None:
    kinds = {type(item) for item in items}
    if len(kinds) > 1:
        raise EvaluationError("list elements must have the same type")
    if not kinds <= _COMPARABLE_CLASSES:
        raise EvaluationError("list elements must be comparable")


def _order(left: CelValue, right: CelValue) -> int:
    return int(left > right) - int(left < right)


def sort_by(items: list[CelValue], keys: list[CelValue]) -> list[CelValue]:
    """``items`` in the order of ``keys``; equal keys keep their order."""
    _check_comparable(keys)

    def order(left: int, right: int) -> int:
        return _order(keys[left], keys[right])

    # NaN compares false with everything and stays where it is
    places = sorted(range(len(items)), key=cmp_to_key(order))
    return [items[place] for place in places]


def _is_sorted(items: list[CelValue]) -> bool:
    _check_comparable(items)
    return all(left <= right for left, right in pairwise(items))


def _sum_int(items: list[CelValue]) -> CelValue:
    total = 0
    for item in items:
        if type(item) is not int:
            return _sum_other(items)
        total += item
        if not INT_MIN <= total <= INT_MAX:
            raise Overflow("integer overflow")
    return total


def _sum_other(items: list[CelValue]) -> CelValue:
    kinds = {type(item) for item in items}
    if kinds == {int}:
        return _sum_int(items)
    if kinds == {float}:
        total = 0.0
        for item in items:
            total += item
        return total
    if kinds == {Uint}:
        whole = sum(map(int, items))
        if whole > UINT_MAX:
            raise Overflow("unsigned integer overflow")
        return Uint(whole)
    if kinds == {Duration}:
        return Duration.checked(sum(item.nanos for item in items))
    raise NoSuchOverload("no such overload")


def _sum(zero: CelValue) -> Overload:
    of = {int: INT, Uint: UINT, float: DOUBLE, Duration: DURATION}[type(zero)]
    add = _sum_int if of == INT else _sum_other
    return member("sum", (ListType(of),), of, lambda items: add(items) if items else zero)


def _extreme(name: str, wanted: int) -> tuple[Overload, ...]:
    def pick(items: list[CelValue]) -> CelValue:
        if not items:
            raise EvaluationError(f"{name} called on empty list")
        _check_comparable(items)
        best = items[0]
        for item in items[1:]:
            if _order(item, best) == wanted:
                best = item
        return best

    return tuple(member(name, (ListType(of),), of, pick) for of in _COMPARABLE)


def _index_of(items: list[CelValue], wanted: CelValue) -> int:
    return next((place for place, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(items: list[CelValue], wanted: CelValue) -> int:
    return next((place for place in reversed(range(len(items))) if equal(items[place], wanted)), -1)


def _slice(items: list[CelValue], start: int, end: int) -> list[CelValue]:
    if start < 0 or end < 0:
        raise EvaluationError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        message = "start index must be less than or equal to end index"
        raise EvaluationError(f"cannot slice({start}, {end}), {message}")
    if end > len(items):
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _flatten(items: list[CelValue], depth: int = 1) -> list[CelValue]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    flat = items
    while depth > 0 and any(isinstance(item, list) for item in flat):
        flat = [inner for item in flat for inner in (item if isinstance(item, list) else [item])]
        checked_size(len(flat))
        depth -= 1
    return flat


def _distinct(items: list[CelValue]) -> list[CelValue]:
    found: list[CelValue] = []
    seen: set[tuple[bool, str | int | float]] = set()
    for item in items:
        if type(item) in (str, int, bool):
            # a fast path for what hashes: bool is kept apart from int
            mark = (type(item) is bool, item)
            if mark in seen:
                continue
            seen.add(mark)
        if not (contains(found, item) if type(item) not in (str, bool) else False):
            found.append(item)
    return found


def _range(size: int) -> list[CelValue]:
    if size < 0:
        raise EvaluationError(f"lists.range: size must be non-negative, got {size}")
    if size > MAX_RANGE:
        raise EvaluationError(f"lists.range: size {size} exceeds maximum allowed ({MAX_RANGE})")
    return list(range(size))


def _check_index(name: str, items: list[CelValue], index: int, closed: bool = False) -> None:
    if not 0 <= index < len(items) + closed:
        bracket = "]" if closed else ")"
        raise EvaluationError(f"lists.{name}: index {index} out of bounds [0, {len(items)}{bracket}")


def _set(items: list[CelValue], index: int, value: CelValue) -> list[CelValue]:
    _check_index("setAtIndex", items, index)
    return [*items[:index], value, *items[index + 1 :]]


def _insert(items: list[CelValue], index: int, value: CelValue) -> list[CelValue]:
    _check_index("insertAtIndex", items, index, closed=True)
    return [*items[:index], value, *items[index:]]


def _remove(items: list[CelValue], index: int) -> list[CelValue]:
    _check_index("removeAtIndex", items, index)
    return [*items[:index], *items[index + 1 :]]


_LIST = ListType(T)

OVERLOADS: tuple[Overload, ...] = (
    *(member("isSorted", (ListType(of),), BOOL, _is_sorted) for of in _COMPARABLE),
    _sum(0),
    _sum(Uint(0)),
    _sum(0.0),
    _sum(Duration(0)),
    *_extreme("min", -1),
    *_extreme("max", 1),
    member("indexOf", (_LIST, T), INT, _index_of),
    member("lastIndexOf", (_LIST, T), INT, _last_index_of),
    member("slice", (_LIST, INT, INT), _LIST, _slice),
    member("flatten", (ListType(_LIST),), _LIST, _flatten),
    member("flatten", (ListType(DYN), INT), ListType(DYN), _flatten),
    *(member("sort", (ListType(of),), ListType(of), lambda items: sort_by(items, items)) for of in _COMPARABLE),
    member("distinct", (_LIST,), _LIST, _distinct),
    member("reverse", (_LIST,), _LIST, lambda items: items[::-1]),
    function("lists.range", (INT,), ListType(INT), _range),
    function("lists.setAtIndex", (_LIST, INT, T), _LIST, _set),
    function("lists.insertAtIndex", (_LIST, INT, T), _LIST, _insert),
    function("lists.removeAtIndex", (_LIST, INT), _LIST, _remove),
)

INCLUDES: tuple[Overload, ...] = (member("includes", (ListType(T), T), BOOL, contains),)
"""Kubernetes has it, kro leaves it out."""
