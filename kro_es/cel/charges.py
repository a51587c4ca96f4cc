"""Closures for calls that cost more on larger operands; a call is paid for before it runs, its result after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from kro_es.cel import cost
from kro_es.cel.calls import Closure, Frame, invoke
from kro_es.cel.cost import ITEM_SIZE, TEXT_SIZE, Meter
from kro_es.cel.errors import CostExceeded
from kro_es.cel.overloads import Implementation
from kro_es.cel.types import BYTES, DYN, STRING, CelType, ListType, MapType, OptionalType, StructType, TypeParam
from kro_es.cel.values import CelValue

Exceeded: TypeAlias = Callable[[], CostExceeded]
"""Makes the error of one place in the expression."""
_SMALL = 10
"""Tenths that the fixed unit of a call pays for."""


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of a call: its closure, its type, and, of a constant, its size in tenths."""

    run: Closure
    of: CelType
    size: int | None = None

    @property
    def weight(self) -> int | None:
        """Tenths of each character or element; 0 of a scalar, None when only the value can tell."""
        match self.of:
            case ListType() | MapType() | StructType():
                return ITEM_SIZE
            case OptionalType() | TypeParam():
                return None
            case _:
                return TEXT_SIZE if self.of in (STRING, BYTES) else None if self.of == DYN else 0

    @property
    def small(self) -> bool:
        return self.weight == 0 or (self.size is not None and self.size <= _SMALL)


def size_of(value: CelValue) -> int:
    """Size of a value in tenths."""
    if isinstance(value, str | bytes):
        return len(value) * TEXT_SIZE
    return len(value) * ITEM_SIZE if isinstance(value, list | dict) else 0


def metered(
    function: str, implementation: Implementation, operands: tuple[Operand, ...], exceeded: Exceeded
) -> Closure:
    """A call that pays by its meter; one that cannot grow pays nothing beyond its fixed unit."""
    meter = cost.meter_of(function)
    args = tuple(operand.run for operand in operands)
    if function in cost.GROWING:
        return _by_all(implementation, args, meter, exceeded, growing=True)
    if meter is None or not _grows(meter, operands):
        return _unmetered(implementation, operands)
    quick = _quick(implementation, operands, meter, exceeded) if len(operands) <= 2 else None
    return quick or _by_all(implementation, args, meter, exceeded, growing=False)


def _grows(meter: Meter, operands: tuple[Operand, ...]) -> bool:
    """Whether a call can ever cost more than its fixed unit."""
    small = [operand.small for operand in operands]
    if meter is cost.through_shorter:
        return not any(small)
    if meter is cost.through_all:
        return any(operand.weight != 0 for operand in operands)
    if meter is cost.through_first:
        return not small[0]
    if meter is cost.through_last:
        return not small[-1]
    return not all(small) or meter is not cost.search


def _quick(
    implementation: Implementation, operands: tuple[Operand, ...], meter: Meter, exceeded: Exceeded
) -> Closure | None:
    """A closure for the common shapes whose operands are certain to be texts or lists."""
    args, weights = tuple(operand.run for operand in operands), [operand.weight for operand in operands]
    place = _decisive(meter, operands)
    if place is not None:
        weight = weights[place]
        return _by_one(implementation, args, place, weight, exceeded) if weight else None
    if meter is cost.through_shorter and weights == [TEXT_SIZE, TEXT_SIZE]:
        return _by_shorter_text(implementation, args, exceeded)
    if meter is cost.through_all and weights[0] and weights[0] == weights[-1]:
        return _by_sum(implementation, args, weights[0], exceeded)
    return None


def _decisive(meter: Meter, operands: tuple[Operand, ...]) -> int | None:
    """Place of the one operand that decides what the call costs."""
    if meter is cost.through_first:
        return 0
    if meter is cost.through_last:
        return len(operands) - 1
    if meter is cost.search:
        large = [place for place, operand in enumerate(operands) if not operand.small]
    elif meter is cost.through_all:
        large = [place for place, operand in enumerate(operands) if operand.weight != 0]
    else:
        return None
    return large[0] if len(large) == 1 else None


def _unmetered(implementation: Implementation, operands: tuple[Operand, ...]) -> Closure:
    if len(operands) != 2 or operands[1].size is None:
        return invoke(implementation, tuple(operand.run for operand in operands))
    # a constant needs no closure
    first, value = operands[0].run, operands[1].run([])
    return lambda frame: implementation(first(frame), value)


def _by_one(
    implementation: Implementation, args: tuple[Closure, ...], place: int, weight: int, exceeded: Exceeded
) -> Closure:
    """One operand decides, and its class is certain."""
    free = _SMALL // weight

    def pay(frame: Frame, size: int) -> None:
        frame[1] -= (size * weight - 1) // 10
        if frame[1] < 0:
            raise exceeded()

    def run_one(frame: Frame) -> CelValue:
        value = only(frame)
        size = len(value)
        if size > free:
            pay(frame, size)
        return implementation(value)

    def run_first(frame: Frame) -> CelValue:
        value, other = first(frame), second(frame)
        size = len(value)
        if size > free:
            pay(frame, size)
        return implementation(value, other)

    def run_second(frame: Frame) -> CelValue:
        other, value = first(frame), second(frame)
        size = len(value)
        if size > free:
            pay(frame, size)
        return implementation(other, value)

    if len(args) == 1:
        only = args[0]
        return run_one
    first, second = args
    return run_second if place else run_first


def _by_shorter_text(implementation: Implementation, args: tuple[Closure, ...], exceeded: Exceeded) -> Closure:
    left, right = args

    def run(frame: Frame) -> CelValue:
        one, two = left(frame), right(frame)
        if len(one) > _SMALL < len(two):
            frame[1] -= (min(len(one), len(two)) - 1) // 10
            if frame[1] < 0:
                raise exceeded()
        return implementation(one, two)

    return run


def _by_sum(implementation: Implementation, args: tuple[Closure, ...], weight: int, exceeded: Exceeded) -> Closure:
    left, right = args
    free = _SMALL // weight

    def run(frame: Frame) -> CelValue:
        one, two = left(frame), right(frame)
        size = len(one) + len(two)
        if size > free:
            frame[1] -= (size * weight - 1) // 10
            if frame[1] < 0:
                raise exceeded()
        return implementation(one, two)

    return run


def _by_all(
    implementation: Implementation,
    args: tuple[Closure, ...],
    meter: Meter | None,
    exceeded: Exceeded,
    *,
    growing: bool,
) -> Closure:
    def run(frame: Frame) -> CelValue:
        values = [arg(frame) for arg in args]
        if meter is not None and values:
            frame[1] -= meter([size_of(value) for value in values]) - 1
            if frame[1] < 0:
                raise exceeded()
        result = implementation(*values)
        if growing:
            frame[1] -= size_of(result) // 10
            if frame[1] < 0:
                raise exceeded()
        return result

    return run
