"""Shipped schemas, and those of CustomResourceDefinitions, serve a compile as the API server's would."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kro_es.api.objects import Gvk, JsonObject
from kro_es.authoring.kinds import UnknownVersion, shipped, versions
from kro_es.errors import UserError
from kro_es.graph.published import of_crd

ROOT = Path(__file__).resolve().parents[3]


def crd(**schema: object) -> JsonObject:
    version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": {"type": "object", **schema}}}
    names = {"kind": "Widget", "plural": "widgets"}
    return {"spec": {"group": "acme.io", "scope": "Cluster", "names": names, "versions": [version]}}


def test_the_workload_kinds_ship() -> None:
    kinds = shipped().kinds
    for api_version, kind, namespaced in (
        ("v1", "ConfigMap", True),
        ("apps/v1", "Deployment", True),
        ("v1", "Node", False),
    ):
        found = kinds[Gvk.parse(api_version, kind)]
        assert found.resource.namespaced is namespaced
        meta = found.schema.property("metadata")
        assert meta is not None
        assert meta.property("labels") is not None


def test_every_reference_of_a_shipped_schema_leads_somewhere() -> None:
    for kind in shipped().kinds.values():
        seen: set[str] = set()
        waiting = [kind.schema]
        while waiting:
            schema = waiting.pop()
            if schema.ref in seen:
                continue
            seen |= {schema.ref} if schema.ref else set()
            waiting += [child for _, child in schema.properties()]
            waiting += [child for child in (schema.items, schema.additional) if child and child is not True]


def test_the_shipped_definition_kind_is_the_one_this_version_installs() -> None:
    manifest = yaml.safe_load((ROOT / "deploy/crds/kro.run_resourcegraphdefinitions.yaml").read_text())
    (written,) = of_crd(manifest).values()
    published = shipped().kinds[Gvk("kro.run", "v1alpha1", "ResourceGraphDefinition")]
    for path in (("spec", "schema"), ("spec", "resources")):
        names = []
        for kind in (written, published):
            at = kind.schema
            for step in path:
                below = at.property(step)
                assert below is not None
                at = below.items or below
            names.append({name for name, _ in at.properties()})
        assert names[0] == names[1]


@pytest.mark.parametrize("version", ["1.36", "v1.36", "1.36.3", None])
def test_a_version_is_named_as_people_name_it(version: str | None) -> None:
    assert shipped(version).version.startswith("v1.36.")


@pytest.mark.parametrize("version", ["1.12", "latest", ""])
def test_a_version_that_does_not_ship_is_refused_with_those_that_do(version: str) -> None:
    with pytest.raises(UnknownVersion, match=f"there are {versions()[0]}"):
        shipped(version)


def test_a_crd_gets_what_the_server_adds() -> None:
    ((gvk, kind),) = of_crd(
        crd(properties={"spec": {"type": "object"}, "pod": {"type": "object", "x-kubernetes-embedded-resource": True}})
    ).items()
    assert gvk == Gvk("acme.io", "v1", "Widget")
    assert (kind.resource.plural, kind.resource.namespaced) == ("widgets", False)
    for holder in (kind.schema, kind.schema.property("pod")):
        assert holder is not None
        meta = holder.property("metadata")
        assert meta is not None
        assert meta.property("labels") is not None


def test_a_version_that_is_not_served_is_no_kind() -> None:
    given = crd()
    given["spec"]["versions"][0]["served"] = False
    assert of_crd(given) == {}


@pytest.mark.parametrize("broken", [{}, {"spec": {}}, {"spec": {"names": []}}, {"spec": None}])
def test_a_crd_without_a_kind_is_refused(broken: JsonObject) -> None:
    with pytest.raises(UserError, match="not a usable CustomResourceDefinition"):
        of_crd(broken)


def test_the_readme_names_the_version_that_ships() -> None:
    assert f"Kinds built into Kubernetes {versions()[0]} ship" in (ROOT / "README.md").read_text()
