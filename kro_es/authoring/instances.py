"""An instance against the schema of its kind: defaults filled in as the API server does, and what it would refuse."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import re2

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.graph import fieldpath
from kro_es.schema.markers import LIST_TYPE
from kro_es.schema.openapi import PRESERVE_UNKNOWN

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "object": (dict,), "array": (list,),
}  # fmt: skip
_LEAST = (("minimum", "minimum"), ("minLength", "length"), ("minItems", "number of items"))
_MOST = (("maximum", "maximum"), ("maxLength", "length"), ("maxItems", "number of items"))


def with_defaults(value: JsonValue, schema: JsonObject) -> JsonValue:
    """A copy; a default that is put in gets the defaults below it as well."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        found = {
            name: with_defaults(item, properties.get(name) or (extra if isinstance(extra, dict) else {}))
            for name, item in value.items()
        }
        for name, below in properties.items():
            if name not in found and "default" in below:
                found[name] = with_defaults(copy.deepcopy(below["default"]), below)
        return found
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items") or {}) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Problem:
    """``what``: type, required, unknown or limit."""

    path: str
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.path} {self.text}" if self.path else f"it {self.text}"


def problems(value: JsonValue, schema: JsonObject, path: str = "") -> Iterator[Problem]:
    """What the API server would refuse; rules written in CEL are left to it."""
    if value is None and schema.get("nullable"):
        return
    wanted = schema.get("type")
    if wanted and not _is(value, wanted):
        yield Problem(path, "type", f"must be of type {wanted}, got {_json(value)}")
        return
    yield from (Problem(path, "limit", text) for text in _limits(value, schema))
    if isinstance(value, dict):
        yield from _members(value, schema, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(item, schema.get("items") or {}, fieldpath.join(path, index))


def _json(value: JsonValue) -> str:
    return orjson.dumps(value).decode()


def _is(value: JsonValue, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(wanted, (object,)))


def _limits(value: JsonValue, schema: JsonObject) -> Iterator[str]:
    if schema.get("enum") and value not in schema["enum"]:
        yield f"must be one of {', '.join(map(_json, schema['enum']))}, got {_json(value)}"
    size = value if isinstance(value, int | float) else len(value) if isinstance(value, str | list) else None
    if size is not None and not isinstance(value, bool):
        for name, what in _LEAST:
            if name in schema and size < schema[name]:
                yield f"{what} must be at least {schema[name]}, got {size}"
        for name, what in _MOST:
            if name in schema and size > schema[name]:
                yield f"{what} must be at most {schema[name]}, got {size}"
    pattern = schema.get("pattern")
    if isinstance(value, str) and pattern and not re2.search(pattern, value):
        yield f"must match {pattern}, got {_json(value)}"
    if isinstance(value, list) and (schema.get(LIST_TYPE) == "set" or schema.get("uniqueItems")):
        texts = [_json(item) for item in value]
        yield from (f"must not have {text} twice" for text in dict.fromkeys(texts) if texts.count(text) > 1)


def _members(value: JsonObject, schema: JsonObject, path: str) -> Iterator[Problem]:
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for name in schema.get("required") or ():
        if name not in value:
            yield Problem(fieldpath.join(path, name), "required", "is required")
    for name, item in value.items():
        below = fieldpath.join(path, name)
        if name in properties:
            yield from problems(item, properties[name], below)
        elif isinstance(extra, dict):
            yield from problems(item, extra, below)
        elif not (extra or schema.get(PRESERVE_UNKNOWN) or not properties):
            yield Problem(below, "unknown", "is no field of this kind")
