"""From a definition's first pass to its end: revisions, status, restarts (spec/04 §14.7, scenarios 48-55, 60-67)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kro_es.events.types import RevisionActivated, RevisionIssued, RevisionRejected
from tests.contract.definitions.steps import (
    CM,
    bodies,
    condition,
    crd,
    issued,
    put,
    rgd,
    state,
    thing,
    things,
)
from tests.support.inside import Inside
from tests.support.steps import config_map

GRAPH, KIND, RUNS, RESOLVED = "GraphAccepted", "KindReady", "ControllerReady", "GraphRevisionsResolved"
B = config_map("b", "${schema.metadata.name}-b", {"v": "${a.data.v}"})
WRONG = config_map("a", "${schema.metadata.name}-a", {"v": "${schema.spec.nope}"})


async def test_a_new_definition_becomes_active(inside: Inside) -> None:
    """Scenario 48. kro shows the steps between as conditions; here they are events."""
    await put(inside, things(CM, B))
    found = rgd(inside)
    assert found["metadata"]["finalizers"] == ["kro.run/finalizer"]
    status = found["status"]
    assert (status["state"], status["lastIssuedRevision"]) == ("Active", 1)
    assert (status["topologicalOrder"], status["resources"]) == (
        ["a", "b"],
        [{"id": "b", "dependencies": [{"id": "a"}]}],
    )
    assert [item["type"] for item in status["conditions"]][-1] == "Ready"
    assert {item["status"] for item in status["conditions"]} == {"True"}
    assert condition(inside, RESOLVED) == ("True", "Resolved", "revision 1 compiled and active")
    assert condition(inside, KIND) == ("True", "Ready", "kind Thing has been accepted and ready")
    assert condition(inside, "Ready") == ("True", "Ready", "")
    revision = inside.get("GraphRevision", "things-r00001")
    assert revision["spec"]["snapshot"]["spec"] == found["spec"]
    assert {item["type"]: item["status"] for item in revision["status"]["conditions"]} == {
        "GraphVerified": "True",
        "Ready": "True",
    }
    await inside.create(thing())
    assert inside.names("ConfigMap") == ["one-a", "one-b"]


async def test_no_resources_are_enough(inside: Inside) -> None:
    """Scenario 49"""
    await put(inside, things())
    assert state(inside) == "Active"
    assert "topologicalOrder" not in rgd(inside)["status"]
    assert "topologicalOrder" not in inside.get("GraphRevision", "things-r00001")["status"]


async def test_the_order_of_resources_is_no_new_revision(inside: Inside) -> None:
    """Scenario 50"""
    await put(inside, things(CM, B))
    await put(inside, things(B, CM))
    assert rgd(inside)["metadata"]["generation"] == 2
    assert inside.names("GraphRevision") == ["things-r00001"]
    generations = {item["observedGeneration"] for item in rgd(inside)["status"]["conditions"]}
    assert (generations, condition(inside, "Ready")[0]) == ({2}, "True")


async def test_an_edit_is_the_next_revision_and_ready_never_falls(inside: Inside) -> None:
    """Scenario 51, T1: Ready does not flap while a revision compiles."""
    await put(inside, things(CM))
    await put(inside, things(CM, B))
    assert inside.names("GraphRevision") == ["things-r00001", "things-r00002"]
    assert rgd(inside)["status"]["topologicalOrder"] == ["a", "b"]
    shown = [
        {item["type"]: item["status"] for item in entry.after["status"]["conditions"]}["Ready"]
        for entry in inside.server.since(0)
        if entry.after and entry.after["kind"] == "ResourceGraphDefinition" and "status" in entry.after
    ]
    assert set(shown) == {"True"}


async def test_an_invalid_edit_leaves_the_last_good_revision_serving(inside: Inside) -> None:
    """Scenario 52, T2"""
    await put(inside, things(CM))
    await inside.create(thing())
    await put(inside, things(WRONG))
    status, reason, text = condition(inside, GRAPH)
    assert (status, reason) == ("False", "InvalidResourceGraph")
    assert "undefined field 'nope'" in text
    assert condition(inside, "Ready") == (status, reason, text)
    assert condition(inside, RESOLVED) == ("True", "Resolved", "revision 1 compiled and active")
    found = {item["type"]: item for item in rgd(inside)["status"]["conditions"]}
    assert (found[GRAPH]["observedGeneration"], found[RESOLVED]["observedGeneration"]) == (2, 2)
    assert (found[KIND]["status"], found[KIND]["observedGeneration"]) == ("True", 1)
    assert (state(inside), issued(inside)) == ("Inactive", 1)
    assert "topologicalOrder" not in rgd(inside)["status"]
    await inside.create(thing("two"))
    assert (inside.names("ConfigMap"), inside.state("two", "Thing")) == (["one-a", "two-a"], "ACTIVE")
    await put(inside, things(CM))
    assert (state(inside), inside.names("GraphRevision")) == ("Active", ["things-r00001"])


async def test_a_refused_edit_is_history_with_all_its_faults_and_its_editor(inside: Inside) -> None:
    wrong = things(WRONG, config_map("c", "${nobody.metadata.name}", {}), config_map("d", "x", {"v": "${1 +}"}))
    inside.server.create(wrong, "kubectl-create")
    await inside.rest()
    event = next(event for event in inside.events() if isinstance(event.body, RevisionRejected))
    assert isinstance(event.body, RevisionRejected)
    assert [fault["resource"] for fault in event.body.faults] == ["a", "c", "d"]
    assert (event.actor.name, event.actor.source) == ("kubectl-create", "manager")
    assert event.cause > 0
    assert all(fault["message"] in condition(inside, GRAPH)[2] for fault in event.body.faults)
    await inside.restart()
    assert len(bodies(inside, RevisionRejected)) == 1


async def test_there_and_back_is_a_revision_of_its_own(inside: Inside) -> None:
    """Scenario 53"""
    for resources in ([CM], [CM, B], [CM]):
        await put(inside, things(*resources))
    assert [body.number for body in bodies(inside, RevisionIssued)] == [1, 2, 3]
    assert [body.number for body in bodies(inside, RevisionActivated)] == [1, 2, 3]


@pytest.mark.parametrize(("most", "kept"), [(5, [4, 5, 6, 7, 8]), (0, [1, 2, 3, 4, 5, 6, 7, 8])])
async def test_the_newest_revisions_stay_in_the_cluster(inside: Inside, most: int, kept: list[int]) -> None:
    """Scenario 54; the log keeps all."""
    await _settings(inside, max_revisions=most)
    for number in range(8):
        await put(inside, things(config_map("a", "x", {"v": str(number)})))
    assert inside.names("GraphRevision") == [f"things-r{number:05d}" for number in kept]
    assert (issued(inside), len(bodies(inside, RevisionIssued))) == (8, 8)


async def test_a_deleted_definition_leaves_its_kind_and_its_instances(inside: Inside) -> None:
    """Scenario 60, T8: an instance that is left can still be deleted, with all it made."""
    await put(inside, things(CM))
    await inside.create(thing())
    await inside.delete("ResourceGraphDefinition", "things")
    assert inside.names("ResourceGraphDefinition") == []
    assert (inside.names("CustomResourceDefinition"), inside.names("Thing")) == (["things.kro.run"], ["one"])
    await inside.delete("Thing", "one")
    assert (inside.names("Thing"), inside.names("ConfigMap")) == ([], [])


async def test_a_deleted_definition_takes_its_kind_along_when_told_so(inside: Inside) -> None:
    """Scenario 60, flag true: only a CRD with its name on it."""
    await _settings(inside, allow_crd_deletion=True)
    await put(inside, things(CM))
    await put(inside, things(CM, name="other", kind="Thing"))
    await inside.delete("ResourceGraphDefinition", "other")
    assert inside.names("CustomResourceDefinition") == ["things.kro.run"]
    await inside.delete("ResourceGraphDefinition", "things")
    assert (inside.names("ResourceGraphDefinition"), inside.names("CustomResourceDefinition")) == ([], [])


async def test_the_revisions_of_an_earlier_definition_of_the_name_are_adopted(inside: Inside) -> None:
    """Scenario 61: the same spec needs no new revision, another one gets the next number; T13: the CRD has the new uid."""
    await put(inside, things(CM))
    old = rgd(inside)["metadata"]["uid"]
    await inside.delete("ResourceGraphDefinition", "things")
    await put(inside, things(CM))
    new = rgd(inside)["metadata"]["uid"]
    assert new != old
    (owner,) = inside.get("GraphRevision", "things-r00001")["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (new, True)
    assert (inside.names("GraphRevision"), issued(inside), state(inside)) == (["things-r00001"], 1, "Active")
    assert crd(inside)["metadata"]["labels"]["kro.run/resource-graph-definition-id"] == new
    await inside.delete("ResourceGraphDefinition", "things")
    await put(inside, things(CM, B))
    assert (inside.names("GraphRevision"), issued(inside)) == (["things-r00001", "things-r00002"], 2)


async def test_a_revision_made_by_hand_is_adopted_with_the_log_that_begins(inside: Inside) -> None:
    """Scenario 62, at takeover: the highest number counts. Later ones are let be: the log is what counts then."""
    await put(inside, things(CM, name="other", kind="Other1"))
    made = inside.get("GraphRevision", "other-r00001")
    made["metadata"] = {
        "name": "things-r00040",
        "labels": {"kro.run/resource-graph-definition-name": "things"},
    }
    made["spec"]["revision"] = 40
    made["spec"]["snapshot"]["name"] = "things"
    made["spec"]["snapshot"]["spec"] = things(CM, B)["spec"]
    await inside.create(made)
    await put(inside, things(CM))
    assert (issued(inside), state(inside)) == (41, "Active")
    (owner,) = inside.get("GraphRevision", "things-r00040")["metadata"]["ownerReferences"]
    assert owner["uid"] == rgd(inside)["metadata"]["uid"]


async def test_a_revision_object_that_is_deleted_changes_nothing(inside: Inside) -> None:
    """Scenario 63, other than kro: the object is a mirror of the log, so nothing waits and no number is spent."""
    await put(inside, things(CM))
    await inside.delete("GraphRevision", "things-r00001")
    await put(inside, things(CM, B))
    assert (inside.names("GraphRevision"), state(inside)) == (["things-r00002"], "Active")


async def test_a_restart_changes_nothing(inside: Inside) -> None:
    """Scenario 65, §5.7"""
    await put(inside, things(CM))
    await inside.create(thing())
    before = inside.versions()
    await inside.restart()
    assert inside.versions() == before
    assert len(bodies(inside, RevisionIssued)) == 1


async def test_a_restart_without_a_child_kind_serves_on(inside: Inside) -> None:
    """Scenario 66, better than kro: the revision compiles against the schemas it was issued with, so instances go on."""
    database = {"apiVersion": "db.test/v1", "kind": "Database", "metadata": {"name": "${schema.metadata.name}-db"}}
    served = {"id": "db", "template": {**database, "spec": {"size": "small"}}}
    await put(inside, things(CM, served))
    await inside.create(thing())
    (gone,) = [gvk for gvk in inside.server.kinds() if gvk.kind == "Database"]
    await inside.end()
    inside.server.uninstalled.add(gone)
    await inside.start()
    assert 'cannot resolve group version "db.test/v1": schema not found' in condition(inside, GRAPH)[2]
    assert condition(inside, RESOLVED) == ("True", "Resolved", "revision 1 compiled and active")
    await inside.create(thing("two"))
    assert "two-a" in inside.names("ConfigMap")
    inside.server.uninstalled.clear()
    await inside.restart()
    assert (state(inside), issued(inside)) == ("Active", 1)


async def test_a_condition_of_an_older_kro_goes(inside: Inside) -> None:
    """Scenario 67"""
    await put(inside, things(CM))
    old = {"type": "ResourceGraphAccepted", "status": "True"}
    status = rgd(inside)["status"]
    patch = {"status": {"conditions": [*status["conditions"], old]}}
    await inside.edit("ResourceGraphDefinition", "things", patch, status=True)
    await put(inside, things(CM, B))
    assert "ResourceGraphAccepted" not in [item["type"] for item in rgd(inside)["status"]["conditions"]]


async def test_a_definition_without_a_spec_is_told_so_and_can_be_deleted(inside: Inside) -> None:
    """T9"""
    bare = {"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": "bare"}}
    await _settings(inside, allow_crd_deletion=True)
    await inside.create(bare)
    assert condition(inside, GRAPH, "bare")[:2] == ("False", "InvalidResourceGraph")
    assert "spec" in condition(inside, GRAPH, "bare")[2]
    await inside.delete("ResourceGraphDefinition", "bare")
    assert inside.names("ResourceGraphDefinition") == []


async def test_a_name_that_is_no_label_value_is_told_at_once(inside: Inside) -> None:
    """T10"""
    name = "t" * 64
    await put(inside, things(CM, name=name))
    status, reason, text = condition(inside, GRAPH, name)
    assert (status, reason) == ("False", "InvalidResourceGraph")
    assert f'metadata.name "{name}" has 64 characters; it becomes a label value and may have 63' in text
    assert inside.names("CustomResourceDefinition") == []


async def test_a_pass_over_a_definition_queues_instances_only_when_something_changed(inside: Inside) -> None:
    """T16"""
    await put(inside, things(CM, B))
    await inside.create(thing())
    before = len(inside.calls), inside.versions()["kro.run/Thing/team-a/one"]
    passes = _passes(inside)
    await put(inside, things(B, CM))
    assert condition(inside, GRAPH)[0] == "True"
    assert {(verb, kind) for verb, kind, _ in inside.writes(before[0])} == {("patch", "ResourceGraphDefinition")}
    assert _passes(inside) == passes


def _passes(inside: Inside) -> float:
    """Of instances, as the controller counts them."""
    assert inside.controller is not None
    return inside.controller.metrics.reconciles.labels("instance")._value.get()


async def _settings(inside: Inside, **changed: Any) -> None:
    """The controller runs with other settings from here on."""
    await inside.end()
    inside.settings = replace(inside.settings, **changed)
    await inside.start()
