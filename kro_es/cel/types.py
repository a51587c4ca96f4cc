"""The types of expressions as frozen values: made from OpenAPI schemas, printed, compared, written back as schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from kro_es.api.objects import JsonObject
from kro_es.cel.errors import CelError
from kro_es.cel.lexer import RESERVED
from kro_es.schema.openapi import PRESERVE_UNKNOWN, Schema

_WORDS = RESERVED | {"true", "false", "null", "in"}
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without parameters; ``short`` is how the checker prints it, ``name`` how everything else does."""

    name: str
    short: str
    nullable: bool = field(default=False, compare=False, repr=False)
    """Of the scalars of an observed list or map: null is read as null, and no fault."""


BOOL = Primitive("bool", "bool")
INT = Primitive("int", "int")
UINT = Primitive("uint", "uint")
DOUBLE = Primitive("double", "double")
STRING = Primitive("string", "string")
BYTES = Primitive("bytes", "bytes")
NULL = Primitive("null_type", "null")
DYN = Primitive("dyn", "dyn")
TIMESTAMP = Primitive("google.protobuf.Timestamp", "timestamp")
DURATION = Primitive("google.protobuf.Duration", "duration")


@dataclass(frozen=True, slots=True)
class ListType:
    """``list(T)``."""

    element: CelType
    merge: tuple[str, ...] | None = field(default=None, compare=False, repr=False)
    """Kubernetes list type: empty for a set, the key fields for a map, None for an ordinary list."""


@dataclass(frozen=True, slots=True)
class MapType:
    """``map(K, V)``."""

    key: CelType
    value: CelType


@dataclass(frozen=True, slots=True)
class OptionalType:
    """``optional_type(T)``."""

    inner: CelType


@dataclass(frozen=True, slots=True)
class OpaqueType:
    """A type known by name only."""

    name: str


@dataclass(frozen=True, slots=True)
class TypeOf:
    """``type(T)``: the type of a type value."""

    inner: CelType


@dataclass(frozen=True, slots=True)
class TypeParam:
    """A type still to be inferred: the T of an overload, or the element type of ``[]``."""

    name: str


@dataclass(frozen=True, slots=True)
class StructField:
    """A declared property: its key in the JSON object, and its type."""

    key: str
    type: CelType


@dataclass(frozen=True, slots=True)
class StructType:
    """An object with declared properties; equal to another by name, its fields read from the schema when asked for."""

    name: str
    schema: Schema = field(compare=False, repr=False)
    ancestors: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """References already followed to get here: a schema that comes back to one of them is cut."""
    cut: bool = field(default=False, compare=False, repr=False)
    _fields: dict[str, StructField] = field(default_factory=dict, init=False, compare=False, repr=False)
    _single: dict[str, StructField | None] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def open(self) -> bool:
        """Undeclared fields select as dyn."""
        return self.schema.preserve_unknown

    def fields(self) -> Mapping[str, StructField]:
        """Declared fields by CEL name, in schema order; properties without a type or a CEL name are not declared."""
        if not self._fields and not self.cut:
            for key, _ in _properties(self.schema):
                name, found = escape(key), self.at(key)
                if name and found:
                    self._fields[name] = found
        return self._fields

    def field(self, name: str) -> StructField | None:
        """The field written ``.name``; a reserved word may be written as it is."""
        if escape(name) == name and not self._fields:
            # most objects are asked for one field of many: the types of the others are never made
            return self.at(name)
        fields = self.fields()
        return fields.get(name) or (fields.get(f"__{name}__") if name in _WORDS else None)

    def at(self, key: str) -> StructField | None:
        """The field of the property ``key``; None when it is not declared, or has no CEL name."""
        if key not in self._single:
            schema = None if self.cut else _property(self.schema, key)
            name = escape(key)
            found = schema and name and from_openapi(schema, f"{self.name}.{name}", self.ancestors)
            self._single[key] = StructField(key, found) if found else None
        return self._single[key]


CelType: TypeAlias = Primitive | ListType | MapType | StructType | OptionalType | OpaqueType | TypeOf | TypeParam


