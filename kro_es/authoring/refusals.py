"""What the API server would refuse: of a definition itself (spec/01 §2.2), and of its generated CRD (§1.9)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from kro_es.api.definition import ResourceGraphDefinition
from kro_es.api.objects import JsonObject
from kro_es.authoring.instances import problems, with_defaults
from kro_es.errors import DefinitionFault
from kro_es.schema.markers import LIST_MAP_KEYS, LIST_TYPE

_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+\Z")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_PROTECTED = (".k8s.io", ".kubernetes.io")
_APPROVED = "api-approved.kubernetes.io"


def own_refusals(obj: JsonObject, schema: JsonObject) -> Iterator[tuple[str, DefinitionFault]]:
    """Patterns and limits of the definition's own kind, whose ``spec`` has ``schema``; shapes are told elsewhere."""
    meta, spec = obj.get("metadata"), with_defaults(obj.get("spec"), schema)
    name = meta.get("name") if isinstance(meta, dict) else None
    if isinstance(name, str) and name and not _NAME.match(name):
        text = f'metadata.name "{name}" is no DNS name: lower case letters, digits, "-" and "."'
        yield "name-definition", DefinitionFault(text, path="metadata.name")
    for problem in problems(spec, schema, "spec"):
        if problem.what == "limit":
            yield "field-value", DefinitionFault(str(problem), path=problem.path)


def refusals(definition: ResourceGraphDefinition, crd: JsonObject) -> Iterator[tuple[str, DefinitionFault]]:
    """``(code, fault)``; the rules written in CEL, and their cost, are left to the server."""
    schema = definition.schema
    yield from (("name-group", DefinitionFault(text, path="spec.schema.group")) for text in _group(schema.group, crd))
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for path, code, text in _schema(spec, "spec"):
        yield code, DefinitionFault(f"{path}: {text}", path=f"spec.schema.{path}")


def _group(group: str, crd: JsonObject) -> Iterator[str]:
    if not _GROUP.match(group):
        yield f'group "{group}" is no domain name with at least one dot'
    elif group.endswith(_PROTECTED) and not (crd["metadata"].get("annotations") or {}).get(_APPROVED):
        yield f'group "{group}" is protected: the annotation {_APPROVED} is needed'


def _schema(schema: JsonObject, path: str) -> Iterator[tuple[str, str, str]]:
    """Fields of collections have the path of the collection: that is where they are written."""
    if "default" in schema:
        yield from ((path, "schema-default", text) for text in _default(schema))
    yield from ((path, "schema-list", text) for text in _list(schema))
    for name, below in (schema.get("properties") or {}).items():
        yield from _schema(below, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from _schema(schema[name], path)


def _default(schema: JsonObject) -> Iterator[str]:
    given = schema["default"]
    shown = orjson.dumps(given).decode()
    yield from (f"the default {shown} does not fit: {problem}" for problem in problems(given, schema))


def _list(schema: JsonObject) -> Iterator[str]:
    kind, items = schema.get(LIST_TYPE), schema.get("items") or {}
    if kind == "set" and items.get("type") == "object":
        yield "a list of objects cannot be a set"
    if kind != "map":
        return
    keys = schema.get(LIST_MAP_KEYS) or ()
    if not keys:
        yield "listType=map needs a listMapKey"
    if items.get("type") != "object":
        yield "listType=map needs a list of objects"
        return
    properties = items.get("properties") or {}
    for key in keys:
        if key not in properties:
            yield f"listMapKey {key} is no field of the items"
        elif key not in (items.get("required") or ()) and "default" not in properties[key]:
            yield f"listMapKey {key} must be required or have a default"
