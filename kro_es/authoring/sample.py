"""A sample instance of a definition: every field with its type, whether it is required, its default and its limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.authoring.yaml_writer import scalar
from kro_es.graph.node import ResourceGraph
from kro_es.schema.openapi import PRESERVE_UNKNOWN

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
    """YAML; what may be left out and has no default stands in a comment."""
    gvk = graph.instance.gvk
    lines = [f"apiVersion: {gvk.api_version}", f"kind: {gvk.kind}", "metadata:", f"  name: {gvk.kind.lower()}-sample"]
    if graph.instance.namespaced:
        lines.append("  namespace: default")
    schema = graph.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    body = list(_members(schema, 1))
    opening = "spec:" if _counts(body) else "spec: {}"
    return "\n".join([*lines, opening, *map(str, body)]) + "\n"


def _counts(body: list[_Line]) -> bool:
    return any(line.comment is None for line in body)


def _members(schema: JsonObject, depth: int) -> Iterator[_Line]:
    required = schema.get("required") or ()
    for name, below in (schema.get("properties") or {}).items():
        yield from _member(name, below, depth, required=name in required)


def _member(name: str, schema: JsonObject, depth: int, *, required: bool) -> Iterator[_Line]:
    key, note = scalar(name), _note(schema, required=required)
    live = required or "default" in schema
    if not schema.get("properties"):
        yield _Line(depth, f"{key}: {_shown(_value(schema))}  # {note}", None if live else depth)
        return
    body = list(_members(schema, depth + 1))
    if live:
        yield _Line(depth, f"{key}:{'' if _counts(body) else ' {}'}  # {note}")
        yield from body
        return
    yield _Line(depth, f"{key}:  # {note}", depth)
    yield from (replace(line, comment=depth) for line in body)


def _note(schema: JsonObject, *, required: bool) -> str:
    parts = [_type(schema)]
    if "default" in schema and not schema.get("properties"):
        parts.append(f"default {_shown(schema['default'])}")
    else:
        parts.append("required" if required else "optional")
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
