"""Markers of a SimpleSchema field: the text after the first ``|`` changes one OpenAPI schema, as in kro."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
import re2

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.schema import gotext

LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
VALIDATIONS = "x-kubernetes-validations"


class FieldError(UserError):
    """One fault of a field string or a custom type; the text is kro's."""


@dataclass(frozen=True, slots=True)
class Marker:
    """``key=value`` with the value unquoted."""

    key: str
    value: str


# -- text to markers


@dataclass(slots=True)
class _Lexer:
    """A character state machine (spec/01 §1.3): splitting on blanks would break quoted and JSON values."""

    markers: list[Marker] = field(default_factory=list)
    key: str | None = None
    buffer: str = ""
    in_quotes: bool = False
    escaped: bool = False
    depth: int = 0

    def read(self, text: str) -> tuple[Marker, ...]:
        for char in text:
            if self.in_quotes:
                self._quoted(char)
            else:
                self._plain(char)
        if self.key is None:
            raise FieldError(f"marker key '{self.buffer}' without a value")
        self._finish()
        if self.in_quotes:
            raise FieldError("unclosed quote")
        if self.depth > 0:
            raise FieldError("unclosed bracket/brace")
        return tuple(self.markers)

    def _quoted(self, char: str) -> None:
        if self.escaped:
            self.escaped = False
        elif char == '"':
            self.in_quotes = False
        elif char == "\\":
            self.escaped = True
        self.buffer += char

    def _plain(self, char: str) -> None:
        if self.depth == 0 and self.key is None and char == "=":
            self._start()
            return
        if self.depth == 0 and char in gotext.SPACE:
            # a blank inside a key vanishes; only a value ends at it
            if self.key is not None:
                self._finish()
            return
        if char == '"':
            self.in_quotes = True
        self.depth += (char in "{[") - (char in "}]")
        if self.depth < 0:
            raise FieldError("unmatched closing bracket/brace")
        self.buffer += char

    def _start(self) -> None:
        key = self.buffer.strip(gotext.SPACE)
        if not key:
            raise FieldError("empty marker key")
        if key not in MARKERS:
            raise FieldError(f"invalid marker key {gotext.quote(key)}: unknown marker: {key}")
        self.key, self.buffer = key, ""

    def _finish(self) -> None:
        assert self.key is not None
        self.markers.append(Marker(self.key, _unquoted(self.buffer)))
        self.key, self.buffer = None, ""


def _unquoted(value: str) -> str:
    if value == '"':
        raise FieldError("unclosed quote")
    if value.startswith('"') and value.endswith('"'):
        return re.sub(r'\\(["\\])', r"\1", value[1:-1])
    return value.strip(gotext.SPACE)


def parse(text: str) -> tuple[Marker, ...]:
    """Markers of the text after the first ``|``; raises FieldError."""
    return _Lexer().read(text)


# -- markers to schema


def apply(schema: JsonObject, markers: tuple[Marker, ...]) -> int:
    """Changes ``schema`` (a copy of the field's own) in place; returns how often the field was marked required."""
    required = sum([MARKERS[marker.key](schema, marker.value) for marker in markers])
    keys = schema.get(LIST_MAP_KEYS)
    list_type = schema.get(LIST_TYPE)
    if keys and list_type is None:
        raise FieldError("listMapKey set while listType is unset, listType must be set to map")
    if keys and list_type != "map":
        raise FieldError(f"listMapKey set while listType is set to {list_type}, listType must be set to map")
    return required


def _boolean(marker: str, value: str) -> bool:
    try:
        return gotext.parse_bool(value)
    except ValueError as error:
        raise FieldError(f"failed to parse {marker} marker value: {error}") from None


def _only(schema: JsonObject, wanted: str, marker: str) -> None:
    if schema.get("type") != wanted:
        raise FieldError(f"{marker} marker is only valid for {wanted} types, got type: {schema.get('type', '')}")


def _required(_: JsonObject, value: str) -> bool:
    return _boolean("required", value)


def _default(schema: JsonObject, value: str) -> bool:
    kind = schema.get("type")
    checks: dict[str, tuple[Callable[[str], object], str]] = {
        "integer": (gotext.parse_int, "integer"),
        "number": (gotext.parse_float, "number"),
        "boolean": (gotext.parse_bool, "boolean"),
    }
    if kind in checks:
        check, name = checks[kind]
        try:
            check(value)
        except ValueError:
            raise FieldError(f"default value must be a valid {name}, got: {value}") from None
    # kro puts a string between quotes without escaping, so what is in it may be a JSON escape, or no JSON at all
    raw = f'"{value}"' if kind == "string" else value
    try:
        schema["default"] = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise FieldError(f"default value is not valid JSON, got: {raw} ({error})") from None
    return False