def escape(key: str) -> str | None:
    """CEL name of a property (spec/02 §6.4); None when it has none."""
    if key in _WORDS:
        return f"__{key}__"
    name = key
    for plain, escaped in _ESCAPES:
        name = name.replace(plain, escaped)
    if not name or name[0].isdigit() or not name.isascii() or not name.replace("_", "a").isalnum():
        return None
    return name


# -- from OpenAPI


_OBJECT = Schema({"type": "object"})
_TEXT = Schema({"type": "string"})
_EMBEDDED: tuple[tuple[str, Schema], ...] = (
    ("apiVersion", _TEXT),
    ("kind", _TEXT),
    ("metadata", Schema({"type": "object", "properties": {"name": _TEXT.node, "generateName": _TEXT.node}})),
)
_SCALARS = {"boolean": BOOL, "number": DOUBLE, "integer": INT}
_FORMATS = {"byte": BYTES, "duration": DURATION, "date": TIMESTAMP, "date-time": TIMESTAMP}


def _properties(schema: Schema) -> list[tuple[str, Schema]]:
    declared = list(schema.properties())
    if schema.extension("embedded-resource"):
        present = {key for key, _ in declared}
        declared += [item for item in _EMBEDDED if item[0] not in present]
    return declared


def _property(schema: Schema, key: str) -> Schema | None:
    declared = schema.property(key)
    if declared is None and schema.extension("embedded-resource"):
        return dict(_EMBEDDED).get(key)
    return declared


def from_openapi(schema: Schema, name: str, ancestors: frozenset[str] = frozenset()) -> CelType | None:
    """CEL type of a schema (spec/02 §6.1); None when values of it cannot be declared."""
    if schema.int_or_string:
        return DYN
    ref = schema.ref
    if ref is not None and ref in ancestors:
        return StructType(name, _OBJECT, cut=True)
    below = ancestors if ref is None else ancestors | {ref}
    match schema.type:
        case "array":
            element = schema.items and _element(schema.items, f"{name}.@idx", below)
            return ListType(element, _list_merge(schema)) if element else None
        case "object":
            values = schema.additional
            if isinstance(values, Schema):
                return MapType(STRING, _element(values, f"{name}.@elem", below) or DYN)
            return StructType(name, schema, below)
        case "string":
            return _FORMATS.get(schema.format or "", STRING)
        case scalar:
            return _SCALARS.get(scalar or "")


def _element(schema: Schema, name: str, ancestors: frozenset[str]) -> CelType | None:
    """A property that is null is absent, nullable or not; an item or an entry is there."""
    of = from_openapi(schema, name, ancestors)
    return replace(of, nullable=True) if isinstance(of, Primitive) and schema.node.get("nullable") is True else of


def _list_merge(schema: Schema) -> tuple[str, ...] | None:
    match schema.extension("list-type"):
        case "set":
            return ()
        case "map":
            return tuple(schema.extension("list-map-keys") or ()) or None
        case _:
            return None


# -- printing


def type_name(of: CelType, *, short: bool = False) -> str:
    """As messages print it; ``short`` is the checker's spelling (``timestamp``, ``null``)."""
    match of:
        case Primitive():
            return of.short if short else of.name
        case ListType():
            return f"list({type_name(of.element, short=short)})"
        case MapType():
            return f"map({type_name(of.key, short=short)}, {type_name(of.value, short=short)})"
        case OptionalType():
            return f"optional_type({type_name(of.inner, short=short)})"
        case TypeOf():
            return "type" if isinstance(of.inner, TypeParam) else f"type({type_name(of.inner, short=short)})"
        case _:
            return of.name


# -- assignment


