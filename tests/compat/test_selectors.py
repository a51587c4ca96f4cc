"""What kro 0.9.4 takes as ``externalRef.metadata.selector``: a LabelSelector, one with expressions, or one expression."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, JsonValue, Resource
from kro_es.errors import DefinitionErrors
from kro_es.graph.compile import compile_graph
from kro_es.graph.hash import spec_hash
from kro_es.schema.openapi import KindSchema, Schema

GVK = Gvk("", "v1", "ConfigMap")
NODE: JsonObject = {
    "type": "object",
    "properties": {
        "metadata": {"type": "object"},
        "data": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
KINDS = {GVK: KindSchema(Resource(GVK, "configmaps", namespaced=True), Schema(NODE), "")}
SCHEMA = {"kind": "Thing", "apiVersion": "v1alpha1", "spec": {"wanted": "object", "name": "string", "on": "boolean"}}


def definition(**meta: JsonValue) -> JsonObject:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
    spec = {"schema": SCHEMA, "resources": [{"id": "x", "externalRef": reference}]}
    return {"metadata": {"name": "things", "uid": "u1", "generation": 1}, "spec": spec}


def problem(**meta: JsonValue) -> str:
    with pytest.raises(DefinitionErrors) as caught:
        compile_graph(parse(definition(**meta)), KINDS)
    (fault,) = caught.value.faults
    return str(fault)


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"matchLabels": {"a": "b"}},
        {"matchLabels": {"a": "${schema.spec.name}"}},
        {"matchLabels": "${schema.spec.wanted}"},
        {"matchExpressions": [{"key": "a", "operator": "${schema.spec.name}", "values": ["${schema.spec.name}"]}]},
        {"matchExpressions": "${[schema.spec.wanted]}"},
        "${schema.spec.wanted}",
        "${{'matchLabels': {'a': schema.spec.name}}}",
    ],
)
def test_taken(selector: JsonValue) -> None:
    node = compile_graph(parse(definition(selector=selector)), KINDS).node("x")
    assert node.selecting


@pytest.mark.parametrize("selector", ["plain", "${a}-${b}", "$${a}", ["a"], 3, True])
def test_what_can_be_no_selector_is_refused(selector: JsonValue) -> None:
    text = "selector must be a Kubernetes LabelSelector object or a CEL expression that resolves to one"
    prefix = 'failed to build resource "x": invalid external ref metadata for resource x: '
    assert problem(selector=selector) == prefix + text


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": "${schema.spec.wanted"}, "expected object type for path metadata.selector.matchLabels, got string"),
        ({"matchLabels": {"a": 1}}, "expected string type for path metadata.selector.matchLabels.a, got integer"),
        ({"matchExpressions": [{"key": "a", "operator": "Near"}]}, "invalid label selector: "),
        ({"matchLabels": {"a": "no value!"}}, "invalid label selector: "),
        ({"matchLabel": {}}, "schema not found for field matchLabel"),
        ("${schema.spec.on}", 'at path "metadata.selector": expression "schema.spec.on" returns type "bool" but expected'),
        ({"matchLabels": "${schema.spec.on}"}, 'type mismatch in resource "x" at path "metadata.selector.matchLabels"'),
        ({"matchExpressions": "${schema.spec.on}"}, 'type mismatch in resource "x"'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(selector: JsonValue, text: str) -> None:
    assert text in problem(selector=selector)


@pytest.mark.parametrize("meta", [{}, {"name": "a", "selector": {}}, {"name": " "}])
def test_it_is_either_a_name_or_a_selector(meta: JsonObject) -> None:
    assert "exactly one of name or selector must be provided" in problem(**meta)


def test_the_installed_definition_crd_leaves_the_selector_as_it_is_written() -> None:
    crd = yaml.safe_load(Path("deploy/crds/kro.run_resourcegraphdefinitions.yaml").read_text())
    node = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for step in ("spec", "resources", "externalRef", "metadata"):
        node = node["properties"][step]
        node = node.get("items", node)
    assert node["properties"]["selector"] == {"x-kubernetes-preserve-unknown-fields": True}
    assert "x-kubernetes-validations" not in node


def test_the_hash_of_a_reference_is_the_one_kro_puts_on_its_revisions() -> None:
    """Computed by kro 0.9.4, which writes an absent selector as null."""
    resources = [
        {
            "id": "a",
            "externalRef": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "c"}},
        }
    ]
    spec = {"schema": {"kind": "Thing", "apiVersion": "v1alpha1"}, "resources": resources}
    assert spec_hash(parse({"metadata": {"name": "t", "uid": "u"}, "spec": spec})) == "636726bbd2718f6f"
