"""The API of a definition's instances as the definition changes (spec/01 §5-6, vectors 76-86, 89-92; spec/04 scenarios 55-59)."""

from __future__ import annotations

from typing import Any

import pytest

from kro_es.api.objects import ObjectRef
from kro_es.errors import ApiError
from kro_es.events.types import CrdApplied, RevisionActivated
from tests.contract.definitions.rows import BREAKING
from tests.contract.definitions.steps import CM, bodies, condition, crd, properties, put, rgd, state, thing, things
from tests.support.fake_cluster import Fault
from tests.support.fake_server import Object
from tests.support.inside import Inside

KIND, RUNS, RESOLVED = "KindReady", "ControllerReady", "GraphRevisionsResolved"
ALLOW = {"metadata": {"annotations": {"kro.run/allow-breaking-changes": "true"}}}
REFUSED = "cannot update CRD things.kro.run: breaking changes detected: "

WRITTEN: list[tuple[str, Object, Object]] = [
    ("76a", {"a": "string"}, {"a": "string", "b": "string"}),
    ("76b", {"a": "string"}, {"a": "string", "b": "string | required=true default=x"}),
    ("79b", {"a": "string | default=x required=true"}, {"a": "string | default=x"}),
    ("80b", {"a": "string | default=x"}, {"a": "string"}),
    ("81b", {"a": 'string | enum="x"'}, {"a": 'string | enum="x,y"'}),
    ("81c T5", {"a": 'string | enum="x"'}, {"a": "string"}),
    ("81d T5", {"a": "string"}, {"a": 'string | enum="x"'}),
    ("78c T5", {"a": "map[string]string"}, {"a": "map[string]integer"}),
    ("82a", {"a": "integer | minimum=1 maximum=9"}, {"a": "integer | minimum=0 maximum=10"}),
    ("82d", {"a": "integer | minimum=1 maximum=9"}, {"a": "integer"}),
    ("one bound", {"a": "integer | minimum=1 maximum=9"}, {"a": "integer | minimum=1"}),
    ("83 T5", {"a": "string"}, {"a": "string | immutable=true"}),
    ("83 T5", {"a": "integer"}, {"a": 'integer | validation="self > 0"'}),
    ("83 T5", {"a": "[]string"}, {"a": "[]string | uniqueItems=true"}),
    ("86a", {"a": "object"}, {"a": {"b": "string"}}),
    ("86c", {"a": "string"}, {"a": "string", "grp": {"must": "string | required=true"}}),
]


@pytest.mark.parametrize(
    ("old", "new", "text", "spec"), [row[1:] for row in BREAKING], ids=[row[0] for row in BREAKING]
)
async def test_a_breaking_edit_waits(inside: Inside, old: Object, new: Object, text: str, spec: Object) -> None:
    """Scenario 55, T6: refused in the condition; instances keep their revision, and the CRD is as it was."""
    await put(inside, things(CM, spec=old))
    await inside.create(thing(**spec))
    before = crd(inside)
    await put(inside, things(CM, spec=new))
    status, reason, message = condition(inside, KIND)
    assert (status, reason) == ("False", "Failed")
    assert message.startswith(REFUSED)
    assert text in message
    assert crd(inside) == before
    assert (condition(inside, "GraphAccepted")[0], state(inside)) == ("True", "Inactive")
    assert condition(inside, RESOLVED)[2] == "revision 2 compiled; revision 1 stays active until the CRD accepts it"
    assert rgd(inside)["status"]["topologicalOrder"] == ["a"]
    await inside.edit("Thing", "one", {"metadata": {"labels": {"touched": "yes"}}})
    await inside.create(thing("two", **spec))
    assert (inside.state("one", "Thing"), inside.state("two", "Thing")) == ("ACTIVE", "ACTIVE")
    assert [body.number for body in bodies(inside, RevisionActivated)] == [1]


async def test_a_breaking_edit_is_written_when_it_is_allowed(inside: Inside) -> None:
    """Scenario 55, vector 85: only the exact word opens it."""
    await put(inside, things(CM, spec=dict.fromkeys("abcd", "string")))
    await put(inside, things(CM, spec={}))
    removed = "; ".join(f"Property {name} was removed" for name in "abc")
    assert condition(inside, KIND)[2] == f"{REFUSED}{removed}; and 1 more changes"
    for word in ("True", "yes"):
        await inside.edit(
            "ResourceGraphDefinition",
            "things",
            {"metadata": {"annotations": {"kro.run/allow-breaking-changes": word}}},
        )
        assert state(inside) == "Inactive"
    await inside.edit("ResourceGraphDefinition", "things", ALLOW)
    assert (state(inside), properties(inside)) == ("Active", {})
    applied = bodies(inside, CrdApplied)[-1]
    assert (applied.number, applied.created, len(applied.breaking)) == (2, False, 4)


