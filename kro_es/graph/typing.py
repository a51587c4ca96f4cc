"""Typed expressions: the variables each one sees, the type its place expects, and the program it becomes."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from kro_es.api.objects import JsonObject
from kro_es.cel.checker import check
from kro_es.cel.compiler import CompiledExpression, compile_expression
from kro_es.cel.errors import CelError
from kro_es.cel.parser import ParsedExpression
from kro_es.cel.types import (
    BOOL,
    DYN,
    STRING,
    CelType,
    ListType,
    MapType,
    OptionalType,
    StructType,
    from_openapi,
)
from kro_es.graph.fieldpath import FieldPath
from kro_es.schema.openapi import Schema

_NOT_RECORDED = ("metadata", "managedFields")
_TEXT: JsonObject = {"type": "string"}
_TIME: JsonObject = {"type": "string", "format": "date-time"}
_TEXT_MAP: JsonObject = {"type": "object", "additionalProperties": _TEXT}
_OWNER: JsonObject = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("apiVersion", "kind", "name", "uid"), _TEXT),
        "controller": {"type": "boolean"},
        "blockOwnerDeletion": {"type": "boolean"},
    },
}
_MANAGED: JsonObject = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("apiVersion", "fieldsType", "manager", "operation", "subresource"), _TEXT),
        "fieldsV1": {"type": "object"},
        "time": _TIME,
    },
}
OBJECT_META: JsonObject = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), _TEXT),
        "generation": {"type": "integer", "format": "int64"},
        "creationTimestamp": _TIME,
        "deletionTimestamp": _TIME,
        "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
        "labels": _TEXT_MAP,
        "annotations": _TEXT_MAP,
        "ownerReferences": {"type": "array", "items": _OWNER},
        "finalizers": {"type": "array", "items": _TEXT},
        "managedFields": {"type": "array", "items": _MANAGED},
    },
}
"""Kubernetes' ObjectMeta: generated CRDs only say ``metadata`` is an object."""


def type_name_of(node_id: str) -> str:
    """How messages call the type of a variable."""
    return f"__type_{node_id}"


def instance_type(schema: JsonObject, *, namespaced: bool) -> CelType:
    """Type of ``schema``: the generated schema without status, with the full ObjectMeta."""
    meta = copy.deepcopy(OBJECT_META)
    if not namespaced:
        del meta["properties"]["namespace"]
    properties = {name: node for name, node in schema["properties"].items() if name != "status"}
    return _declared({**schema, "properties": {**properties, "metadata": meta}}, "schema")


def _declared(schema: JsonObject, name: str) -> CelType:
    return from_openapi(Schema(schema), type_name_of(name)) or DYN


def resource_type(schema: Schema, node_id: str, *, many: bool) -> CelType:
    """``many``: what is referred to is a list of such objects."""
    if many:
        return ListType(from_openapi(schema, f"{type_name_of(node_id)}.@idx") or DYN)
    return from_openapi(schema, type_name_of(node_id)) or DYN


def expected_type(root: CelType, path: FieldPath) -> CelType:
    """Type of the place ``path``; dyn when the schema does not say."""
    found: CelType = root
    for step in path:
        match found:
            case StructType():
                declared = found.at(step) if isinstance(step, str) else None
                found = declared.type if declared else DYN
            case ListType():
                found = found.element
            case MapType():
                found = found.value
            case _:
                return DYN
    return found


def reference_type(path: FieldPath) -> CelType:
    """Type of the place ``path`` in a reference to an object of others."""
    match path:
        case ("metadata", "name" | "namespace") | ("metadata", "selector", "matchLabels", _):
            return STRING
        case ("metadata", "selector"):
            return MapType(STRING, DYN)
        case ("metadata", "selector", "matchLabels"):
            return MapType(STRING, STRING)
        case ("metadata", "selector", "matchExpressions"):
            return ListType(DYN)
        case _:
            return DYN


def program(parsed: ParsedExpression, variables: Mapping[str, CelType]) -> CompiledExpression:
    """Raises CelError with every fault of the expression."""
    checked = check(parsed, variables)
    if any(read.path[:2] == _NOT_RECORDED for read in checked.reads):
        raise CelError("metadata.managedFields cannot be read: it is not part of the recorded object")
    return compile_expression(checked)


def is_condition(of: CelType) -> bool:
    """``includeWhen`` and ``readyWhen`` may be bool or an optional bool; dyn is not enough."""
    return of in (BOOL, OptionalType(BOOL))
