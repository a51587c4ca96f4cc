"""The observed site of the reference vectors: schemas as variable types, objects as bindings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kro_es.cel.checker import check
from kro_es.cel.compiler import compile_expression
from kro_es.cel.parser import parse
from kro_es.cel.types import CelType, ListType, StructType, from_openapi
from kro_es.schema.openapi import Schema

SITE = json.loads((Path(__file__).parent / "vectors.json").read_text())


def kind(name: str, variable: str) -> StructType:
    """The type of a variable that holds an object of this kind."""
    found = from_openapi(Schema(SITE["kinds"][name], SITE["components"]), f"__type_{variable}")
    assert isinstance(found, StructType)
    return found


def variables() -> dict[str, CelType]:
    types: dict[str, CelType] = {name: kind(of, name) for name, of in SITE["variables"].items()}
    return {name: ListType(of) if name in SITE["collections"] else of for name, of in types.items()}


def bindings(case: Mapping[str, Any]) -> dict[str, Any]:
    changed = SITE["observed_pool"][case["observed"]] if "observed" in case else {}
    observed = {**SITE["observed"], **changed}
    bound = {name: objects if name in SITE["collections"] else objects[0] for name, objects in observed.items()}
    for name in case.get("unobserved", ()):
        bound.pop(name, None)
    return {**bound, "schema": case.get("instance", SITE["instance"])}


def value_of(text: str, types: Mapping[str, CelType] | None = None, bound: Mapping[str, Any] | None = None) -> Any:
    """What is written for an expression; by default one without variables."""
    return compile_expression(check(parse(text), types or {})).evaluate_json(bound or {})


def on_site(text: str, **observed: Any) -> Any:
    """What is written for an expression over the site, with some objects replaced."""
    return value_of(text, variables(), {**bindings({}), **observed})


def same(left: Any, right: Any) -> bool:
    """JSON equality that keeps bool, int and float apart."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)
