"""Operators: 64-bit arithmetic that never wraps, comparison, membership and indexing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from kro_es.cel.errors import DataPending, EvaluationError
from kro_es.cel.omit import OMIT
from kro_es.cel.overloads import Implementation, K, Overload, T, V, function
from kro_es.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    ListType,
    MapType,
    OptionalType,
)
from kro_es.cel.values import (
    INT_MAX,
    INT_MIN,
    NONE,
    UINT_MAX,
    CelValue,
    Duration,
    Optional,
    Timestamp,
    Uint,
    checked_size,
    contains,
    equal,
    key_value,
    map_key,
)

_ORDERED = frozenset({bool, str, bytes, Timestamp, Duration})
_NUMBERS = frozenset({int, float, Uint})


def _int(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvaluationError("integer overflow")


def _uint(value: int) -> Uint:
    if 0 <= value <= UINT_MAX:
        return Uint(value)
    raise EvaluationError("unsigned integer overflow")


def _quotient(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("division by zero")
    size = abs(left) // abs(right)
    return size if (left < 0) == (right < 0) else -size


def _remainder(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("modulus by zero")
    return left - right * _quotient(left, right)


def _divide_double(left: float, right: float) -> float:
    if right != 0:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)


def concatenate(left: CelValue, right: CelValue) -> CelValue:
    checked_size(len(left) + len(right))
    return left + right


def _shift(moment: Timestamp, by: Duration) -> Timestamp:
    return Timestamp.checked(moment.nanos + by.nanos)


def _equals(left: CelValue, right: CelValue) -> bool:
    if left is OMIT:
        raise EvaluationError("omit() is a field-removal sentinel and cannot be compared")
    return equal(left, right)


def _compare(relation: Callable[[CelValue, CelValue], bool]) -> Implementation:
    def compare(left: CelValue, right: CelValue) -> bool:
        left_type, right_type = type(left), type(right)
        same = left_type is right_type and left_type in _ORDERED
        if same or (left_type in _NUMBERS and right_type in _NUMBERS):
            return relation(left, right)
        raise EvaluationError("no such overload")

    return compare


def _comparisons(name: str, relation: Callable[[CelValue, CelValue], bool]) -> tuple[Overload, ...]:
    types = (BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION)
    generic = _compare(relation)
    return tuple(Overload(name, (of, of), BOOL, relation, generic=generic) for of in types)


def at(items: list[CelValue], index: int) -> CelValue:
    if 0 <= index < len(items):
        return items[index]
    raise DataPending(f"index out of bounds: {index}", f"[{index}]")


def lookup(entries: dict[CelValue, CelValue], key: CelValue) -> CelValue:
    found = map_key(key)
    if found in entries:
        return entries[found]
    raise DataPending(f"no such key: {key}", f"[{key}]")


def optional_at(items: list[CelValue], index: int) -> Optional:
    return Optional(items[index], True) if 0 <= index < len(items) else NONE


def optional_lookup(entries: dict[CelValue, CelValue], key: CelValue) -> Optional:
    found = map_key(key)
    return Optional(entries[found], True) if found in entries else NONE


def _inside(access: Callable[..., Optional]) -> Implementation:
    return lambda container, key: access(container.value, key) if container.present else NONE


def _in_list(value: CelValue, items: list[CelValue]) -> bool:
    return contains(items, value)


def _in_map(key: CelValue, entries: dict[CelValue, CelValue]) -> bool:
    return type(key) in (str, int, bool, float, Uint) and (
        any(equal(key, key_value(found)) for found in entries) if type(key) is float else map_key(key) in entries
    )


def _special(*_: CelValue) -> CelValue:
    raise EvaluationError("internal error: special form called as a function")


_LIST, _MAP = ListType(T), MapType(K, V)

OVERLOADS: tuple[Overload, ...] = (
    # special forms: the compiler does not call these
    function("_&&_", (BOOL, BOOL), BOOL, _special),
    function("_||_", (BOOL, BOOL), BOOL, _special),
    function("_?_:_", (BOOL, T, T), T, _special),
    function("!_", (BOOL,), BOOL, operator.not_),
    function("_==_", (T, T), BOOL, _equals),
    function("_!=_", (T, T), BOOL, lambda left, right: left is OMIT or not equal(left, right)),
    *_comparisons("_<_", operator.lt),
    *_comparisons("_<=_", operator.le),
    *_comparisons("_>_", operator.gt),
    *_comparisons("_>=_", operator.ge),
    function("_+_", (INT, INT), INT, lambda a, b: _int(a + b)),
    function("_+_", (UINT, UINT), UINT, lambda a, b: _uint(a + b)),
    function("_+_", (DOUBLE, DOUBLE), DOUBLE, operator.add),
    function("_+_", (STRING, STRING), STRING, concatenate),
    function("_+_", (BYTES, BYTES), BYTES, concatenate),
    function("_+_", (_LIST, _LIST), _LIST, concatenate),
    function("_+_", (TIMESTAMP, DURATION), TIMESTAMP, _shift),
    function("_+_", (DURATION, TIMESTAMP), TIMESTAMP, lambda a, b: _shift(b, a)),
    function("_+_", (DURATION, DURATION), DURATION, lambda a, b: Duration.checked(a.nanos + b.nanos)),
    function("_-_", (INT, INT), INT, lambda a, b: _int(a - b)),
    function("_-_", (UINT, UINT), UINT, lambda a, b: _uint(int(a) - int(b))),
    function("_-_", (DOUBLE, DOUBLE), DOUBLE, operator.sub),
    function("_-_", (TIMESTAMP, TIMESTAMP), DURATION, lambda a, b: Duration.checked(a.nanos - b.nanos)),
    function("_-_", (TIMESTAMP, DURATION), TIMESTAMP, lambda a, b: Timestamp.checked(a.nanos - b.nanos)),
    function("_-_", (DURATION, DURATION), DURATION, lambda a, b: Duration.checked(a.nanos - b.nanos)),
    function("_*_", (INT, INT), INT, lambda a, b: _int(a * b)),
    function("_*_", (UINT, UINT), UINT, lambda a, b: _uint(a * b)),
    function("_*_", (DOUBLE, DOUBLE), DOUBLE, operator.mul),
    function("_/_", (INT, INT), INT, lambda a, b: _int(_quotient(a, b))),
    function("_/_", (UINT, UINT), UINT, lambda a, b: _uint(_quotient(a, b))),
    function("_/_", (DOUBLE, DOUBLE), DOUBLE, _divide_double),
    function("_%_", (INT, INT), INT, lambda a, b: _int(_remainder(a, b))),
    function("_%_", (UINT, UINT), UINT, lambda a, b: _uint(_remainder(a, b))),
    function("-_", (INT,), INT, lambda a: _int(-a)),
    function("-_", (DOUBLE,), DOUBLE, operator.neg),
    function("-_", (DURATION,), DURATION, lambda a: Duration.checked(-a.nanos)),
    function("@in", (T, _LIST), BOOL, _in_list),
    function("@in", (K, _MAP), BOOL, _in_map),
    function("_[_]", (_LIST, INT), T, at),
    function("_[_]", (_MAP, K), V, lookup),
    function("_[_]", (OptionalType(_LIST), INT), OptionalType(T), _inside(optional_at)),
    function("_[_]", (OptionalType(_MAP), K), OptionalType(V), _inside(optional_lookup)),
    function("_[?_]", (_LIST, INT), OptionalType(T), optional_at),
    function("_[?_]", (_MAP, K), OptionalType(V), optional_lookup),
    function("_[?_]", (OptionalType(_LIST), INT), OptionalType(T), _inside(optional_at)),
    function("_[?_]", (OptionalType(_MAP), K), OptionalType(V), _inside(optional_lookup)),
)
