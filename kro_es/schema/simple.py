"""SimpleSchema to OpenAPI: every field string and custom type is translated as kro does, or every fault is reported."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.schema import gotext, markers
from kro_es.schema.markers import FieldError
from kro_es.schema.openapi import PRESERVE_UNKNOWN

MAX_NESTING = 16
_ATOMS: dict[str, JsonObject] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "float": {"type": "number"},
    "object": {"type": "object", PRESERVE_UNKNOWN: True},
}


@dataclass(frozen=True, slots=True)
class SimpleSchemaFault:
    """One fault and where it is: ``spec.db.size`` or ``types.Port``."""

    message: str
    path: str


class SimpleSchemaError(UserError):
    """All faults of the spec and the custom types of one definition; types come first."""

    def __init__(self, faults: tuple[SimpleSchemaFault, ...]) -> None:
        super().__init__("\n".join(fault.message for fault in faults))
        self.faults = faults


class _BrokenTypeError(Exception):
    """A referenced custom type has a fault of its own, which is reported where it is."""


def to_openapi(spec: JsonValue, types: JsonValue) -> JsonObject:
    """The schema of ``spec`` of an instance (spec/01 §1); raises SimpleSchemaError with every fault."""
    builder = _Builder()
    builder.define(types or {})
    schema = builder.object(spec or {}, "", "spec")
    if builder.faults:
        raise SimpleSchemaError(tuple(builder.faults))
    return schema


# -- types


@dataclass(frozen=True, slots=True)
class _Type:
    """``[]map[string]Name``: the collections from the outside in, and the name they end in."""

    collections: tuple[str, ...]
    name: str

    @property
    def custom(self) -> str | None:
        return None if self.name in _ATOMS else self.name


def _split(text: str) -> tuple[_Type, str | None]:
    kind, bar, rest = text.partition("|")
    return _parse_type(kind), rest if bar else None


def _parse_type(text: str) -> _Type:
    collections: list[str] = []
    while True:
        text = text.strip(gotext.SPACE)
        if len(collections) > MAX_NESTING:
            raise FieldError(f"type nesting too deep (max {MAX_NESTING}): {gotext.quote(text)}")
        if text.startswith("[]"):
            text = _inner(text, "[]", "empty slice element type")
            collections.append("array")
        elif text.startswith("map["):
            if not text.startswith("map[string]"):
                raise FieldError("map key must be string")
            text = _inner(text, "map[string]", "map value type is required")
            collections.append("map")
        elif not text:
            raise FieldError("empty type")
        else:
            return _Type(tuple(collections), text)


def _inner(text: str, prefix: str, missing: str) -> str:
    inner = text.removeprefix(prefix).strip(gotext.SPACE)
    if not inner:
        raise FieldError(missing)
    return inner


def _references(node: JsonValue) -> Iterator[str]:
    """Custom types a type's definition names, markers left aside."""
    if isinstance(node, dict):
        for name, value in node.items():
            try:
                yield from _references(value)
            except FieldError as error:
                raise FieldError(f"field {name}: {error}") from None
    elif isinstance(node, str):
        found = _split(node)[0].custom
        if found is not None:
            yield found
    else:
        raise FieldError(f"unexpected type: {gotext.type_name(node)}")


# -- building


@dataclass(frozen=True, slots=True)
class _Custom:
    schema: JsonObject
    required: bool
    """The type is an alias declared required, and so is every field of exactly this type."""


