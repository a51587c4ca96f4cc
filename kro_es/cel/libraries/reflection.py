"""Types as values: ``type(x)``, and the names that stand for a type."""

from __future__ import annotations

from collections.abc import Mapping

from kro_es.cel.overloads import Overload, T, function
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
    TypeOf,
)
from kro_es.cel.values import CelValue, TypeValue, type_of

NAMED: Mapping[str, CelType] = {
    **{of.name: of for of in (BOOL, BYTES, DOUBLE, INT, NULL, STRING, UINT, TIMESTAMP, DURATION)},
    "list": ListType(DYN),
    "map": MapType(DYN, DYN),
    "optional_type": OptionalType(DYN),
    "type": TypeOf(T),
    **{name: OpaqueType(name) for name in ("net.IP", "net.CIDR")},
    **{f"kubernetes.{name}": OpaqueType(f"kubernetes.{name}") for name in ("URL", "Quantity", "Semver")},
}
"""Types that have a name in expressions."""


def _type(value: CelValue) -> TypeValue:
    return TypeValue(type_of(value))


OVERLOADS: tuple[Overload, ...] = (function("type", (T,), TypeOf(T), _type),)
