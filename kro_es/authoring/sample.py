"""A sample instance of a definition: every field with its type, whether it is required, its default and its limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.authoring.yaml_writer import scalar
from kro_es.cel.compiler import CompiledExpression
from kro_es.cel.parser import parse
from kro_es.cel.references import Read, asked
from kro_es.graph.node import ResourceGraph
from kro_es.schema.openapi import PRESERVE_UNKNOWN

_Path: TypeAlias = tuple[str, ...]
"""From the instance's root: ``("spec", "host")``."""
_LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern")
_EMPTY: dict[str, JsonValue] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


@dataclass(frozen=True, slots=True)
class _Line:
    depth: int
    text: str
    comment: int | None = None
    """Depth of the block that is a comment as a whole; None for a line that counts."""

    def __str__(self) -> str:
        if self.comment is None:
            return "  " * self.depth + self.text
        return "  " * self.comment + "# " + "  " * (self.depth - self.comment) + self.text


def sample(graph: ResourceGraph) -> str:
    """YAML; what may be left out, has no default, and is read by no resource as if it were there stands in a comment."""
    gvk = graph.instance.gvk
    lines = [f"apiVersion: {gvk.api_version}", f"kind: {gvk.kind}", "metadata:", f"  name: {gvk.kind.lower()}-sample"]
    if graph.instance.namespaced:
        lines.append("  namespace: default")
    schema = graph.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    body = list(_members(schema, ("spec",), _relied_on(graph)))
    opening = "spec:" if _counts(body) else "spec: {}"
    return "\n".join([*lines, opening, *map(str, body)]) + "\n"


def _counts(body: list[_Line]) -> bool:
    return any(line.comment is None for line in body)


def _relied_on(graph: ResourceGraph) -> frozenset[_Path]:
    """What a resource reads of the instance without asking for it first, there or in its includeWhen; parents included."""
    found: set[_Path] = set()
    for node in graph.nodes:
        includes = [entry.program for entry in node.include_when]
        given = frozenset[Read]().union(*map(_asked, includes))
        others = (*(field.program for field in node.fields), *(dimension.program for dimension in node.for_each))
        for program in (*includes, *others):
            known = given | _asked(program)
            found |= {
                read.path[:length]
                for read in program.reads
                if read.root == "schema" and not any(_below(read, one) for one in known)
                for length in range(1, len(read.path) + 1)
            }
    return frozenset(found)


def _asked(program: CompiledExpression) -> frozenset[Read]:
    return asked(parse(program.text).root)


def _below(read: Read, other: Read) -> bool:
    return read.root == other.root and read.path[: len(other.path)] == other.path


def _members(schema: JsonObject, path: _Path, relied_on: frozenset[_Path]) -> Iterator[_Line]:
    required = schema.get("required") or ()
    for name, below in (schema.get("properties") or {}).items():
        yield from _member((*path, name), below, relied_on, required=name in required)


def _member(path: _Path, schema: JsonObject, relied_on: frozenset[_Path], *, required: bool) -> Iterator[_Line]:
    depth, key = len(path) - 1, scalar(path[-1])
    note = _note(schema, required=required, relied_on=path in relied_on)
    live = required or "default" in schema or path in relied_on
    if not schema.get("properties"):
        yield _Line(depth, f"{key}: {_shown(_value(schema))}  # {note}", None if live else depth)
        return
    body = list(_members(schema, path, relied_on))
    if live:
        yield _Line(depth, f"{key}:{'' if _counts(body) else ' {}'}  # {note}")
        yield from body
        return
    yield _Line(depth, f"{key}:  # {note}", depth)
    yield from (replace(line, comment=depth) for line in body)


def _note(schema: JsonObject, *, required: bool, relied_on: bool) -> str:
    parts = [_type(schema)]
    if "default" in schema and not schema.get("properties"):
        parts.append(f"default {_shown(schema['default'])}")
    else:
        parts.append("required" if required else "optional, but resources rely on it" if relied_on else "optional")
    if schema.get("enum"):
        parts.append(f"one of {', '.join(_shown(item) for item in schema['enum'])}")
    parts += [f"{name} {schema[name]}" for name in _LIMITS if name in schema]
    text = ", ".join(parts)
    description = " ".join(str(schema.get("description", "")).split())
    return f"{text}: {description}" if description else text


def _type(schema: JsonObject) -> str:
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema.get('items') or {})}"
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        return f"map of {_type(extra)}"
    return "object with any fields" if schema.get(PRESERVE_UNKNOWN) else kind


def _value(schema: JsonObject) -> JsonValue:
    """The default, or a value the limits allow; one for a pattern is left to the reader."""
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: _value(below) for name, below in _required(schema).items()}
    if kind == "array":
        return [_value(schema.get("items") or {})] * int(schema.get("minItems", 0))
    if kind == "string":
        return "x" * int(schema.get("minLength", 0))
    if kind in ("integer", "number"):
        lowest, highest = schema.get("minimum", 0), schema.get("maximum", 0)
        return lowest if lowest > 0 or "maximum" not in schema else min(max(0, lowest), highest)
    return _EMPTY.get(kind)


def _required(schema: JsonObject) -> JsonObject:
    properties = schema.get("properties") or {}
    return {name: properties[name] for name in schema.get("required") or () if name in properties}


def _shown(value: JsonValue) -> str:
    """On one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(name)}: {_shown(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    text = scalar(value)
    return f'"{text}"' if isinstance(value, str) and text == value and set(text) & set(",[]{}#:") else text