@pytest.mark.parametrize(("vector", "old", "new"), WRITTEN, ids=[row[0] for row in WRITTEN])
async def test_any_other_edit_reaches_the_crd(inside: Inside, vector: str, old: Object, new: Object) -> None:
    """Scenario 56, T5: what kro's comparison does not look at is written too."""
    await put(inside, things(CM, spec=old))
    await put(inside, things(CM, spec=new))
    assert state(inside) == "Active"
    live = properties(inside)
    await put(inside, things(CM, spec=new, name="fresh", kind="Fresh"))
    assert live == properties(inside, "freshes.kro.run")


@pytest.mark.parametrize(
    ("more", "path", "value"),
    [
        ({"additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a"}]}, "columns", 1),
        ({"metadata": {"labels": {"team": "x"}}}, "label", "x"),
        ({"metadata": {"annotations": {"note": "n"}}}, "annotation", "n"),
        ({"categories": ["all"]}, "categories", ["all"]),
    ],
)
async def test_what_is_not_schema_reaches_the_crd(
    inside: Inside, more: dict[str, Any], path: str, value: object
) -> None:
    """Scenario 56, vector 83, T5."""
    await put(inside, things(CM))
    await put(inside, things(CM, **more))
    found = crd(inside)
    assert {
        "columns": len(found["spec"]["versions"][0]["additionalPrinterColumns"]),
        "label": found["metadata"]["labels"].get("team"),
        "annotation": (found["metadata"].get("annotations") or {}).get("note"),
        "categories": found["spec"]["names"].get("categories"),
    }[path] == value
    assert state(inside) == "Active"


async def test_short_names_that_are_dropped_are_dropped(inside: Inside) -> None:
    """Vector 84"""
    await put(inside, things(CM, shortNames=["th"]))
    assert crd(inside)["spec"]["names"]["shortNames"] == ["th"]
    await put(inside, things(CM))
    assert "shortNames" not in crd(inside)["spec"]["names"]


async def test_a_field_of_the_status_counts_too(inside: Inside) -> None:
    """Vectors 77b, 77c"""
    await put(inside, things(CM, status={"v": "${a.data.v}"}))
    await put(inside, things(CM, status={"v": "${a.data.size()}"}))
    assert condition(inside, KIND)[2] == f"{REFUSED}Type changed from string to integer"
    await put(inside, things(CM))
    assert condition(inside, KIND)[2] == f"{REFUSED}Property v was removed"


async def test_nothing_is_written_at_rest(inside: Inside) -> None:
    rich = {"a": 'string | enum="x,y" default=x', "n": "integer | minimum=0 default=1", "m": "map[string]string"}
    await put(inside, things(CM, spec=rich, shortNames=["th"]))
    assert inside.controller is not None
    before = inside.versions()
    inside.controller.assembled.loop.resync()
    await inside.rest()
    assert inside.versions() == before


async def test_a_kind_of_another_definition_is_left_alone(inside: Inside) -> None:
    """Scenario 57, vector 90: deleting the one that came second leaves the first one serving."""
    await put(inside, things(CM))
    await put(inside, things(CM, name="second", spec={"z": "string"}))
    text = "failed to update CRD things.kro.run: CRD is owned by another ResourceGraphDefinition things"
    assert condition(inside, KIND, "second") == ("False", "Failed", text)
    assert condition(inside, "GraphAccepted", "second")[0] == "True"
    assert condition(inside, RUNS, "second")[:2] == ("Unknown", "AwaitingReconciliation")
    assert (condition(inside, "Ready", "second")[0], state(inside, "second")) == ("False", "Inactive")
    assert "second-r00001" in inside.names("GraphRevision")
    await inside.delete("ResourceGraphDefinition", "second")
    await inside.create(thing())
    assert (inside.state("one", "Thing"), list(properties(inside))) == ("ACTIVE", ["a"])


