"""An instance against the schema of its kind: defaults filled in as the API server does, and what it would refuse."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import orjson
import re2

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.graph import fieldpath
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


def problems(value: JsonValue, schema: JsonObject, path: str = "") -> Iterator[tuple[str, str]]:
    """``(path, what is wrong)``; rules written in CEL are left to the API server."""
    if value is None and schema.get("nullable"):
        return
    wanted = schema.get("type")
    if wanted and not _is(value, wanted):
        yield path, f"must be of type {wanted}, got {orjson.dumps(value).decode()}"
        return
    yield from ((path, text) for text in _limits(value, schema))
    if isinstance(value, dict):
        yield from _members(value, schema, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(item, schema.get("items") or {}, fieldpath.join(path, index))


def _is(value: JsonValue, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(wanted, (object,)))


def _limits(value: JsonValue, schema: JsonObject) -> Iterator[str]:
    if schema.get("enum") and value not in schema["enum"]:
        allowed = ", ".join(orjson.dumps(item).decode() for item in schema["enum"])
        yield f"must be one of {allowed}, got {orjson.dumps(value).decode()}"
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
        yield f"must match {pattern}, got {orjson.dumps(value).decode()}"


def _members(value: JsonObject, schema: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for name in schema.get("required") or ():
        if name not in value:
            yield fieldpath.join(path, name), "is required"
    for name, item in value.items():
        below = fieldpath.join(path, name)
        if name in properties:
            yield from problems(item, properties[name], below)
        elif isinstance(extra, dict):
            yield from problems(item, extra, below)
        elif not (extra or schema.get(PRESERVE_UNKNOWN) or not properties):
            yield below, "is no field of this kind"
