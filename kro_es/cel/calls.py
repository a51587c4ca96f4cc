"""Closures for calls: the one overload the types ask for, or the one the values ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kro_es.cel.errors import CelError, CostExceeded, NoSuchOverload
from kro_es.cel.overloads import Implementation, Overload
from kro_es.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    ListType,
    MapType,
    OpaqueType,
    OptionalType,
    TypeParam,
)
from kro_es.cel.values import CelValue, Duration, Opaque, Optional, Timestamp, Uint, checked_size, type_of

Frame: TypeAlias = list[CelValue]
"""Bindings, comprehension budget, then one slot for each comprehension."""
Closure: TypeAlias = Callable[[Frame], CelValue]

_CLASSES: dict[CelType, type] = {
    BOOL: bool, INT: int, UINT: Uint, DOUBLE: float, STRING: str, BYTES: bytes,
    NULL: type(None), TIMESTAMP: Timestamp, DURATION: Duration,
}  # fmt: skip


_LONG = 10
"""Characters that the fixed unit of an addition pays for."""


def no_such_overload() -> NoSuchOverload:
    return NoSuchOverload("no such overload")


def select_implementation(overloads: tuple[Overload, ...], given: tuple[CelType, ...]) -> Implementation:
    """What to call: decided now where the static types decide it, else at each call."""
    first = overloads[0]
    uncertain = any(
        of == DYN and not (wanted == DYN or isinstance(wanted, TypeParam))
        for of, wanted in zip(given, first.parameters, strict=True)
    )
    if not uncertain and len(overloads) == 1:
        return first.implementation
    return first.generic or _dispatcher(overloads)


def _dispatcher(overloads: tuple[Overload, ...]) -> Implementation:
    def dispatch(*values: CelValue) -> CelValue:
        for overload in overloads:
            if all(_accepts(of, value) for of, value in zip(overload.parameters, values, strict=True)):
                return overload.implementation(*values)
        names = ", ".join(type_of(value) for value in values)
        raise NoSuchOverload(f"no such overload: {overloads[0].function}({names})")

    return dispatch


def _accepts(of: CelType, value: CelValue) -> bool:
    match of:
        case ListType():
            return isinstance(value, list)
        case MapType():
            return isinstance(value, dict)
        case OptionalType():
            return isinstance(value, Optional) and (not value.present or _accepts(of.inner, value.value))
        case OpaqueType():
            return isinstance(value, Opaque) and value.cel_type == of.name
        case _:
            return of not in _CLASSES or type(value) is _CLASSES[of]


def invoke(implementation: Implementation, args: tuple[Closure, ...]) -> Closure:
    match args:
        case ():
            return lambda _: implementation()
        case (one,):
            return lambda frame: implementation(one(frame))
        case (one, two):
            return lambda frame: implementation(one(frame), two(frame))
        case _:
            return lambda frame: implementation(*[arg(frame) for arg in args])


def join_text(parts: tuple[Closure, ...], exceeded: Callable[[], CostExceeded], *, certain: bool) -> Closure:
    """A chain of string additions in one step; looks at each part unless all are ``certain`` to be strings."""

    first, second = parts if certain and len(parts) == 2 else (None, None)

    def run(frame: Frame) -> CelValue:
        if first is not None and second is not None:
            text = first(frame) + second(frame)
        else:
            found = [part(frame) for part in parts]
            if not certain and any(type(part) is not str for part in found):
                raise no_such_overload()
            text = "".join(found)
        size = len(text)
        if size > _LONG:
            checked_size(size)
            frame[1] -= (size - 1) // 10
            if frame[1] < 0:
                raise exceeded()
        return text

    return run


def logical(parts: tuple[Closure, ...], *, decisive: bool) -> Closure:
    """A chain of ``||`` (decisive True) or ``&&`` (decisive False): a decision outweighs errors of other parts."""
    other = not decisive

    def run(frame: Frame) -> CelValue:
        failure: CelError | None = None
        for part in parts:
            try:
                value = part(frame)
            except CostExceeded:
                raise
            except CelError as error:
                failure = failure or error
                continue
            if value is decisive:
                return value
            if value is not other:
                failure = failure or no_such_overload()
        if failure is not None:
            raise failure
        return other

    return run


def conditional(condition: Closure, chosen: Closure, otherwise: Closure) -> Closure:
    def run(frame: Frame) -> CelValue:
        value = condition(frame)
        if value is True:
            return chosen(frame)
        if value is False:
            return otherwise(frame)
        raise no_such_overload()

    return run


def alternative(optional: Closure, other: Closure, *, unwrap: bool) -> Closure:
    """``or`` and ``orValue``: the alternative is evaluated only when it is needed."""

    def run(frame: Frame) -> CelValue:
        value = optional(frame)
        if not isinstance(value, Optional):
            raise no_such_overload()
        if value.present:
            return value.value if unwrap else value
        return other(frame)

    return run
