"""The site of the reference vectors: schemas as variable types, observed objects as bindings, one case an expression."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kro_es.cel.checker import check
from kro_es.cel.compiler import compile_expression
from kro_es.cel.parser import parse
from kro_es.cel.types import CelType, ListType, StructType, from_openapi
from kro_es.graph.template import TemplateError, extract
from kro_es.schema.openapi import Schema

_HERE = Path(__file__).parent
KINDS = json.loads((_HERE / "kinds.json").read_text())
FIXTURE, *VECTORS = json.loads((_HERE / "02-cel.json").read_text())
"""What kro itself answered; the note of the fixture explains the format."""


DIFFERS: Mapping[str, tuple[str, ...]] = {
    "a null property is absent as a key too": ("dyn(src.spec.st).map(k, k).sort()",),
    "reads the bytes field": ('src.spec.deepMerge({"z": 1})',),
    "a null property is dropped instead of spoiling the result": ('src.spec.st.deepMerge({"z": 1})',),
    "observed maps and lists are encoded too": (
        "json.encode(src.spec.st)",
        "json.encode(src.spec.ls)",
        "json.encode(schema.spec.labels)",
        'json.encode({"a": schema.spec.tags})',
        "json.encode([schema.spec.labels])",
    ),
    "int-or-string is not validated": ('src.spec.ios /* {"ios": true} */',),
    "an appended dyn element is readable; the reference cannot read it back": (
        'schema.spec.ports + dyn([{"name": "x", "number": 1}])',
        '(schema.spec.ports + dyn([{"name": "x", "number": 1}])).map(p, p.name)',
        'schema.spec.ports + [dyn({"name": "x", "number": 1})]',
        'src.spec.ml + dyn([{"k": "x", "v": 5}])',
        "schema.spec.tags + dyn([1])",
    ),
    "classified by the error, not by the text": ("R66",),
    "a sum is a quantity like any other": ('X:quantity("3") == quantity("1").add(quantity("2"))',),
}
"""Vectors by the reason why ours is another answer."""


@dataclass(frozen=True, slots=True)
class Case:
    """One expression and what kro made of it."""

    id: str
    text: str
    expect: Mapping[str, Any]
    """``value``, or ``class`` and ``contains``."""
    on_site: bool = False
    """It sees the site's objects; else it is evaluated alone."""
    observed: Mapping[str, Any] = field(default_factory=dict)


def cases() -> Iterator[Case]:
    """Every vector that is about one expression; the others are about graphs."""
    for vector in VECTORS:
        if vector["kind"] == "expression":
            yield Case(vector["id"], vector["expression"], vector["expect"])
        elif vector["kind"] == "definition":
            yield from _sink_case(vector)


def _sink_case(vector: Mapping[str, Any]) -> Iterator[Case]:
    """A definition whose one expression is written into a field of any type."""
    resources = vector.get("definition", {})
    spec = resources.get("sink", {}).get("template", {}).get("spec") or {}
    text = spec.get("any") if len(spec) == 1 and resources.keys() <= {"sink", "src"} else None
    expect = _written(vector["expect"])
    try:
        found = extract(text) if isinstance(text, str) else None
    except TemplateError:
        return
    if found is not None and expect is not None:
        yield Case(vector["id"], found.source, expect, on_site=True, observed=vector.get("observed", {}))


def _written(expect: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if expect["build"] != "ok":
        return dict(expect["build"])
    sink = expect.get("write", {}).get("sink")
    if sink is None or "class" in sink:
        return sink
    return {"value": sink["spec"].get("any")}


def kind(name: str, variable: str) -> StructType:
    """The type of a variable that holds an object of this kind."""
    found = from_openapi(Schema(KINDS["kinds"][name], KINDS["components"]), f"__type_{variable}")
    assert isinstance(found, StructType)
    return found


def variables() -> dict[str, CelType]:
    types: dict[str, CelType] = {name: kind(of, name) for name, of in KINDS["variables"].items()}
    return {name: ListType(of) if name in KINDS["collections"] else of for name, of in types.items()}


def bindings(changed: Mapping[str, Any]) -> dict[str, Any]:
    """The observed objects, some of them replaced."""
    observed = {**FIXTURE["observed"], **changed}
    bound = {name: objects if name in KINDS["collections"] else objects[0] for name, objects in observed.items()}
    return {**bound, "schema": FIXTURE["instance"]}


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