async def test_a_kind_that_is_left_behind_still_belongs_to_its_definition(inside: Inside) -> None:
    """Scenario 57: deleting the first one leaves the second in conflict, since the CRD keeps its name."""
    await put(inside, things(CM))
    await put(inside, things(CM, name="second"))
    await inside.delete("ResourceGraphDefinition", "things")
    await inside.pass_time()
    assert "is owned by another ResourceGraphDefinition things" in condition(inside, KIND, "second")[2]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({}, "CRD already exists and is not owned by KRO"),
        ({"kro.run/owned": "false", "app.kubernetes.io/managed-by": "kro"}, "already exists and is not owned by KRO"),
        ({"app.kubernetes.io/managed-by": "kro"}, "CRD is owned by another ResourceGraphDefinition "),
    ],
    ids=["89a", "89b", "89c"],
)
async def test_a_crd_that_was_there_before(inside: Inside, labels: dict[str, str], text: str) -> None:
    """Scenario 58, vector 89; labelling it lets a retry adopt it."""
    await put(inside, things(CM, name="template"))
    foreign = crd(inside)
    inside.server.erase(_crd_ref())
    foreign["metadata"] = {"name": "things.kro.run", "labels": labels}
    await inside.delete("ResourceGraphDefinition", "template")
    await inside.rest()
    inside.server.objects.pop(_crd_ref(), None)
    await inside.create(foreign)
    before = crd(inside)
    await put(inside, things(CM))
    assert text in condition(inside, KIND)[2]
    assert crd(inside) == before
    mine = {"kro.run/owned": "true", "kro.run/resource-graph-definition-name": "things"}
    await inside.edit("CustomResourceDefinition", "things.kro.run", {"metadata": {"labels": mine}})
    await inside.pass_time()
    assert state(inside) == "Active"
    assert crd(inside)["metadata"]["labels"]["kro.run/resource-graph-definition-id"] == rgd(inside)["metadata"]["uid"]


async def test_another_version_under_the_same_name_breaks(inside: Inside) -> None:
    """Vector 91"""
    await put(inside, things(CM))
    await inside.delete("ResourceGraphDefinition", "things")
    again = things(CM)
    again["spec"]["schema"]["apiVersion"] = "v1beta1"
    await put(inside, again)
    assert condition(inside, KIND)[2] == f"{REFUSED}Type changed from v1alpha1 to v1beta1"


async def test_a_hand_edit_of_the_crd(inside: Inside) -> None:
    """Scenario 59, vector 92: what is taken away comes back; what is added looks like a break."""
    await put(inside, things(CM))
    whole = crd(inside)
    cut = crd(inside)
    cut["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] = {}
    inside.server.update(cut, "kubectl-edit")
    await inside.rest()
    assert crd(inside)["spec"] == whole["spec"]
    more = crd(inside)
    more["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["z"] = {
        "type": "string"
    }
    inside.server.update(more, "kubectl-edit")
    await inside.rest()
    assert condition(inside, KIND)[2] == f"{REFUSED}Property z was removed"
    await inside.restart()
    await inside.create(thing())
    assert inside.state("one", "Thing") == "ACTIVE", "the active revision is served though its CRD is in dispute"
    inside.server.erase(_crd_ref())
    await inside.rest()
    assert (state(inside), crd(inside)["spec"]) == ("Active", whole["spec"])


async def test_a_crd_with_two_versions_cannot_be_compared(inside: Inside) -> None:
    await put(inside, things(CM))
    two = crd(inside)
    two["spec"]["versions"].append({**two["spec"]["versions"][0], "name": "v2", "storage": False})
    inside.server.update(two, "kubectl-edit")
    await inside.rest()
    text = (
        "failed to check schema compatibility: expected exactly one version in each CRD, got 2 old and 1 new versions"
    )
    assert condition(inside, KIND)[2] == text


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        ("get", "failed to check for existing CRD: denied"),
        ("create", "failed to create CRD: denied"),
        ("patch", "failed to patch CRD: denied"),
    ],
)
async def test_what_the_server_refuses_is_told_with_what_was_tried(inside: Inside, verb: str, text: str) -> None:
    """Spec/04 §2.6, vector 54"""
    if verb == "patch":
        await put(inside, things(CM))
    assert inside.controller is not None
    connection = inside.controller.connection
    denied = Fault("before", ApiError(403, "Forbidden", "denied"))
    connection.fault = lambda call: denied if (call.verb, call.ref) == (verb, _crd_ref()) else None
    await put(inside, things(CM, spec={"a": "string", "b": "string"}))
    assert condition(inside, KIND) == ("False", "Failed", text)
    connection.fault = lambda call: None
    await inside.pass_time()
    assert state(inside) == "Active"


def _crd_ref() -> ObjectRef:
    return ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", "things.kro.run")