def assignable(output: CelType, expected: CelType) -> str | None:
    """None when a field of type ``expected`` takes ``output`` (spec/02 §7), else why it does not."""
    if output == expected or DYN in (output, expected):
        return None
    if isinstance(output, OptionalType):
        return assignable(output.inner, expected)
    if isinstance(expected, StructType):
        return _assign_struct(output, expected)
    if isinstance(expected, MapType):
        return _assign_map(output, expected)
    if isinstance(expected, ListType):
        parameters = _parameters(output)
        if not parameters:
            return "list parameter count mismatch: got 0, expected 1"
        return _prefixed("list element type incompatible", assignable(parameters[0], expected.element))
    return f'type kind mismatch: got "{type_name(output)}", expected "{type_name(expected)}"'


def _parameters(of: CelType) -> tuple[CelType, ...]:
    match of:
        case ListType():
            return (of.element,)
        case MapType():
            return (of.key, of.value)
        case _:
            return ()


def _prefixed(prefix: str, why: str | None) -> str | None:
    return why and f"{prefix}: {why}"


def _assign_map(output: CelType, expected: MapType) -> str | None:
    if isinstance(output, StructType):
        for name, declared in output.fields().items():
            why = assignable(declared.type, expected.value)
            if why:
                return f'struct field "{name}" incompatible with map value type: {why}'
        return None
    parameters = _parameters(output)
    if len(parameters) != 2:
        return f"map parameter count mismatch: got {len(parameters)}, expected 2"
    key, value = parameters
    return _prefixed("map key type incompatible", assignable(key, expected.key)) or _prefixed(
        "map value type incompatible", assignable(value, expected.value)
    )


def _assign_struct(output: CelType, expected: StructType) -> str | None:
    if isinstance(output, MapType):
        if output.key not in (STRING, DYN):
            return "map keys must be strings to assign to struct"
        for name, declared in expected.fields().items():
            why = assignable(output.value, declared.type)
            if why:
                return f'map value incompatible with struct field "{name}": {why}'
        return None
    if not isinstance(output, StructType) or expected.open:
        return None
    for name, declared in output.fields().items():
        target = expected.fields().get(name)
        if target is None:
            return f'field "{name}" exists in output but not in expected type'
        why = assignable(declared.type, target.type)
        if why:
            return f'field "{name}" has incompatible type: {why}'
    return None


# -- to OpenAPI


_PLAIN_SCHEMAS: dict[CelType, JsonObject] = {
    BOOL: {"type": "boolean"},
    INT: {"type": "integer"},
    UINT: {"type": "integer"},
    DOUBLE: {"type": "number"},
    STRING: {"type": "string"},
    BYTES: {"type": "string", "format": "byte"},
    NULL: {"description": "null type - any value allowed", PRESERVE_UNKNOWN: True},
}
_UNTYPED: JsonObject = {PRESERVE_UNKNOWN: True}
_TIMESTAMP: JsonObject = {
    "type": "string",
    "format": "date-time",
    "description": "Timestamp representing a creation time",
}


def to_openapi(of: CelType, *, nested: bool = False) -> JsonObject:
    """Schema of a status field with this type (spec/01 §4.3); inside an object timestamps lose their type."""
    if of in _PLAIN_SCHEMAS:
        return dict(_PLAIN_SCHEMAS[of])
    if of == DYN or (nested and of in (TIMESTAMP, DURATION)):
        return dict(_UNTYPED)
    if of == TIMESTAMP:
        return dict(_TIMESTAMP)
    match of:
        case ListType():
            return {"type": "array", "items": to_openapi(of.element, nested=nested)}
        case MapType():
            return {"type": "object", "additionalProperties": to_openapi(of.value, nested=nested)}
        case StructType():
            return _struct_schema(of)
        case OpaqueType() if of.name.startswith("kubernetes."):
            # to kro they are objects whose fields it does not know
            return {"type": "object", "additionalProperties": True}
        case _:
            return {"description": f"unknown CEL type: {type_name(of)}", PRESERVE_UNKNOWN: True}


def _struct_schema(of: StructType) -> JsonObject:
    if of.cut:
        raise CelError(f"cyclic type reference detected: {of.name}")
    fields = {name: to_openapi(declared.type, nested=True) for name, declared in of.fields().items()}
    return {"type": "object", "properties": fields} if fields else {"type": "object"}
