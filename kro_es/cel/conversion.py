"""JSON to values by static type, where it is read, and values to JSON (spec/02 §10.2, §11)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from kro_es.api.objects import JsonValue
from kro_es.cel.errors import EvaluationError
from kro_es.cel.text import duration_text, parse_duration, parse_timestamp
from kro_es.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    CelType,
    ListType,
    MapType,
    OptionalType,
    StructType,
)
from kro_es.cel.values import (
    INT_MAX,
    CelValue,
    DecodedMap,
    Duration,
    Optional,
    Timestamp,
    Uint,
    type_of,
)

Decoder = Callable[[JsonValue], CelValue]
_DAY_UNITS = {"d": 86_400, "day": 86_400, "days": 86_400, "w": 604_800, "week": 604_800, "weeks": 604_800}
_BYTES_MESSAGE = (
    "unsupported type: bytes value cannot be used directly in a resource template or status field; "
    "encode it explicitly, e.g. base64.encode(...)"
)


# -- JSON to values


def _invalid(expected: str, value: JsonValue) -> EvaluationError:
    return EvaluationError(f"invalid data, expected {expected}, got {type_of(value)}")


def _bool(value: JsonValue) -> CelValue:
    if type(value) is bool:
        return value
    raise _invalid("bool", value)


def _int(value: JsonValue) -> CelValue:
    if type(value) is int:
        return value
    if type(value) is float:
        if value.is_integer():
            return int(value)
        raise EvaluationError(f"invalid data, expected int, got non-integer float {value}")
    raise _invalid("int", value)


def _double(value: JsonValue) -> CelValue:
    if type(value) in (float, int):
        return float(value)
    raise _invalid("double", value)


def _string(value: JsonValue) -> CelValue:
    if type(value) is str:
        return value
    raise _invalid("string", value)


def _bytes(value: JsonValue) -> CelValue:
    if type(value) is str:
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise EvaluationError("Invalid byte formatted string") from None
    raise _invalid("bytes", value)


def _timestamp(value: JsonValue) -> CelValue:
    if type(value) is not str:
        raise _invalid("timestamp", value)
    if not value:
        return Timestamp(0)
    text = f"{value}T00:00:00Z" if len(value) == 10 else value
    try:
        return parse_timestamp(text)
    except EvaluationError:
        raise EvaluationError(f"Invalid date-time formatted string {value}") from None


def _duration(value: JsonValue) -> CelValue:
    if type(value) is not str:
        raise _invalid("duration", value)
    number = value.rstrip("adeksywd")
    unit = value[len(number) :]
    if unit in _DAY_UNITS and number.strip().isascii() and number.strip().isdigit():
        return Duration.checked(int(number) * _DAY_UNITS[unit] * 1_000_000_000)
    try:
        return parse_duration(value)
    except EvaluationError:
        raise EvaluationError(f"Invalid duration {value}") from None


_LEAVES: dict[CelType, Decoder] = {
    BOOL: _bool,
    INT: _int,
    DOUBLE: _double,
    STRING: _string,
    BYTES: _bytes,
    TIMESTAMP: _timestamp,
    DURATION: _duration,
}
_CHANGED = frozenset({BYTES, TIMESTAMP, DURATION, DOUBLE, INT})


def leaf_decoder(of: CelType) -> Decoder | None:
    """What a JSON scalar of this type is read with; None when JSON is used as it is."""
    return _LEAVES.get(of)


def decoder(of: CelType, *, into_dyn: bool = False) -> Decoder | None:
    """What a whole JSON value is read with once no static type watches over its parts; None when nothing changes.

    Structs stay JSON, as every later selection decodes its leaf, unless they vanish ``into_dyn``.
    """
    match of:
        case ListType():
            element = decoder(of.element, into_dyn=into_dyn)
            return element and _list_decoder(element)
        case MapType():
            value = decoder(of.value, into_dyn=into_dyn)
            return value and _map_decoder(value)
        case StructType() if into_dyn:
            return _struct_decoder(of)
        case _:
            return _LEAVES[of] if of in _CHANGED else None


def _list_decoder(element: Decoder) -> Decoder:
    def decode(value: JsonValue) -> CelValue:
        if type(value) is not list:
            raise _invalid("list", value)
        return [element(item) for item in value]

    return decode


def _map_decoder(element: Decoder) -> Decoder:
    def decode(value: JsonValue) -> CelValue:
        if not isinstance(value, dict):
            raise _invalid("map", value)
        return DecodedMap({key: element(item) for key, item in value.items()}, value)

    return decode


def _struct_decoder(struct: StructType) -> Decoder:
    def decode(value: JsonValue) -> CelValue:
        if not isinstance(value, dict):
            raise _invalid("map", value)
        decoded = {}
        names = {declared.key: (name, declared.type) for name, declared in struct.fields().items()}
        for key, item in value.items():
            name, of = names.get(key, (key, DYN))
            if key in names and item is None:
                continue
            read = decoder(of, into_dyn=True)
            decoded[name] = read(item) if read else item
        return DecodedMap(decoded, value)

    return decode


# -- values to JSON


def to_json(value: CelValue) -> JsonValue:
    """The JSON that is written for a value; shares nothing with the observed objects."""
    kind = type(value)
    if kind in (str, int, bool, float) or value is None:
        return value
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, DecodedMap):
        return to_json(value.raw)
    if isinstance(value, dict):
        return {_text_key(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Optional):
        return to_json(value.value)
    return _scalar_json(value)


def _text_key(key: CelValue) -> str:
    if type(key) is str:
        return key
    raise EvaluationError(f"map key must be string, got {'int64' if type(key) is int else type_of(key)}")


def _scalar_json(value: CelValue) -> JsonValue:
    if isinstance(value, Uint):
        if value > INT_MAX:
            raise EvaluationError(
                f"unsupported type: uint value {value} overflows int64; convert it explicitly, e.g. string(...)"
            )
        return int(value)
    if isinstance(value, bytes):
        raise EvaluationError(_BYTES_MESSAGE)
    if isinstance(value, Timestamp):
        return None if value.zero else value.text(fraction=False)
    if isinstance(value, Duration):
        return duration_text(value)
    raise EvaluationError(f"unsupported type: {type_of(value)}")


def result_decoder(of: CelType) -> Decoder | None:
    """For a result read straight from JSON: maps and structs are written back as they are, lists item by item."""
    return decoder(of) if isinstance(of, ListType | OptionalType) else None
