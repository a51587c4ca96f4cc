"""Whole definitions as kro answered them: built, written, included, ready, with status and conditions."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.api.selector import Selector
from kro_es.cel.declarations import KRO
from kro_es.errors import DefinitionErrors
from kro_es.graph.compile import compile_graph
from kro_es.graph.node import ResourceGraph
from kro_es.graph.template import TemplateError, extract
from kro_es.runtime.resolve import NodeResult, bindings, resolve
from kro_es.runtime.status import StatusError, authored, projection
from kro_es.schema.openapi import KindSchema, Schema
from tests.unit.cel import cel_site
from tests.unit.cel.cel_site import FIXTURE, VECTORS

_CLUSTER_SCOPED = {"CustomResourceDefinition"}

DIFFERS: Mapping[str, tuple[str, ...]] = {
    "the variable of a macro is bound in its body only, so its range is a reference (spec/02 §8 allows it)": ("C22",),
    "readiness sees typed values: times and bytes are what their schema says (spec/02 §10.1 allows it)": (
        "C10",
        "C11",
        "rd:coll hard",
        "rd:unescaped raw",
        "cache:shared text",
    ),
    "a reference to somebody else's object is read and never written": ("ext:single", "ext:coll"),
    "field names with quotes and brackets are written (spec/02 §2 allows it)": ("brk:quote", "brk:bracket"),
    "the template of a collection is checked like any other (spec/02 §7 allows it)": (
        "7:collection root permissive",
        "7:collection row7",
    ),
    "iterators keep the type of their list (spec/02 §10.1 allows it)": ("C31",),
    "the ids of external collections are bound in their readyWhen (spec/02 §4.2 allows it)": ("ext:coll ready own",),
    "while objects are missing the pass creates them; only who depends on them is told why it waits": ("rd:coll few",),
    "an error in readyWhen is reported at its own node, and who depends on it waits": ("iw:dep hard unready",),
    "what is wrong with a condition is said in other words": ("k.dynint", "k.duprun", "k.dyntext"),
    "spec/01 has a description for times at the top": ("st:types",),
    "a status field that is null is left out, as the API server stores it": ("st:ok",),
    "expressions are evaluated anew: what is observed later in a pass is seen, and texts share no results": (
        "14:shared text",
        "14:readyWhen false stays",
        "14:includeWhen false stays",
        "14:raw result shared with typed",
    ),
    **cel_site.DIFFERS,
}
"""Vectors by the reason why ours is another answer."""
_DIFFERENT = {name: why for why, names in DIFFERS.items() for name in names}


def _kind(api_version: str, kind: str) -> KindSchema:
    gvk = Gvk.parse(api_version, kind)
    schema = Schema(cel_site.KINDS["kinds"][kind], cel_site.KINDS["components"])
    return KindSchema(Resource(gvk, f"{kind.lower()}s", kind not in _CLUSTER_SCOPED), schema, digest=kind)


KINDS = {
    found.resource.gvk: found
    for found in (
        *(_kind("v1", kind) for kind in ("ConfigMap", "Secret", "Service", "PersistentVolumeClaim", "Pod")),
        _kind("apps/v1", "Deployment"),
        _kind("example.com/v1", "Sink"),
        _kind("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    )
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a vector says is observed, by node."""

    objects: Mapping[str, Sequence[JsonObject]]
    external_ids: frozenset[str]

    def members(self, node_id: str) -> Sequence[JsonObject]:
        return self.objects.get(node_id, ())

    def external(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        found = (obj for node in self.external_ids for obj in self.objects.get(node, ()))
        return next((obj for obj in found if obj["metadata"]["name"] == name), None)

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[JsonObject]:
        # the objects of the vectors carry no labels; what is observed is what the selector found
        return [obj for node in self.external_ids for obj in self.objects.get(node, ())]


def _definition(vector: JsonObject) -> JsonObject:
    rgd = copy.deepcopy(FIXTURE["rgd"])
    changed = vector.get("definition") or {}
    resources = {item["id"]: item for item in rgd["spec"]["resources"]}
    for name, item in changed.items():
        resources[name] = {"id": name, **item}
    kept = vector.get("only") or list(resources)
    rgd["spec"]["resources"] = [item for name, item in resources.items() if name in kept]
    rgd["spec"]["schema"].update(vector.get("schema") or {})
    rgd["metadata"].update(uid="u", generation=1)
    return rgd


def _instance(vector: JsonObject) -> JsonObject:
    return vector.get("instance") or FIXTURE["instance"]


def _built(vector: JsonObject) -> tuple[ResourceGraph | None, list[str]]:
    try:
        return compile_graph(parse(_definition(vector)), KINDS, omit=vector.get("omit_gate", True), environment=KRO), []
    except DefinitionErrors as error:
        return None, [str(fault) for fault in error.faults]


def _results(vector: JsonObject, graph: ResourceGraph, changed: Mapping[str, Any]) -> dict[str, NodeResult]:
    observed = {**FIXTURE["observed"], **(vector.get("observed") or {}), **changed}
    for name in vector.get("unobserved") or ():
        observed.pop(name, None)
    outside = frozenset(node.id for node in graph.nodes if node.external)
    found = resolve(graph, _instance(vector), Cluster(observed, outside))
    return {result.node.id: result for result in found}


def _text(result: NodeResult) -> str:
    return result.error or result.pending or result.waiting


def _written(result: NodeResult, expected: JsonObject) -> str | None:
    """What is wrong with what is written for one node."""
    if "class" in expected:
        early = result.fatal if expected["class"] == "hard" else bool(result.pending)
        return None if early and expected["contains"] in _text(result) else f"{result.state}: {_text(result)}"
    if result.desired is None:
        return f"{result.state}: {_text(result)}"
    found: Any = list(result.desired)
    if "spec" in expected:
        return None if found[0].get("spec") == expected["spec"] else f"{found[0].get('spec')}"
    wanted = copy.deepcopy(expected["objects"])
    for obj in wanted:
        # the place in the collection is put on when the object is planned
        marks = obj["metadata"].get("labels", {})
        if marks.pop("kro.run/collection-index", None) is not None and not marks:
            del obj["metadata"]["labels"]
    return None if found == wanted else f"{found}"


def _excluded(result: NodeResult, expected: Any) -> str | None:
    if isinstance(expected, bool):
        return None if (result.state == "SKIPPED") == expected else result.state
    return _written(result, expected)


def _ready(result: NodeResult, expected: Any) -> str | None:
    if isinstance(expected, bool):
        return None if (result.state == "SYNCED") == expected else f"{result.state}: {_text(result)}"
    hard = expected["class"] == "hard"
    fits = (result.state == "ERROR") == hard and expected["contains"] in _text(result)
    return None if fits else f"{result.state}: {_text(result)}"


def _status(graph: ResourceGraph, seen: Mapping[str, Any], expected: JsonObject) -> str | None:
    try:
        found = projection(graph, seen)
    except StatusError as error:
        return None if expected.get("class") == "hard" and expected["contains"] in str(error) else str(error)
    return None if found == expected else f"{found}"


def _conditions(vector: JsonObject, graph: ResourceGraph, seen: Mapping[str, Any], expected: JsonObject) -> str | None:
    found = authored(graph.conditions or (), seen, vector.get("built_in_conditions") or ())
    got = {"conditions": list(found.conditions), "incomplete": not found.complete, "degraded": bool(found.problems)}
    wanted = {"degraded": False, **expected}
    told = any(expected.get("contains", "") in problem for problem in found.problems) or "contains" not in expected
    return None if told and all(got[name] == wanted[name] for name in got) else f"{got} {found.problems}"


def fault(vector: JsonObject) -> str | None:
    """What is wrong with our answer."""
    graph, messages = _built(vector)
    expect = vector["expect"]
    if expect["build"] != "ok":
        right = any(expect["build"]["contains"] in message for message in messages)
        return None if right else f"build: {messages or 'ok'}"
    if graph is None:
        return f"build: {messages}"
    edges = {node.id: list(node.dependencies) for node in graph.nodes if node.dependencies}
    if "graph" in expect and {name: sorted(of) for name, of in edges.items()} != {
        name: sorted(of) for name, of in expect["graph"].items()
    }:
        return f"graph: {edges}"
    results = _results(vector, graph, {})
    if "steps" in expect:
        return _steps(vector, graph)
    checks = (("write", _written), ("excluded", _excluded), ("ready", _ready))
    for key, compare in checks:
        for name, wanted in expect.get(key, {}).items():
            wrong = compare(results[name], wanted)
            if wrong is not None:
                return f"{key} {name}: {wrong}"
    return _shown(vector, graph, results)


def _steps(vector: JsonObject, graph: ResourceGraph) -> str | None:
    """Each step asks again while the cluster changes."""
    changed: dict[str, Any] = {}
    for step, wanted in zip(vector["steps"], vector["expect"]["steps"], strict=True):
        ((what, name),) = step.items()
        if what == "observe":
            changed |= name
            continue
        results = _results(vector, graph, changed)
        if what == "status":
            wrong = _status(graph, bindings(_instance(vector), list(results.values())), wanted)
        elif what == "write":
            wrong = _written(results[name], wanted if "class" in wanted else {"spec": wanted})
        else:
            wrong = {"ready": _ready, "excluded": _excluded}[what](results[name], wanted)
        if wrong is not None:
            return f"{what} {name}: {wrong}"
    return None


def _shown(vector: JsonObject, graph: ResourceGraph, results: Mapping[str, NodeResult]) -> str | None:
    expect = vector["expect"]
    seen = bindings(_instance(vector), list(results.values()))
    if "status" in expect and (wrong := _status(graph, seen, expect["status"])):
        return f"status: {wrong}"
    if "conditions" in expect and (wrong := _conditions(vector, graph, seen, expect["conditions"])):
        return f"conditions: {wrong}"
    if "status_schema" in expect:
        schema = graph.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
        found = {name: node for name, node in schema.items() if name not in ("state", "conditions")}
        if found != expect["status_schema"]:
            return f"status schema: {found}"
    return None


def _named(kind: str) -> list[Any]:
    return [pytest.param(vector, id=vector["id"]) for vector in VECTORS if vector["kind"] == kind]


@pytest.mark.parametrize("vector", _named("definition"))
def test_definition(vector: JsonObject) -> None:
    wrong = fault(vector)
    if vector["id"] in _DIFFERENT:
        assert wrong is not None
    else:
        assert wrong is None, wrong


@pytest.mark.parametrize("vector", _named("extract"))
def test_extraction(vector: JsonObject) -> None:
    expect = vector["expect"]
    found: list[JsonObject] = []
    plain: list[str] = []
    if "error" in expect:
        with pytest.raises(TemplateError, match=expect["error"]):
            extract(*vector["input"].values())
        return
    for name, value in vector["input"].items():
        expression = extract(value) if isinstance(value, str) else None
        if expression is None:
            plain.append(name)
        else:
            found.append({"path": name, "text": expression.source, "standalone": expression.standalone})
    assert found == expect["expressions"]
    assert plain == expect["plain"]
