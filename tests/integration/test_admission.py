"""What the API server itself checks, by the schemas we install or generate (spec/04 scenarios 1-7, 64; spec/01 vectors 87, 88)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kro_es.api import definition
from kro_es.errors import ApiError
from kro_es.schema import crd, simple
from kro_es.schema.covered import covered
from tests.conftest import Cluster
from tests.support.api import Api, Object, vectors

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "unit" / "schema" / "vectors.json"
DEFINITIONS = "/apis/kro.run/v1alpha1/resourcegraphdefinitions"
REVISIONS = "/apis/internal.kro.run/v1alpha1/graphrevisions"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def api(cluster: Cluster) -> Iterator[Api]:
    """On a server that has kro's own kinds, and no controller."""
    for file in sorted((ROOT / "deploy" / "crds").glob("*.yaml")):
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    cluster.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
    with Api(cluster.kubeconfig()) as found:
        yield found


def test_definitions_as_they_are_written(api: Api) -> None:
    """Vector 87 and 88, scenarios 1-6: every wrong shape with the server's own words."""
    for vector in vectors(VECTORS, "admission"):
        expected = vector["expected"]
        found = api.refusal(DEFINITIONS, vector["input"])
        if expected.get("accepted", True):
            assert found == "", vector["input"]
            continue
        wanted = expected["message"].split(": ", 1)[1].split(" must ")[0]
        assert wanted in found or _one_of(wanted, found), vector["input"]


def _one_of(wanted: str, found: str) -> bool:
    """A selector may be an expression since kro 0.9.4, and a rule cannot ask for a field that has no type."""
    place, _, text = wanted.partition(": Invalid value: ")
    return text == "exactly one of name or selector" and f'"{place}" must validate one and only one schema' in found


def test_what_is_left_out_is_filled_in(api: Api) -> None:
    """Vector 88"""
    schema = api.try_out(DEFINITIONS, _definition({"kind": "Thing", "apiVersion": "v1alpha1"}))["spec"]["schema"]
    assert (schema["group"], schema["scope"]) == ("kro.run", "Namespaced")


def test_resources_that_cannot_be_told_apart_are_left_to_the_controller(api: Api) -> None:
    """Scenario 7"""
    resource = {"id": "a", "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}}
    obj = _definition({"kind": "Thing", "apiVersion": "v1alpha1"})
    obj["spec"]["resources"] = [resource, resource]
    assert api.refusal(DEFINITIONS, obj) == ""


def test_what_a_definition_may_not_change(api: Api) -> None:
    """Scenario 2, vector 87"""
    for vector in vectors(VECTORS, "admission-update"):
        stored = vector["input"]["stored"]
        path = f"{DEFINITIONS}/{stored['metadata']['name']}"
        if api.refusal(DEFINITIONS, stored) == "":
            api.create(DEFINITIONS, stored)
        with pytest.raises(ApiError) as caught:
            api.patch(path, vector["input"]["mergePatch"])
        assert vector["expected"]["message"] in caught.value.message


def test_a_revision_never_changes(api: Api) -> None:
    """Scenario 64"""
    spec = _definition({"kind": "Thing", "apiVersion": "v1alpha1"})["spec"]
    meta = {"name": "things-r00001"}
    kind = {"apiVersion": "internal.kro.run/v1alpha1", "kind": "GraphRevision", "metadata": meta}
    api.create(
        REVISIONS, {**kind, "spec": {"revision": 1, "snapshot": {"name": "things", "generation": 1, "spec": spec}}}
    )
    with pytest.raises(ApiError, match="spec is immutable"):
        api.patch(f"{REVISIONS}/things-r00001", {"spec": {"revision": 2}})
    assert api.patch(f"{REVISIONS}/things-r00001", {"metadata": {"labels": {"a": "b"}}})["metadata"]["labels"] == {
        "a": "b"
    }


def _definition(schema: Object) -> Object:
    return {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "ResourceGraphDefinition",
        "metadata": {"name": "things"},
        "spec": {"schema": schema},
    }


# --- any SimpleSchema -------------------------------------------------------------------------------------------

WORD = st.from_regex(r"[a-z][a-zA-Z0-9]{0,8}", fullmatch=True)
PLAIN = st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters='"\\'), max_size=12)


@st.composite
def _number(draw: st.DrawFn) -> str:
    low, high = sorted(draw(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000))))
    kind = draw(st.sampled_from(["integer", "float"]))
    markers = [f"minimum={low}", f"maximum={high}", f"default={draw(st.integers(low, high))}", "required=true"]
    return _marked(kind, draw(st.lists(st.sampled_from(markers), unique=True)))


@st.composite
def _text(draw: st.DrawFn, *, alone: bool = True) -> str:
    """``alone``: not inside a list, where no field can be told to stay as it is."""
    words = draw(st.lists(WORD, min_size=1, max_size=3, unique=True))
    choices = [f'enum="{",".join(words)}"', f"default={words[0]}", "maxLength=40", 'pattern="^[a-z]"']
    choices += ["immutable=true"] if alone else []
    choices.append(f'description="{draw(PLAIN)}"')
    return _marked("string", draw(st.lists(st.sampled_from(choices), unique=True)))


def _marked(kind: str, markers: list[str]) -> str:
    return f"{kind} | {' '.join(markers)}" if markers else kind


SCALAR = st.sampled_from(["string", "integer", "boolean", "float"])
LIST = st.builds(
    "[]{}{}".format,
    SCALAR,
    st.sampled_from(["", " | minItems=1", " | maxItems=3", " | uniqueItems=true", " | default=[]"]),
)
FIELD = st.one_of(
    _number(), _text(), LIST, st.builds("map[string]{}".format, SCALAR), st.builds("[]map[string][]{}".format, SCALAR),
    st.sampled_from(["object", "boolean | default=true", "[]object", "Custom", "[]Custom", "map[string]Custom"]),
)  # fmt: skip
SPEC = st.recursive(
    st.dictionaries(WORD, FIELD, max_size=4),
    lambda below: st.dictionaries(WORD, FIELD | below, max_size=4),
    max_leaves=6,
)


CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
CUSTOM = st.dictionaries(WORD, _number() | _text(alone=False) | LIST, min_size=1, max_size=3)


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate], suppress_health_check=CHECKS)
@given(spec=SPEC, custom=CUSTOM)
def test_every_schema_we_translate_is_taken_by_the_server(api: Api, spec: Object, custom: Object) -> None:
    obj = _definition({"kind": "Thing", "apiVersion": "v1alpha1", "spec": spec, "types": {"Custom": custom}})
    parsed = definition.parse(obj)
    schema = crd.instance_schema(simple.to_openapi(parsed.schema.spec, parsed.schema.types), {"type": "object"})
    made = crd.crd_for(crd.generate(parsed, schema), "things", "uid", "v1")
    stored = api.try_out(CRDS, made)
    assert covered(stored, made), "what is stored would be written again and again"
