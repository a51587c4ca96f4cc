"""The author's status block: its expressions, and the schema they imply for the instance status (spec/01 §4)."""

from __future__ import annotations

from collections.abc import Iterable

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cel.types import CelType, to_openapi
from kro_es.graph import fieldpath
from kro_es.graph.faults import STATUS, Faults
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.template import Field, TemplateError, extract
from kro_es.schema.gotext import type_name
from kro_es.schema.openapi import PRESERVE_UNKNOWN

FAILED = "failed to build instance status schema: "
CONDITIONS = "conditions"


def extract_fields(status: JsonObject, faults: Faults) -> tuple[Field, ...]:
    """Expressions of the block in document order; author conditions are checked for shape only."""
    block = dict(status)
    if CONDITIONS in block:
        _check_conditions(block.pop(CONDITIONS), faults)
    fields: list[Field] = []
    constants: list[FieldPath] = []
    _walk(block, (), fields, constants, faults)
    if constants:
        paths = " ".join(map(fieldpath.text, constants))
        text = f"{FAILED}status fields without expressions are not supported: [{paths}]"
        faults.add(STATUS, text, path=f"status.{fieldpath.text(constants[0])}")
    return tuple(fields)


def _walk(node: JsonValue, path: FieldPath, fields: list[Field], constants: list[FieldPath], faults: Faults) -> None:
    if isinstance(node, dict):
        for name, value in node.items():
            _walk(value, (*path, name), fields, constants, faults)
        return
    if isinstance(node, list):
        for index, value in enumerate(node):
            _walk(value, (*path, index), fields, constants, faults)
        return
    try:
        found = extract(node) if isinstance(node, str) else None
    except TemplateError as error:
        text = f"{FAILED}failed to extract CEL expressions from status: {error}"
        faults.add(STATUS, text, path=f"status.{fieldpath.text(path)}")
        return
    if found is None:
        constants.append(path)
    else:
        fields.append(Field(path, found))


def _check_conditions(block: JsonValue, faults: Faults) -> None:
    """The shape only: what the entries say is compiled after the fields."""
    prefix = f"{FAILED}failed to extract conditions block: "
    if not isinstance(block, list):
        text = f"{prefix}status.conditions must be a list, got {type_name(block)}"
        faults.add(STATUS, text, path="status.conditions")
        return
    for index, entry in enumerate(block):
        if not isinstance(entry, str):
            path = f"status.conditions[{index}]"
            text = f"{prefix}{path} must be a CEL expression string, got {type_name(entry)}"
            faults.add(STATUS, text, path=path)


def infer(fields: Iterable[tuple[FieldPath, CelType]]) -> JsonObject:
    """Schema of the block from the types of its expressions; raises CelError for a type that contains itself."""
    root: JsonObject = {"type": "object"}
    for path, of in fields:
        _place(root, path, to_openapi(of))
    return root


def _place(node: JsonObject, path: FieldPath, leaf: JsonObject) -> None:
    """All items of a list share one schema: fields of several objects are united, values of several types have none."""
    for step in path:
        if isinstance(step, int):
            node["type"] = "array"
            node = node.setdefault("items", {})
        else:
            node["type"] = "object"
            node = node.setdefault("properties", {}).setdefault(step, {})
    mixed = bool(node) and node != leaf
    node.clear()
    node.update({PRESERVE_UNKNOWN: True} if mixed else leaf)
