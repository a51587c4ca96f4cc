"""A kind's schema by itself: with what it refers to and nothing else, as it is kept with a revision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import orjson

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.schema.openapi import REF_PREFIX, Schema


def closed(schema: Schema) -> JsonObject:
    """``{"node": …, "components": {name: …}}``: enough to read the schema by; the parts are shared, not copied."""
    components: dict[str, JsonObject] = {}
    waiting = list(_references(schema.node))
    while waiting:
        name = waiting.pop()
        if name not in components:
            components[name] = schema.components[name]
            waiting += _references(components[name])
    return {"node": schema.node, "components": components}


def opened(content: JsonObject) -> Schema:
    """The schema of :func:`closed`."""
    return Schema(content["node"], content["components"])


def digest(content: JsonObject) -> str:
    """sha256 of the content, whatever order its members are in."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _references(node: JsonValue) -> Iterator[str]:
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str):
            yield target.removeprefix(REF_PREFIX)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
