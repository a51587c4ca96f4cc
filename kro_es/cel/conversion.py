"""JSON to values by static type, where it is read, and values to JSON (spec/02 §10.2, §11)."""

from __future__ import annotations

import math
from collections.abc import Callable

from kro_es.api.objects import JsonValue
from kro_es.cel.errors import EvaluationError, KeyNotJson, NoJson
from kro_es.cel.omit import OMIT
from kro_es.cel.text import (
    RFC3339_LAYOUT,
    decode_base64,
    double_text,
    duration_text,
    is_digits,
    layout_fault,
    parse_duration,
    parse_timestamp,
)
from kro_es.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    ListType,
    MapType,
    Primitive,
    StructType,
)
from kro_es.cel.values import (
    INT_MAX,
    NANOS,
    UINT_MAX,
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


_GO_TYPES = {int: "int64", float: "float64", list: "[]interface {}", dict: "map[string]interface {}"}


def _invalid(expected: str, value: JsonValue) -> EvaluationError:
    if value is None:
        return EvaluationError("invalid data, got null for schema with nullable=false")
    return EvaluationError(f"invalid data, expected {expected}, got {_GO_TYPES.get(type(value)) or type_of(value)}")


def _not_a_list(value: JsonValue) -> EvaluationError:
    known = "invalid data, expected an array for the provided schema with type=array"
    return _invalid("list", value) if value is None else EvaluationError(known)


def _not_a_map(value: JsonValue) -> EvaluationError:
    known = "invalid data, expected a map for the provided schema with type=object"
    return _invalid("map", value) if value is None else EvaluationError(known)


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


def _uint(value: JsonValue) -> CelValue:
    if type(value) is int and 0 <= value <= UINT_MAX:
        return Uint(value)
    if type(value) is Uint:
        return value
    raise _invalid("uint", value)


def _double(value: JsonValue) -> CelValue:
    if type(value) in (float, int):
        return float(value)
    raise _invalid("float", value)


def _string(value: JsonValue) -> CelValue:
    if type(value) is str:
        return value
    raise _invalid("string", value)


def _bytes(value: JsonValue) -> CelValue:
    if type(value) is not str:
        raise _invalid("bytes", value)
    try:
        return decode_base64(value)
    except EvaluationError as error:
        raise EvaluationError(f"Invalid byte formatted string {value}: {error}") from None


def _timestamp(value: JsonValue) -> CelValue:
    if type(value) is not str:
        raise _invalid("timestamp", value)
    if not value:
        return Timestamp(0)
    text = f"{value}T00:00:00Z" if len(value) == 10 else value
    try:
        return parse_timestamp(text)
    except EvaluationError:
        raise EvaluationError(
            f'Invalid date-time formatted string {value}: parsing time "{value}" as "{RFC3339_LAYOUT}": '
            f"{layout_fault(text)}"
        ) from None


def _duration(value: JsonValue) -> CelValue:
    if type(value) is not str:
        raise _invalid("duration", value)
    number = value.rstrip("adeksyw").strip()
    unit = value.removeprefix(number).strip()
    if unit in _DAY_UNITS and is_digits(number) and len(number) < 10:
        return Duration.checked(int(number) * _DAY_UNITS[unit] * NANOS)
    try:
        return parse_duration(value)
    except EvaluationError:
        raise EvaluationError(f"Invalid duration {value}: unable to parse {value} as duration") from None


_LEAVES: dict[CelType, Decoder] = {
    BOOL: _bool,
    INT: _int,
    UINT: _uint,
    DOUBLE: _double,
    STRING: _string,
    BYTES: _bytes,
    TIMESTAMP: _timestamp,
    DURATION: _duration,
}
_CHANGED = frozenset({BYTES, TIMESTAMP, DURATION, DOUBLE, INT, UINT})


def leaf_decoder(of: CelType) -> Decoder | None:
    """What a JSON scalar of this type is read with; None when JSON is used as it is."""
    read = _LEAVES.get(of)
    return _or_null(read) if read is not None and isinstance(of, Primitive) and of.nullable else read


def _or_null(read: Decoder) -> Decoder:
    return lambda value: None if value is None else read(value)


def item_reader(of: CelType) -> Decoder | None:
    """What an element of an observed list or map is read with; None for dyn."""
    wanted = json_class(of)
    if wanted is None or of in _LEAVES:
        return leaf_decoder(of)
    refuse = reader(of)
    return lambda value: value if type(value) is wanted else refuse(value)


def decoder(of: CelType, *, raw: bool = True, into_dyn: bool = False) -> Decoder | None:
    """What a whole value is read with once no static type watches over its parts; None when nothing changes.

    ``raw`` values still are observed JSON. Structs always are, as every selection decodes its leaf; they are decoded
    only when they vanish ``into_dyn``.
    """
    match of:
        case ListType():
            element = decoder(of.element, raw=raw, into_dyn=into_dyn)
            return element and _list_decoder(element)
        case MapType():
            value = decoder(of.value, raw=raw, into_dyn=into_dyn)
            return value and _map_decoder(value)
        case StructType() if into_dyn:
            return _struct_decoder(of)
        case _:
            return leaf_decoder(of) if raw and of in _CHANGED else None


def _list_decoder(element: Decoder) -> Decoder:
    def decode(value: JsonValue) -> CelValue:
        if type(value) is not list:
            raise _not_a_list(value)
        return [element(item) for item in value]

    return decode


def _map_decoder(element: Decoder) -> Decoder:
    def decode(value: JsonValue) -> CelValue:
        if not isinstance(value, dict):
            raise _not_a_map(value)
        return DecodedMap({key: element(item) for key, item in value.items()}, value)

    return decode


def _struct_decoder(struct: StructType) -> Decoder:
    def decode(value: JsonValue) -> CelValue:
        if not isinstance(value, dict):
            raise _not_a_map(value)
        if type(value) is not dict:
            return value  # made by an expression, not observed
        decoded = {}
        names = {declared.key: (name, declared.type) for name, declared in struct.fields().items()}
        for key, item in value.items():
            name, of = names.get(key, (key, DYN))
            if key in names and item is None:
                continue
            decoded[name] = _lenient(decoder(of, into_dyn=True), item)
        return DecodedMap(decoded, value)

    return decode


def _lenient(read: Decoder | None, value: JsonValue) -> CelValue:
    """A part nobody may ever look at must not spoil the whole."""
    try:
        return value if read is None else read(value)
    except EvaluationError:
        return value


_CLASSES: dict[CelType, type] = {BOOL: bool, INT: int, DOUBLE: float, STRING: str}


def json_class(of: CelType) -> type | None:
    """Class of JSON values that need no reading at all; None for dyn and the like, which are never looked at."""
    if isinstance(of, ListType):
        return list
    if isinstance(of, StructType | MapType):
        return dict
    return _CLASSES.get(of, Decoder) if of in _LEAVES else None  # type: ignore[arg-type]  # no value has this class


def reader(of: CelType) -> Decoder:
    """Reads a JSON value that is not of :func:`json_class`; refuses what the schema does not allow."""
    if isinstance(of, ListType | MapType | StructType):
        error = _not_a_list if isinstance(of, ListType) else _not_a_map

        def refuse(value: JsonValue) -> CelValue:
            raise error(value)

        return refuse
    found = leaf_decoder(of)
    assert found is not None, of
    return found


# -- values to JSON


def to_json(value: CelValue) -> JsonValue:
    """The JSON that is written for a value; shares nothing with the observed objects.

    The marker of ``omit()`` stays in it for the one who places the value (``kro_es.cel.omit``).
    """
    kind = type(value)
    if kind in (str, int, bool) or value is None or (kind is float and math.isfinite(value)):
        return value
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, DecodedMap):
        return to_json(value.raw)
    if isinstance(value, dict):
        return {_text_key(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Optional):
        return to_json(value.value)
    return OMIT if value is OMIT else _scalar_json(value)


def _text_key(key: CelValue) -> str:
    if type(key) is str:
        return key
    raise KeyNotJson(f"map key must be string, got {'int64' if type(key) is int else type_of(key)}")


def _scalar_json(value: CelValue) -> JsonValue:
    if isinstance(value, Uint):
        if value > INT_MAX:
            raise NoJson(
                f"unsupported type: uint value {value} overflows int64; convert it explicitly, e.g. string(...)"
            )
        return int(value)
    if isinstance(value, bytes):
        raise NoJson(_BYTES_MESSAGE)
    if isinstance(value, Timestamp):
        return None if value.zero else value.text(fraction=False)
    if isinstance(value, Duration):
        return duration_text(value)
    if isinstance(value, float):
        raise NoJson(f"unsupported value: {double_text(value)}")
    raise NoJson(f"unsupported type: {type_of(value)}")
