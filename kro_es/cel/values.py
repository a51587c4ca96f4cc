"""Run-time values: plain JSON for what JSON has, one small immutable class for each CEL type it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeAlias

from kro_es.api.objects import JsonValue
from kro_es.cel.errors import EvaluationError, Overflow
from kro_es.cel.omit import OMIT, Omit

CelValue: TypeAlias = JsonValue
"""bool, int, float, str, bytes, None, list and dict stand for themselves; the rest are the classes below."""

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
UINT_MAX = 2**64 - 1
NANOS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
MAX_SIZE = 10_000_000
"""Longest string, bytes or list an expression may build: doubling in a nested binding must not exhaust memory."""


class Uint(int):
    """An unsigned 64-bit integer; a class of its own so that it never passes for an int."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A point in time, in nanoseconds since 1970, within the years 1 to 9999."""

    nanos: int

    @classmethod
    def checked(cls, nanos: int) -> Timestamp:
        if not _FIRST_SECOND <= nanos // NANOS <= _LAST_SECOND:
            raise Overflow("timestamp overflow")
        return cls(nanos)

    def moment(self) -> datetime:
        """The whole second this point lies in, in UTC."""
        return _EPOCH + timedelta(seconds=self.nanos // NANOS)

    def text(self, *, fraction: bool = True) -> str:
        moment = self.moment()
        digits = f".{self.nanos % NANOS:09d}".rstrip("0") if fraction and self.nanos % NANOS else ""
        return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{digits}Z"

    @property
    def zero(self) -> bool:
        """Go's zero time, which JSON shows as null."""
        return self.nanos == _FIRST_SECOND * NANOS


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A signed length of time in nanoseconds, within 64 bits."""

    nanos: int

    @classmethod
    def checked(cls, nanos: int) -> Duration:
        if not INT_MIN <= nanos <= INT_MAX:
            raise Overflow("duration overflow")
        return cls(nanos)


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be absent."""

    value: CelValue = None
    present: bool = False


@dataclass(frozen=True, slots=True)
class BoolKey:
    """A bool used as a map key: a dict would take True for 1."""

    value: bool


class DecodedMap(dict[str, CelValue]):
    """A JSON object whose leaves were decoded; it is written back as the JSON it came from (spec/02 §11)."""

    __slots__ = ("raw",)

    def __init__(self, decoded: dict[str, CelValue], raw: JsonValue) -> None:
        super().__init__(decoded)
        self.raw = raw


class Opaque:
    """A value of a library's own type: it has functions, and no form that could be written."""

    __slots__ = ()
    cel_type: ClassVar[str]


@dataclass(frozen=True, slots=True)
class TypeValue(Opaque):
    """A type as a value: what ``type(x)`` gives, and what the name of a type stands for."""

    cel_type: ClassVar[str] = "type"
    name: str


NONE = Optional()
_PLAIN = frozenset({str, int, bool, float, bytes, type(None), Uint, Timestamp, Duration})
_NUMERIC = frozenset({int, float, Uint})


def equal(left: CelValue, right: CelValue) -> bool:
    """Equality that keeps bool apart from int and compares numbers by value across their types."""
    left_type, right_type = type(left), type(right)
    if left_type is right_type and left_type in _PLAIN:
        return bool(left == right)
    if left_type in _NUMERIC and right_type in _NUMERIC:
        # as in cel-go an integer is rounded when it meets a double
        return float(left) == float(right) if float in (left_type, right_type) else bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return len(left) == len(right) and all(key in right and equal(value, right[key]) for key, value in left.items())
    if isinstance(left, Optional) and isinstance(right, Optional):
        return left.present == right.present and equal(left.value, right.value)
    if left_type is right_type and isinstance(left, Opaque):
        return bool(left == right)
    # within lists and maps kro lets the marker on the left pass for anything
    return left is OMIT


def contains(items: list[CelValue], wanted: CelValue) -> bool:
    return wanted is not OMIT and any(equal(wanted, item) for item in items)


def map_key(value: CelValue) -> CelValue:
    """The dict key that stands for a CEL map key."""
    if type(value) is bool:
        return BoolKey(value)
    if type(value) in (str, int, Uint):
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise EvaluationError(f"unsupported key type: {type_of(value)}")


def key_value(key: CelValue) -> CelValue:
    """Inverse of :func:`map_key`."""
    return key.value if isinstance(key, BoolKey) else key


def checked_size(size: int) -> None:
    if size > MAX_SIZE:
        raise EvaluationError(f"value size {size} exceeds maximum allowed ({MAX_SIZE})")


_NAMES: dict[type, str] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    dict: "map",
    DecodedMap: "map",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    Optional: "optional_type",
    Omit: "kro.omit",
}


def type_of(value: CelValue) -> str:
    """Name of the run-time type, as messages print it."""
    return value.cel_type if isinstance(value, Opaque) else _NAMES.get(type(value), type(value).__name__)
