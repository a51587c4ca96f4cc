"""Every graph vector recorded from kro holds, or stands here with the reason why it differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from kinds import KINDS

from kro_es.api.definition import parse
from kro_es.api.objects import JsonObject
from kro_es.errors import DefinitionErrors
from kro_es.graph import hash as spec_hash
from kro_es.graph import validate
from kro_es.graph.compile import compile_graph
from kro_es.graph.node import ResourceGraph
from kro_es.schema import compat

_HERE = Path(__file__).parent
VECTORS: list[JsonObject] = json.loads((_HERE / "vectors.json").read_text())
SCHEMA_VECTORS: list[JsonObject] = json.loads((_HERE.parent / "schema" / "vectors.json").read_text())


def _named(vectors: list[JsonObject], *checks: str) -> list[ParameterSet]:
    return [
        pytest.param(vector, id=f"{vector['section']}-{vector['vector'] or vector.get('note') or ''}-{index}")
        for index, vector in enumerate(vectors)
        if vector["check"] in checks
    ]


def _compile(obj: JsonObject, gates: JsonObject | None = None) -> tuple[ResourceGraph | None, list[str]]:
    """kro's feature gate is closed unless the vector opens it."""
    try:
        return compile_graph(parse(obj), KINDS, omit=(gates or {}).get("CELOmitFunction", False)), []
    except DefinitionErrors as error:
        return None, [str(fault) for fault in error.faults]


def _wanted(expected: JsonObject) -> list[str] | None:
    """Texts any of which must be reported; None when the definition is accepted."""
    if expected.get("GraphAccepted") == "True" or "topologicalOrder" in expected or "statusProperties" in expected:
        return None
    every = [expected.get(name) for name in ("error", "errorContains", "message")]
    return [*filter(None, every), *expected.get("errorAnyOf", ()), *expected.get("messageAnyOf", ())]


def _check(obj: JsonObject, vector: JsonObject) -> ResourceGraph | None:
    graph, messages = _compile(obj, vector.get("featureGates"))
    wanted = _wanted(vector["expected"])
    found = not messages if wanted is None else any(text in message for text in wanted for message in messages)
    assert found, messages
    return graph


@pytest.mark.parametrize("vector", _named(VECTORS, "graph", "apply-rgd"))
def test_graph(vector: JsonObject) -> None:
    graph = _check(json.loads(vector["input"]), vector)
    expected = vector["expected"]
    if graph is None or "topologicalOrder" not in expected:
        return
    assert list(graph.topological_order) == expected["topologicalOrder"]
    if "dependencies" in expected:
        assert {node.id: list(node.dependencies) for node in graph.nodes} == expected["dependencies"]
        assert {node.id: node.order for node in graph.nodes} == expected["applyOrder"]


@pytest.mark.parametrize("vector", _named(SCHEMA_VECTORS, "status-schema"))
def test_status_schema(vector: JsonObject) -> None:
    obj = json.loads(vector["input"])
    graph = _check(obj, vector)
    expected = vector["expected"].get("statusProperties")
    if graph is None or expected is None:
        return
    status = graph.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    injected = {name for name in ("state", "conditions") if name not in expected}
    assert {name: node for name, node in status["properties"].items() if name not in injected} == expected


@pytest.mark.parametrize(
    "vector",
    [vector for vector in SCHEMA_VECTORS if vector["check"] == "compat" and vector["vector"] in ("77b", "77c")],
)
def test_status_compatibility(vector: JsonObject) -> None:
    given = json.loads(vector["input"])
    (old, _), (new, _) = _compile(given["old"]), _compile(given["new"])
    assert old is not None
    assert new is not None
    report = compat.compare(old.crd, new.crd)
    assert [[item.path, item.change, item.old, item.new] for item in report.breaking] == [
        [item["path"], item["change"], item["old"], item["new"]] for item in vector["expected"]["breaking"]
    ]
    assert (report.summary if report.breaking else "") == vector["expected"]["summary"]


@pytest.mark.parametrize("vector", _named(VECTORS, "spec-hash"))
def test_spec_hash(vector: JsonObject) -> None:
    text = spec_hash.canonical(json.loads(vector["input"]))
    assert text == vector["expected"]["canonical"]
    assert spec_hash.fnv1a(text.encode()) == vector["expected"]["hash"]


@pytest.mark.parametrize("vector", _named(VECTORS, "reserved-ids"))
def test_reserved_ids(vector: JsonObject) -> None:
    for name in json.loads(vector["input"]):
        assert (name in validate.RESERVED) == vector["expected"]["reserved"], name
