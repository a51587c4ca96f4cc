"""Operators: 64-bit arithmetic that never wraps, comparison, membership and indexing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from kro_es.cel.errors import DataPending, DivisionByZero, EvaluationError, NoSuchOverload, Overflow
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
    type_of,
)

_ORDERED = frozenset({bool, str, bytes, Timestamp, Duration})
_NUMBERS = frozenset({int, float, Uint})


def _int(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Overflow("integer overflow")


def _uint(value: int) -> Uint:
    if 0 <= value <= UINT_MAX:
        return Uint(value)
    raise Overflow("unsigned integer overflow")


def _add(left: int, right: int) -> int:
    # these three are written out: they run for each item of a loop
    value = left + right
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Overflow("integer overflow")


def _subtract(left: int, right: int) -> int:
    value = left - right
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Overflow("integer overflow")


def _multiply(left: int, right: int) -> int:
    value = left * right
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Overflow("integer overflow")


def _quotient(left: int, right: int) -> int:
    if right == 0:
        raise DivisionByZero("division by zero")
    size = abs(left) // abs(right)
    return size if (left < 0) == (right < 0) else -size


def _remainder(left: int, right: int) -> int:
    if right == 0:
        raise DivisionByZero("modulus by zero")
    if left == INT_MIN and right == -1:
        # the quotient would not fit, and Go refuses both
        raise Overflow("integer overflow")
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
        if left_type is right_type and (left_type in _ORDERED or left_type in _NUMBERS):
            return relation(left, right)
        if left_type in _NUMBERS and right_type in _NUMBERS:
            # as in cel-go an integer is rounded when it meets a double
            double = float in (left_type, right_type)
            return relation(float(left), float(right)) if double else relation(left, right)
        raise NoSuchOverload("no such overload")

    return compare


def _comparisons(name: str, relation: Callable[[CelValue, CelValue], bool]) -> tuple[Overload, ...]:
    types = (BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION)
    generic = _compare(relation)
    return tuple(Overload(name, (of, of), BOOL, relation, generic=generic) for of in types)


def at(items: list[CelValue], index: int) -> CelValue:
    if 0 <= index < len(items):
        return items[index]
    raise DataPending(f"index out of bounds: {index}", f"[{index}]")


def _element(container: CelValue, key: CelValue) -> CelValue:
    """``container[key]`` by what both turn out to be; any whole number is an index."""
    optional = isinstance(container, Optional)
    inside = container.value if isinstance(container, Optional) else container
    if optional and not container.present:
        return NONE
    if isinstance(inside, dict):
        return optional_lookup(inside, key) if optional else lookup(inside, key)
    whole = type(key) in _NUMBERS and (type(key) is not float or key.is_integer())
    if not isinstance(inside, list) or not whole:
        raise NoSuchOverload(f"no such overload: _[_]({type_of(container)}, {type_of(key)})")
    return optional_at(inside, int(key)) if optional else at(inside, int(key))


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
    function("_+_", (INT, INT), INT, _add),
    function("_+_", (UINT, UINT), UINT, lambda a, b: _uint(a + b)),
    function("_+_", (DOUBLE, DOUBLE), DOUBLE, operator.add),
    function("_+_", (STRING, STRING), STRING, concatenate),
    function("_+_", (BYTES, BYTES), BYTES, concatenate),
    function("_+_", (_LIST, _LIST), _LIST, concatenate),
    function("_+_", (TIMESTAMP, DURATION), TIMESTAMP, _shift),
    function("_+_", (DURATION, TIMESTAMP), TIMESTAMP, lambda a, b: _shift(b, a)),
    function("_+_", (DURATION, DURATION), DURATION, lambda a, b: Duration.checked(a.nanos + b.nanos)),
    function("_-_", (INT, INT), INT, _subtract),
    function("_-_", (UINT, UINT), UINT, lambda a, b: _uint(int(a) - int(b))),
    function("_-_", (DOUBLE, DOUBLE), DOUBLE, operator.sub),
    function("_-_", (TIMESTAMP, TIMESTAMP), DURATION, lambda a, b: Duration.checked(a.nanos - b.nanos)),
    function("_-_", (TIMESTAMP, DURATION), TIMESTAMP, lambda a, b: Timestamp.checked(a.nanos - b.nanos)),
    function("_-_", (DURATION, DURATION), DURATION, lambda a, b: Duration.checked(a.nanos - b.nanos)),
    function("_*_", (INT, INT), INT, _multiply),
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
    Overload("_[_]", (_LIST, INT), T, at, generic=_element),
    function("_[_]", (_MAP, K), V, lookup),
    function("_[_]", (OptionalType(_LIST), INT), OptionalType(T), _inside(optional_at)),
    function("_[_]", (OptionalType(_MAP), K), OptionalType(V), _inside(optional_lookup)),
    function("_[?_]", (_LIST, INT), OptionalType(T), optional_at),
    function("_[?_]", (_MAP, K), OptionalType(V), optional_lookup),
    function("_[?_]", (OptionalType(_LIST), INT), OptionalType(T), _inside(optional_at)),
    function("_[?_]", (OptionalType(_MAP), K), OptionalType(V), _inside(optional_lookup)),
)


def _across(name: str, relation: Callable[[CelValue, CelValue], bool]) -> tuple[Overload, ...]:
    numbers = (INT, UINT, DOUBLE)
    pairs = ((left, right) for left in numbers for right in numbers if left != right)
    generic = _compare(relation)
    return tuple(function(name, pair, BOOL, generic) for pair in pairs)


ACROSS_NUMBERS: tuple[Overload, ...] = (
    *_across("_<_", operator.lt),
    *_across("_<=_", operator.le),
    *_across("_>_", operator.gt),
    *_across("_>=_", operator.ge),
)
"""Order between numbers of different types; kro asks for one type on both sides."""
