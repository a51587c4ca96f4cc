"""Every schema vector recorded from kro holds, or stands in a table here with the reason why it does not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from kro_es.api import definition
from kro_es.api.definition import ResourceGraphDefinition
from kro_es.api.objects import JsonObject
from kro_es.schema import compat, crd, simple
from kro_es.schema.plural import plural

VECTORS: list[JsonObject] = json.loads((Path(__file__).parent / "vectors.json").read_text())

ELSEWHERE = {
    "status-schema": "needs typed expressions: tests/unit/graph",
    "admission": "checked by the API server from the CRD of the definitions",
    "admission-update": "checked by the API server from the CRD of the definitions",
    "instance-admission": "checked by the API server from the generated CRD",
    "apply-rgd": "needs an API server",
    "lifecycle": "needs an API server",
}
"""Checks this folder cannot make."""

DIFFERENT = {
    ("plural", "DNS"): "kro builds dnsDNSes, which no API server takes; ours is dnses",
    ("compat", "77b"): "a status schema: tests/unit/graph",
    ("compat", "77c"): "a status schema: tests/unit/graph",
}


def _named(check: str) -> list[ParameterSet]:
    return [
        pytest.param(vector, id=f"{vector['vector']}-{index}")
        for index, vector in enumerate(VECTORS)
        if vector["check"] == check
    ]


def _crd(obj: JsonObject) -> JsonObject:
    parsed = definition.parse(obj)
    return crd.generate(parsed, crd.instance_schema(_spec(parsed), {"type": "object"}))


def _spec(parsed: ResourceGraphDefinition) -> JsonObject:
    return simple.to_openapi(parsed.schema.spec, parsed.schema.types)


@pytest.mark.parametrize("vector", _named("openapi"))
def test_simple_schema(vector: JsonObject) -> None:
    given, expected = json.loads(vector["input"]), vector["expected"]
    if "schema" in expected:
        assert simple.to_openapi(given["spec"], given["types"]) == expected["schema"]
        return
    with pytest.raises(simple.SimpleSchemaError) as caught:
        simple.to_openapi(given["spec"], given["types"])
    messages = [fault.message for fault in caught.value.faults]
    assert set(messages) & set(expected.get("errorAnyOf", [expected.get("error")]))


@pytest.mark.parametrize("vector", _named("plural"))
def test_plural(vector: JsonObject) -> None:
    if ("plural", vector["input"]) in DIFFERENT:
        pytest.skip(DIFFERENT["plural", vector["input"]])
    assert plural(vector["input"]) == vector["expected"]["plural"]


@pytest.mark.parametrize("vector", _named("compat"))
def test_compatibility(vector: JsonObject) -> None:
    if ("compat", vector["vector"]) in DIFFERENT:
        pytest.skip(DIFFERENT["compat", vector["vector"]])
    given, expected = json.loads(vector["input"]), vector["expected"]
    report = compat.compare(_crd(given["old"]), _crd(given["new"]))
    for name, changes in (("breaking", report.breaking), ("nonBreaking", report.non_breaking)):
        found = Counter((item.path, item.change, item.old, item.new) for item in changes)
        assert found == Counter((item["path"], item["change"], item["old"], item["new"]) for item in expected[name])
    assert report.changed == expected["changed"]
    if "summary" in expected:
        assert report.summary == expected["summary"]


@pytest.mark.parametrize("vector", _named("crd"))
def test_whole_crd(vector: JsonObject) -> None:
    expected = vector["expected"]
    made = crd.crd_for(_crd(json.loads(vector["input"])), "cache-rgd", "<rgd uid>", "v1")
    assert made["metadata"]["name"] == expected["name"]
    assert made["metadata"]["annotations"] == expected["annotations"]
    assert made["metadata"]["labels"] == {**expected["labels"], "kro.run/kro-version": "v1"}
    assert made["spec"] == expected["spec"]


@pytest.mark.parametrize("vector", _named("crd-columns"))
def test_printer_columns(vector: JsonObject) -> None:
    version = _crd(json.loads(vector["input"]))["spec"]["versions"][0]
    assert version["additionalPrinterColumns"] == vector["expected"]["additionalPrinterColumns"]


def test_every_check_has_a_place() -> None:
    here = {"openapi", "plural", "compat", "crd", "crd-columns"}
    assert {vector["check"] for vector in VECTORS} == here | set(ELSEWHERE)
