"""The ``math`` functions of cel-go: 64-bit integers that never wrap silently, doubles as IEEE has them."""

from __future__ import annotations

import math
from collections.abc import Callable

from kro_es.cel.errors import EvaluationError, NoSuchOverload, Overflow
from kro_es.cel.overloads import Overload, function
from kro_es.cel.types import BOOL, DOUBLE, INT, UINT, CelType, ListType
from kro_es.cel.values import INT_MIN, UINT_MAX, CelValue, Uint

_NUMBERS: tuple[CelType, ...] = (INT, UINT, DOUBLE)
_CLASSES = frozenset({int, Uint, float})


def _extreme(name: str, better: Callable[[CelValue, CelValue], bool]) -> tuple[Overload, ...]:
    def pick(items: list[CelValue]) -> CelValue:
        if not items:
            raise EvaluationError(f"math.{name}(list) argument must not be empty")
        if not all(type(item) in _CLASSES for item in items):
            raise NoSuchOverload("no such overload")
        best = items[0]
        for item in items[1:]:
            if better(item, best):
                best = item
        return best

    # the parser makes one list of several arguments
    lists = (function(f"math.{name}", (ListType(of),), of, pick) for of in _NUMBERS)
    single = (function(f"math.{name}", (of,), of, lambda value: value) for of in _NUMBERS)
    return (*lists, *single)


def _whole(act: Callable[[float], float]) -> Callable[[float], float]:
    def rounded(value: float) -> float:
        if not math.isfinite(value):
            return value
        return math.copysign(float(act(value)), value)

    return rounded


def _half_away(value: float) -> float:
    # not floor(x + 0.5): the sum of 0.49999999999999994 and a half is 1
    whole = math.trunc(value)
    return whole + math.copysign(1, value) if abs(value - whole) >= 0.5 else whole


def _abs_int(value: int) -> int:
    if value == INT_MIN:
        raise Overflow("integer overflow")
    return abs(value)


def _sign(value: float) -> float:
    return value if math.isnan(value) or value == 0 else math.copysign(1.0, value)


def _sqrt(value: float) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


def _signed(value: int) -> int:
    value &= UINT_MAX
    return value - 2**64 if value >= 2**63 else value


def _offset(places: int) -> int:
    if places < 0:
        raise EvaluationError(f"math.bitShift negative offset: {places}")
    return min(places, 64)


def _shifts() -> tuple[Overload, ...]:
    # a shift to the right brings in zeroes, for negative numbers too
    return (
        function("math.bitShiftLeft", (INT, INT), INT, lambda value, by: _signed(value << _offset(by))),
        function("math.bitShiftLeft", (UINT, INT), UINT, lambda value, by: Uint((value << _offset(by)) & UINT_MAX)),
        function("math.bitShiftRight", (INT, INT), INT, lambda value, by: _signed((value & UINT_MAX) >> _offset(by))),
        function("math.bitShiftRight", (UINT, INT), UINT, lambda value, by: Uint(int(value) >> _offset(by))),
    )


def _bits(name: str, act: Callable[[int, int], int]) -> tuple[Overload, ...]:
    return (
        function(f"math.{name}", (INT, INT), INT, act),
        function(f"math.{name}", (UINT, UINT), UINT, lambda left, right: Uint(act(int(left), int(right)))),
    )


OVERLOADS: tuple[Overload, ...] = (
    *_extreme("greatest", lambda left, right: left > right),
    *_extreme("least", lambda left, right: left < right),
    function("math.ceil", (DOUBLE,), DOUBLE, _whole(math.ceil)),
    function("math.floor", (DOUBLE,), DOUBLE, _whole(math.floor)),
    function("math.trunc", (DOUBLE,), DOUBLE, _whole(math.trunc)),
    function("math.round", (DOUBLE,), DOUBLE, _whole(_half_away)),
    function("math.abs", (INT,), INT, _abs_int),
    function("math.abs", (UINT,), UINT, lambda value: value),
    function("math.abs", (DOUBLE,), DOUBLE, abs),
    function("math.sign", (INT,), INT, lambda value: (value > 0) - (value < 0)),
    function("math.sign", (UINT,), UINT, lambda value: Uint(value > 0)),
    function("math.sign", (DOUBLE,), DOUBLE, _sign),
    *(function("math.sqrt", (of,), DOUBLE, lambda value: _sqrt(float(value))) for of in _NUMBERS),
    function("math.isNaN", (DOUBLE,), BOOL, math.isnan),
    function("math.isInf", (DOUBLE,), BOOL, math.isinf),
    function("math.isFinite", (DOUBLE,), BOOL, math.isfinite),
    *_bits("bitAnd", lambda left, right: left & right),
    *_bits("bitOr", lambda left, right: left | right),
    *_bits("bitXor", lambda left, right: left ^ right),
    function("math.bitNot", (INT,), INT, lambda value: ~value),
    function("math.bitNot", (UINT,), UINT, lambda value: Uint(UINT_MAX - value)),
    *_shifts(),
)
