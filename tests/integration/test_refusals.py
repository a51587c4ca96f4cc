"""validate without a cluster and a real API server agree on which generated CRDs are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kro_es.authoring.kinds import shipped
from kro_es.authoring.project import load
from kro_es.authoring.sources import Source
from kro_es.authoring.validate import Report, validate
from kro_es.schema import crd, simple
from tests.conftest import Cluster
from tests.support.controlplane import ControlPlane
from tests.support.steps import definition

CRDS = Path(__file__).resolve().parents[2] / "deploy" / "crds"

TYPES = {
    "P": {"k": "string | required=true", "d": "string | default=x", "n": "integer"},
    "Q": {"p": "P"},
    "Id": "string | minLength=2",
}
FIELDS: list[tuple[str, str | None]] = [
    ("integer | default=3 minimum=1 maximum=5", None),
    ("integer | default=7 maximum=5", "schema-default"),
    ("string | default=a enum=\"a,b\"", None),
    ("string | default=c enum=\"a,b\"", "schema-default"),
    ("string | default=abc maxLength=2", "schema-default"),
    ("string | default=abc pattern=\"^b\"", "schema-default"),
    ("Id | default=a", "schema-default"),
    ("P | default={\"k\":\"v\"}", None),
    ("P | default={}", "schema-default"),
    ("P | default={\"k\":\"v\",\"z\":1}", "schema-default"),
    ("P | default={\"k\":1}", "schema-default"),
    ("[]integer | default=[1]", None),
    ("[]integer | default=[\"x\"]", "schema-default"),
    ("[]integer | default=[1] minItems=2", "schema-default"),
    ("map[string]integer | default={\"a\":1}", None),
    ("map[string]integer | default={\"a\":\"b\"}", "schema-default"),
    ("object | default={\"any\":[1]}", None),
    ("integer | required=true default=1", None),
    ("Q", None),
    ("Q | default={\"p\":{}}", "schema-default"),
    ("[]string | listType=set", None),
    ("[]P | listType=set", "schema-list"),
    ("[]P | listType=map listMapKey=k", None),
    ("[]P | listType=map listMapKey=d", None),
    ("[]P | listType=map listMapKey=n", "schema-list"),
    ("[]P | listType=map listMapKey=z", "schema-list"),
    ("[]P | listType=map", "schema-list"),
    ("[]string | listType=map listMapKey=k", "schema-list"),
    ("[][]string | listType=set", None),
]  # fmt: skip
SCHEMAS: list[tuple[dict[str, object], str | None]] = [
    ({"group": "acme.io"}, None),
    ({"group": "acme"}, "name-group"),
    ({"group": "Acme.io"}, "name-group"),
    ({"group": "acme.k8s.io"}, "name-group"),
    ({"group": "acme.k8s.io", "metadata": {"annotations": {"api-approved.kubernetes.io": "unapproved, test"}}}, None),
    ({"apiVersion": "v1.2"}, "field-value"),
    ({"apiVersion": "v12beta3"}, None),
]


def checked(obj: object) -> Report:
    return validate(load([Source("x", json.dumps(obj))]), shipped().kinds)


def refused_by_server(cluster: Cluster, obj: dict[str, object]) -> str:
    """Why, or nothing."""
    (entry,) = load([Source("x", json.dumps(obj))]).entries
    spec = simple.to_openapi(entry.definition.schema.spec, entry.definition.schema.types)
    generated = crd.generate(entry.definition, crd.instance_schema(spec, {"type": "object"}))
    return refusal(cluster, generated)


def refusal(cluster: Cluster, obj: object, *flags: str) -> str:
    try:
        cluster.kubectl("create", "--dry-run=server", *flags, "-f", "-", input=json.dumps(obj))
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("field", "code"), FIELDS, ids=[field for field, _ in FIELDS])
def test_a_field_is_refused_by_both_or_by_none(cluster: Cluster, field: str, code: str | None) -> None:
    obj = definition("things", "Thing", {"a": {"f": field}}, types=TYPES)
    found = checked(obj).findings
    assert {(item.code, item.path) for item in found} == ({(code, "spec.schema.spec.a.f")} if code else set())
    assert bool(refused_by_server(cluster, obj)) == bool(code), refused_by_server(cluster, obj)


@pytest.mark.parametrize(
    ("schema", "code"), SCHEMAS, ids=lambda value: json.dumps(value) if isinstance(value, dict) else ""
)
def test_names_are_refused_by_both_or_by_none(cluster: Cluster, schema: dict[str, object], code: str | None) -> None:
    obj = (
        definition("things", "Thing", {"a": "string"}, **schema)
        if "apiVersion" not in schema
        else definition("things", "Thing", {})
    )
    obj["spec"]["schema"].update(schema)
    assert [item.code for item in checked(obj).findings] == ([code] if code else [])
    assert bool(refused_by_server(cluster, obj)) == bool(code), refused_by_server(cluster, obj)


OWN: list[tuple[dict[str, object], str | None]] = [
    ({}, None),
    ({"spec.schema.kind": "thing"}, "name-kind"),
    ({"spec.schema.kind": "T" * 64}, "field-value"),
    ({"spec.schema.apiVersion": "one"}, "field-value"),
    ({"spec.schema.shortNames": ["t", "u"]}, None),
    ({"spec.schema.shortNames": ["T"]}, "field-value"),
    ({"spec.schema.shortNames": ["t", "t"]}, "field-value"),
    ({"spec.schema.categories": [f"c{n}" for n in range(33)]}, "field-value"),
    ({"spec.schema.scope": "Global"}, "field-type"),
    ({"spec.schema.kinds": "Thing"}, "field-unknown"),
    ({"spec.schema.status": "text"}, "field-type"),
    ({"spec.schema.additionalPrinterColumns": [{"type": "string", "jsonPath": ".spec"}]}, "field-required"),
    ({"spec.resources": [{"id": "a"}]}, "resource-form"),
    ({"spec.resources": [{"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {}}}]}, "field-required"),
    ({"spec.resource": []}, "field-unknown"),
    ({"metadata.name": "The_Things"}, "name-definition"),
    ({"metadata.name": "a.b-c"}, None),
    ({"metadata.nam": "x"}, "field-unknown"),
]


@pytest.fixture(scope="module")
def definitions_served(control_plane: ControlPlane) -> None:
    control_plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    control_plane.kubectl(
        "wait", "crd/resourcegraphdefinitions.kro.run", "--for=condition=Established", "--timeout=30s"
    )


@pytest.mark.usefixtures("definitions_served")
@pytest.mark.parametrize(
    ("change", "code"), OWN, ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else ""
)
def test_a_definition_is_refused_by_both_or_by_none(
    cluster: Cluster, change: dict[str, object], code: str | None
) -> None:
    obj = definition("things", "Thing", {"a": "string"})
    for path, value in change.items():
        *parents, last = path.split(".")
        at = obj
        for step in parents:
            at = at[step]
        at[last] = value
    assert {item.code for item in checked(obj).findings} == ({code} if code else set())
    why = refusal(cluster, obj, "--validate=strict")
    assert bool(why) == bool(code), why
