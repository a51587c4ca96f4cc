"""Optional values: absent is a value of its own, and reading it without a fallback is a hard error."""

from __future__ import annotations

from kro_es.cel.errors import EvaluationError, NoSuchOverload
from kro_es.cel.overloads import Overload, T, function, member
from kro_es.cel.types import BOOL, ListType, OptionalType
from kro_es.cel.values import NONE, CelValue, Duration, Optional


def _value(optional: Optional) -> CelValue:
    if optional.present:
        return optional.value
    raise EvaluationError("optional.none() dereference")


def _of_non_zero(value: CelValue) -> Optional:
    zero = (
        value is None
        or value == Duration(0)
        or (isinstance(value, bool | int | float | str | bytes | list | dict) and not value)
    )
    return NONE if zero else Optional(value, True)


def _unwrap(items: list[CelValue]) -> list[CelValue]:
    for item in items:
        if not isinstance(item, Optional):
            raise NoSuchOverload("no such overload")
    return [item.value for item in items if item.present]


_OPTIONAL = OptionalType(T)
_LIST = ListType(T)

OVERLOADS: tuple[Overload, ...] = (
    function("optional.of", (T,), _OPTIONAL, lambda value: Optional(value, True)),
    function("optional.none", (), _OPTIONAL, lambda: NONE),
    function("optional.ofNonZeroValue", (T,), _OPTIONAL, _of_non_zero),
    function("optional.unwrap", (ListType(_OPTIONAL),), _LIST, _unwrap),
    member("unwrapOpt", (ListType(_OPTIONAL),), _LIST, _unwrap),
    member("hasValue", (_OPTIONAL,), BOOL, lambda optional: optional.present),
    member("value", (_OPTIONAL,), T, _value),
    # the compiler evaluates the argument of these two only when it is needed
    member("or", (_OPTIONAL, _OPTIONAL), _OPTIONAL, lambda left, right: left if left.present else right),
    member("orValue", (_OPTIONAL, T), T, lambda left, right: left.value if left.present else right),
    member("first", (_LIST,), _OPTIONAL, lambda items: Optional(items[0], True) if items else NONE),
    member("last", (_LIST,), _OPTIONAL, lambda items: Optional(items[-1], True) if items else NONE),
)
