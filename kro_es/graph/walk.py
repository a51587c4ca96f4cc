"""A template against the schema of its kind: every expression is found, every value that cannot fit is reported."""

from __future__ import annotations

from dataclasses import dataclass, field

from kro_es.api.near import hint
from kro_es.api.objects import JsonObject, JsonValue
from kro_es.graph import fieldpath
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.template import Field, TemplateError, extract
from kro_es.schema.gotext import type_name
from kro_es.schema.openapi import INT_OR_STRING, Schema

ANY = "any"


@dataclass(frozen=True, slots=True)
class WalkFault:
    """A value that does not fit; ``path`` is where it is."""

    message: str
    path: FieldPath


@dataclass(slots=True)
class Walk:
    """What one walk found, in document order."""

    fields: list[Field] = field(default_factory=list)
    faults: list[WalkFault] = field(default_factory=list)

    def template(self, node: JsonValue, schema: Schema, path: FieldPath = ()) -> None:
        """``node`` must fit ``schema`` (spec/02 §3)."""
        if node is None:
            return
        expected = _expected(schema)
        if not expected:
            where = fieldpath.text(path)
            self._fault(f"schema at path {where} has no valid type, OneOf, AnyOf, or AdditionalProperties", path)
        elif isinstance(node, dict):
            self._object(node, schema, expected, path)
        elif isinstance(node, list):
            self._array(node, schema, expected, path)
        elif isinstance(node, str):
            self._text(node, expected, path)
        elif not _fits(node, expected):
            self._mismatch(expected, path, _scalar_name(node))

    def schemaless(self, node: JsonValue, path: FieldPath = ()) -> None:
        """Only collects expressions."""
        if isinstance(node, dict):
            for name, value in node.items():
                self.schemaless(value, (*path, name))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                self.schemaless(value, (*path, index))
        elif isinstance(node, str):
            self._text(node, (ANY,), path)

    def _object(self, node: JsonObject, schema: Schema, expected: tuple[str, ...], path: FieldPath) -> None:
        if schema.preserve_unknown:
            self.schemaless(node, path)
            return
        if "object" not in expected and schema.additional is None:
            self._mismatch(expected, path, "object")
            return
        for name, value in node.items():
            below = (*path, name)
            child = schema.property(name) or schema.additional
            if child is None:
                where = f"{fieldpath.text(path)}.{name}"
                near = hint(name, (known for known, _ in schema.properties()))
                text = f"error getting field schema for path {where}: schema not found for field {name}{near}"
                self._fault(text, below)
            else:
                self.template(value, Schema({}) if child is True else child, below)

    def _array(self, node: list[JsonValue], schema: Schema, expected: tuple[str, ...], path: FieldPath) -> None:
        if ANY in expected:
            self.schemaless(node, path)
            return
        if "array" not in expected:
            self._mismatch(expected, path, "array")
            return
        items = schema.items
        if items is None:
            where = fieldpath.text(path)
            message = f"invalid array schema for path {where}: neither Items.Schema nor Properties are defined"
            self._fault(message, path)
            return
        for index, value in enumerate(node):
            self.template(value, items, (*path, index))

    def _text(self, node: str, expected: tuple[str, ...], path: FieldPath) -> None:
        try:
            found = extract(node)
        except TemplateError as error:
            self._fault(str(error), path)
            return
        standalone = found is not None and found.standalone
        if not standalone and "string" not in expected and ANY not in expected:
            self._mismatch(expected, path, "string")
        elif found is not None:
            self.fields.append(Field(path, found))

    def _mismatch(self, expected: tuple[str, ...], path: FieldPath, got: str) -> None:
        self._fault(f"expected {' or '.join(expected)} type for path {fieldpath.text(path)}, got {got}", path)

    def _fault(self, message: str, path: FieldPath) -> None:
        self.faults.append(WalkFault(message, path))


def _expected(schema: Schema) -> tuple[str, ...]:
    """The types a literal may have; empty when the schema says nothing."""
    node = schema.resolved
    if schema.preserve_unknown:
        return (ANY,)
    branches = schema.branches("oneOf") or schema.branches("anyOf")
    if not (branches or schema.type or schema.additional):
        return ()
    if node.get(INT_OR_STRING):
        return ("string", "integer")
    found = [branch.type for branch in branches if branch.type]
    if any("required" in branch.resolved or "not" in branch.resolved for branch in branches):
        found.append("object")
    if found:
        return tuple(dict.fromkeys(found))
    return (schema.type,) if schema.type else (ANY,)


def _fits(node: JsonValue, expected: tuple[str, ...]) -> bool:
    if ANY in expected:
        return True
    if isinstance(node, bool):
        return "boolean" in expected
    if "number" in expected:
        return True
    # a float without a fraction is the integer it was written as
    return "integer" in expected and float(node).is_integer()


def _scalar_name(node: JsonValue) -> str:
    if isinstance(node, bool):
        return "boolean"
    return "integer" if float(node).is_integer() else type_name(node)