@dataclass(slots=True)
class _Builder:
    faults: list[SimpleSchemaFault] = field(default_factory=list)
    customs: dict[str, _Custom | None] = field(default_factory=dict)
    """None stands for a type with a fault."""

    def define(self, types: JsonObject) -> None:
        """Builds every custom type, used or not."""
        references: dict[str, tuple[str, ...]] = {}
        for name, node in types.items():
            try:
                references[name] = tuple(dict.fromkeys(_references(node)))
            except FieldError as error:
                self._fault(f"parsing type {name}: {error}", f"types.{name}")
                self.customs[name] = None
        for name in self._ordered(references, types):
            self._define_one(name, types[name])

    def _define_one(self, name: str, node: JsonValue) -> None:
        prefix = f"building schema for {name}: "
        before = len(self.faults)
        found: _Custom | None = None
        if isinstance(node, str):
            try:
                schema, required = self._string(node)
                found = _Custom(schema, required > 0)
            except FieldError as error:
                self._fault(prefix + str(error), f"types.{name}")
            except _BrokenTypeError:
                pass
        else:
            found = _Custom(self.object(node, prefix, f"types.{name}"), False)
        self.customs[name] = found if len(self.faults) == before else None

    def _ordered(self, references: dict[str, tuple[str, ...]], types: JsonObject) -> list[str]:
        """Types after those they refer to; types on or behind a broken reference are left out and reported."""
        done: list[str] = []
        for name, targets in references.items():
            for target in targets:
                if target == name:
                    self._fault("self references are not allowed", f"types.{name}")
                elif target not in types:
                    self._fault(f"node {target} does not exist", f"types.{name}")
        broken = {name for name, targets in references.items() if any(to == name or to not in types for to in targets)}
        self.customs.update(dict.fromkeys(broken))
        waiting = {name: targets for name, targets in references.items() if name not in broken}
        while waiting:
            ready = [name for name, to in waiting.items() if not any(target in waiting for target in to)]
            if not ready:
                self._cycle(waiting)
                break
            for name in ready:
                del waiting[name]
            done += ready
        return done

    def _cycle(self, waiting: dict[str, tuple[str, ...]]) -> None:
        self.customs.update(dict.fromkeys(waiting))
        path = [next(iter(waiting))]
        while path[-1] not in path[:-1]:
            path.append(next(target for target in waiting[path[-1]] if target in waiting))
        cycle = path[path.index(path[-1]) :]
        text = " -> ".join(cycle)
        self._fault(f"cyclic dependency in type {cycle[0]}: graph contains a cycle: {text}", f"types.{cycle[0]}")

    def object(self, node: JsonObject, prefix: str, path: str) -> JsonObject:
        """An object from its entries, with ``required`` and the implied ``default`` (spec/01 §1.7, §1.8)."""
        properties: JsonObject = {}
        required: list[str] = []
        for name, value in node.items():
            label, below = f"{prefix}field {name}: ", f"{path}.{name}"
            if isinstance(value, dict):
                properties[name] = self.object(value, label, below)
                continue
            try:
                properties[name], times = self._string(value)
                required += [name] * times
            except FieldError as error:
                self._fault(label + str(error), below)
            except _BrokenTypeError:
                pass
        schema: JsonObject = {"type": "object"}
        if properties:
            schema["properties"] = properties
        if required:
            schema["required"] = sorted(required)
        elif any("default" in child for child in properties.values()):
            schema["default"] = {}
        return schema

    def _string(self, value: JsonValue) -> tuple[JsonObject, int]:
        """Schema of a field string, and how often it makes its field required."""
        if not isinstance(value, str):
            raise FieldError(f"unexpected type: {gotext.type_name(value)}")
        kind, text = _split(value)
        schema, inherited = self._resolve(kind)
        found = () if text is None else markers.parse(text)
        return schema, inherited + markers.apply(schema, found)

    def _resolve(self, kind: _Type) -> tuple[JsonObject, int]:
        if kind.custom is None:
            schema, required = dict(_ATOMS[kind.name]), 0
        else:
            if kind.name not in self.customs:
                raise FieldError(f"unknown type: {kind.name}")
            custom = self.customs[kind.name]
            if custom is None:
                raise _BrokenTypeError
            schema, required = copy.deepcopy(custom.schema), int(custom.required and not kind.collections)
        for collection in reversed(kind.collections):
            if collection == "array":
                schema = {"type": "array", "items": schema}
            else:
                schema = {"type": "object", "additionalProperties": schema}
        return schema, required

    def _fault(self, message: str, path: str) -> None:
        self.faults.append(SimpleSchemaFault(message, path))