def _description(schema: JsonObject, value: str) -> bool:
    schema["description"] = value
    return False


def _bound(name: str) -> Callable[[JsonObject, str], bool]:
    def bound(schema: JsonObject, value: str) -> bool:
        try:
            number = gotext.parse_float(value)
        except ValueError as error:
            raise FieldError(f"failed to parse {name} enum value: {error}") from None
        if number - number != 0:
            raise FieldError(f"{name} must be a finite number, got: {value}")
        schema[name] = int(number) if number.is_integer() else number
        return False

    return bound


def _rule(schema: JsonObject, rule: str, message: str) -> None:
    schema[VALIDATIONS] = [*schema.get(VALIDATIONS, ()), {"rule": rule, "message": message}]


def _validation(schema: JsonObject, value: str) -> bool:
    if not value.strip(gotext.SPACE):
        raise FieldError("validation failed")
    _rule(schema, value, "validation failed")
    return False


def _immutable(schema: JsonObject, value: str) -> bool:
    if _boolean("immutable", value):
        _rule(schema, "self == oldSelf", "field is immutable")
    return False


def _enum(schema: JsonObject, value: str) -> bool:
    items = [item.strip(gotext.SPACE) for item in value.split(",")]
    kind = schema.get("type", "")
    if kind not in ("string", "integer"):
        raise FieldError(f"enum values only supported for string and integer types, got type: {kind}")
    schema["enum"] = [_enum_item(kind, item) for item in items]
    return False


def _enum_item(kind: str, item: str) -> JsonValue:
    if not item:
        raise FieldError("empty enum values are not allowed")
    if kind == "string":
        return item
    try:
        return gotext.parse_int(item)
    except ValueError as error:
        raise FieldError(f"failed to parse integer enum value: {error}") from None


# RE2 and Go name the same faults differently.
_REGEX_FAULTS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}


def _pattern(schema: JsonObject, value: str) -> bool:
    if not value:
        raise FieldError("pattern marker value cannot be empty")
    _only(schema, "string", "pattern")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(value, options)
    except re2.error as error:
        text = error.args[0]
        fault, _, excerpt = (text.decode() if isinstance(text, bytes) else str(text)).partition(": ")
        where = f": `{excerpt}`" if excerpt else ""
        raise FieldError(
            f"invalid pattern regex: error parsing regexp: {_REGEX_FAULTS.get(fault, fault)}{where}"
        ) from None
    schema["pattern"] = value
    return False


def _count(name: str, wanted: str) -> Callable[[JsonObject, str], bool]:
    def count(schema: JsonObject, value: str) -> bool:
        _only(schema, wanted, name)
        try:
            schema[name] = gotext.parse_int(value)
        except ValueError as error:
            raise FieldError(f"failed to parse {name} value: {error}") from None
        return False

    return count


def _unique_items(schema: JsonObject, value: str) -> bool:
    unique = _boolean("uniqueItems", value)
    _only(schema, "array", "uniqueItems")
    if unique:
        list_type = schema.setdefault(LIST_TYPE, "set")
        if list_type != "set":
            raise FieldError(f"cannot set unique when listType is set to {list_type}")
    return False


def _list_type(schema: JsonObject, value: str) -> bool:
    if schema.get("type") != "array":
        raise FieldError("listType marker only applies to array types")
    if value not in ("atomic", "set", "map"):
        raise FieldError(f"unsupported value for listType {value}, needs to be one of atomic, set, or map")
    before = schema.setdefault(LIST_TYPE, value)
    if before != value:
        raise FieldError(
            f"listType attempting to overwrite set type of {before}, "
            "this can happen if you set contradictory markers like unique=true | listType=map"
        )
    return False


def _list_map_key(schema: JsonObject, value: str) -> bool:
    if schema.get("type") != "array":
        raise FieldError("listMapKey marker only applies to array types")
    keys = schema.get(LIST_MAP_KEYS, [])
    if value in keys:
        raise FieldError(f"duplicate listMapKey marker, value {value}")
    schema[LIST_MAP_KEYS] = [*keys, value]
    return False


MARKERS: dict[str, Callable[[JsonObject, str], bool]] = {
    "required": _required,
    "default": _default,
    "description": _description,
    "minimum": _bound("minimum"),
    "maximum": _bound("maximum"),
    "validation": _validation,
    "immutable": _immutable,
    "enum": _enum,
    "pattern": _pattern,
    "minLength": _count("minLength", "string"),
    "maxLength": _count("maxLength", "string"),
    "minItems": _count("minItems", "array"),
    "maxItems": _count("maxItems", "array"),
    "uniqueItems": _unique_items,
    "listType": _list_type,
    "listMapKey": _list_map_key,
}
"""Every marker there is; each tells whether it made the field required."""
