"""What is written for collections, objects of others and author conditions, and that nothing else is."""

from __future__ import annotations

import pytest
from simulated import NOW, Simulated, compiled, config_map

from kro_es.api.objects import JsonObject, ObjectRef

LISTED = {"forEach": [{"n": "${schema.spec.names}"}]}
PIECES = config_map("pieces", "i-${n}", {"n": "${n}", "text": "${schema.spec.text}"}, **LISTED)


def ref(name: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", "n", name)


def status(world: Simulated) -> JsonObject:
    found: JsonObject = world.instance["status"]
    return found


def message(world: Simulated) -> str:
    found = {item["type"]: item["message"] for item in status(world)["conditions"]}
    text: str = found["ResourcesReady"]
    return text


def test_an_item_carries_its_place_and_the_labels_of_every_child() -> None:
    world = Simulated(compiled(PIECES), {"names": ["a", "b"], "text": "t"})
    world.settle()
    own = {
        "kro.run/collection-index": "1", "kro.run/collection-size": "2", "kro.run/node-id": "pieces",
        "kro.run/owned": "true", "kro.run/kro-version": "v1", "kro.run/instance-id": "iu", "kro.run/instance-name": "i",
        "kro.run/instance-namespace": "n", "kro.run/instance-group": "kro.run", "kro.run/instance-version": "v1alpha1",
        "kro.run/instance-kind": "Thing", "app.kubernetes.io/managed-by": "kro",
    }  # fmt: skip
    found = world.objects[ref("i-b")]["metadata"]
    assert {name: value for name, value in found["labels"].items() if "part-of" not in name} == own
    assert found["annotations"] == {"internal.kro.run/apply-order": "1"}
    assert status(world)["state"] == "ACTIVE"


def test_only_what_changed_is_written() -> None:
    keyed = config_map("pieces", "i-${n}", {"hot": "${string(n == schema.spec.text)}"}, **LISTED)
    world = Simulated(compiled(keyed), {"names": ["a", "b", "c"], "text": ""})
    assert world.child_writes() == [("apply", "i-a"), ("apply", "i-b"), ("apply", "i-c")]
    assert world.child_writes() == []
    world.edit(text="b")
    assert world.child_writes() == [("apply", "i-b")]
    world.edit(names=["b", "a", "c"])
    assert world.child_writes() == [("apply", "i-b"), ("apply", "i-a")]
    world.edit(names=["b", "a"])
    assert world.child_writes() == [("apply", "i-b"), ("apply", "i-a"), ("delete", "i-c")]
    world.edit(names=[])
    assert world.child_writes() == [("delete", "i-a"), ("delete", "i-b")]
    assert status(world)["state"] == "ACTIVE"


def test_one_changed_item_is_the_only_drift() -> None:
    world = Simulated(compiled(PIECES), {"names": ["a", "b"], "text": "t"})
    world.settle()
    world.objects[ref("i-b")]["data"]["text"] = "mine"
    first = world.settle()[0]
    assert [write.ref.name for write in first.writes] == ["i-b"]
    assert first.drift == ({"node": "pieces/n/i-b", "path": "data.text", "from": "t", "to": "mine", "manager": "m"},)


def test_a_refused_item_is_named_by_its_place_and_the_others_are_applied_once() -> None:
    world = Simulated(compiled(PIECES), {"names": ["a", "b", "c"], "text": "t"}, refused={"i-b": "quota"})
    assert world.child_writes() == [("apply", "i-a"), ("apply", "i-b"), ("apply", "i-c")]
    assert message(world) == ("resource reconciliation failed: apply results contain errors: collection item 1: quota")
    assert status(world)["state"] == "ERROR"
    assert world.child_writes() == [("apply", "i-b")]


def test_an_item_of_another_instance_is_left_alone() -> None:
    world = Simulated(compiled(PIECES), {"names": ["a", "b"], "text": "t"}, owners={"i-b": "applyset-theirs-v1"})
    assert world.child_writes() == [("apply", "i-a")]
    assert "collection item 1: resource belongs to a different ApplySet: n/i-b (/v1, Kind=ConfigMap)" in message(world)
    assert '"applyset-theirs-v1", cannot reassign to "applyset-' in message(world)


def test_nothing_is_pruned_while_a_list_is_not_known() -> None:
    world = Simulated(compiled(PIECES), {"names": ["a", "b"], "text": "t"})
    world.settle()
    del world.instance["spec"]["names"]
    assert world.child_writes() == []
    assert set(world.objects) == {ref("i-a"), ref("i-b")}
    assert status(world)["state"] == "IN_PROGRESS"


def test_two_nodes_of_one_object_apply_nothing() -> None:
    world = Simulated(compiled(config_map("one", "i-b"), PIECES), {"names": ["a", "b"], "text": "t"})
    assert world.child_writes() == []
    assert message(world).endswith(
        "found resources with conflicts: resourceID: pieces-1 conflicts with resourceID: one"
    )
    assert status(world)["state"] == "IN_PROGRESS"


def test_an_item_on_its_way_out_stops_the_instance() -> None:
    world = Simulated(compiled(PIECES, config_map("rest", "rest")), {"names": ["a", "b"], "text": "t"})
    world.settle()
    world.objects[ref("i-b")]["metadata"]["deletionTimestamp"] = "2023-01-01T00:00:00Z"
    del world.objects[ref("rest")]
    assert world.child_writes() == []
    assert message(world).startswith('resource "n/i-b" for node "pieces" is currently being deleted')


def test_too_many_items_are_an_error_and_those_that_are_there_stay() -> None:
    world = Simulated(compiled(PIECES), {"names": ["a"], "text": "t"}, max_collection=2)
    world.settle()
    world.edit(names=["a", "b", "c"])
    assert world.child_writes() == []
    assert message(world).endswith("collection size of 3 is over the maximum collection size of 2")
    assert (status(world)["state"], list(world.objects)) == ("ERROR", [ref("i-a")])


def test_a_single_object_that_becomes_a_collection_is_replaced() -> None:
    world = Simulated(compiled(config_map("pieces", "i-one")), {"names": ["a"], "text": "t"})
    world.settle()
    world.graph = compiled(PIECES)
    assert world.child_writes() == [("apply", "i-a"), ("delete", "i-one")]
    assert world.child_writes() == []


def test_what_is_read_of_others_is_an_input_and_never_written_or_listed() -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "platform", "namespace": "m"}}
    graph = compiled(
        {"id": "x", "externalRef": reference},
        config_map("cfg", "cfg", {"v": "${x.data.v}"}),
        status={"v": "${x.data.v}"},
    )
    world = Simulated(graph, {})
    assert world.child_writes() == []
    assert message(world).endswith('waiting for external reference "x": not found')
    meta = {"name": "platform", "namespace": "m", "uid": "pu"}
    platform = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"v": "1"}}
    world.others[ObjectRef.of(platform)] = platform
    assert world.child_writes() == [("apply", "cfg")]
    assert status(world)["v"] == "1"
    assert "object//ConfigMap/m/platform" in [item.stream for item in world.inputs().inputs]
    annotations = world.instance["metadata"]["annotations"]
    assert annotations["applyset.kubernetes.io/additional-namespaces"] == ""
    world.others.clear()
    assert world.child_writes() == []
    assert "v" not in status(world)
    assert world.objects[ref("cfg")]["data"] == {"v": "1"}


def test_an_object_of_others_that_cannot_be_read_is_named_and_asked_for_again() -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "platform"}}
    world = Simulated(compiled({"id": "x", "externalRef": reference}), {}, unreadable="external ref get x: forbidden")
    assert [made.retry for made in world.settle()] == [True, True]
    assert message(world).endswith("reconciliation failed: external ref get x: forbidden")
    assert status(world)["state"] == "ERROR"


def test_a_status_that_cannot_be_computed_is_not_written_and_says_why() -> None:
    world = Simulated(compiled(config_map("cfg", "cfg"), status={"n": "${1 / size(schema.spec.names)}"}), {"names": []})
    last = world.settle()[-1].settled
    assert last is not None
    assert last.message == 'the status cannot be computed: eval "1 / size(schema.spec.names)": division by zero'
    assert list(world.objects) == [ref("cfg")]
    assert "status" not in world.instance


SHOWN = "${runtime.newCondition({type: 'Shown', status: 'True', message: cfg.data.k})}"
KEYED = "${runtime.newCondition({type: 'Keyed', status: cfg.data[schema.spec.text] == 'v' ? 'True' : 'False'})}"


def conditional(*entries: str, text: str = "k") -> Simulated:
    return Simulated(
        compiled(config_map("cfg", "cfg", {"k": "v"}), status={"conditions": list(entries)}), {"text": text}
    )


def conditions(world: Simulated) -> list[tuple[str, str, int]]:
    return [(item["type"], item["status"], item["observedGeneration"]) for item in status(world)["conditions"]]


def test_an_authors_conditions_replace_kros_own_and_do_not_move_by_themselves() -> None:
    world = conditional(SHOWN, KEYED)
    world.settle()
    assert conditions(world) == [("Shown", "True", 1), ("Keyed", "True", 1)]
    assert status(world)["conditions"][0] == {
        "type": "Shown", "status": "True", "message": "v", "lastTransitionTime": "2023-11-14T22:13:20Z",
        "observedGeneration": 1,
    }  # fmt: skip
    world.now = NOW + 60_000_000
    assert [made.writes for made in world.settle()] == [()]


def test_a_condition_that_waits_keeps_what_was_shown() -> None:
    world = conditional(SHOWN, KEYED)
    world.settle()
    world.edit(text="gone")
    world.settle()
    assert conditions(world) == [("Shown", "True", 2), ("Keyed", "True", 1)]
    assert status(world)["state"] == "ACTIVE"


@pytest.mark.parametrize(
    "entry",
    ["${runtime.newCondition({type: 'Bad', status: cfg.data.k})}", "${[SAME, SAME]}"],
    ids=["status that is none", "two of a computed type"],
)
def test_a_condition_that_can_never_work_is_an_error_of_the_instance(entry: str) -> None:
    same = "runtime.newCondition({type: schema.spec.text, status: 'True'})"
    world = conditional(SHOWN, entry.replace("SAME", same))
    last = world.settle()[-1].settled
    assert last is not None
    assert (last.state, last.ready) == ("ERROR", True)
    assert last.message.startswith("condition ")
    assert conditions(world) == [("Shown", "True", 1)]
    assert status(world)["state"] == "ERROR"


def test_kros_own_conditions_come_back_with_the_block_gone() -> None:
    world = conditional(SHOWN)
    world.settle()
    world.graph = compiled(config_map("cfg", "cfg", {"k": "v"}))
    world.settle()
    assert [name for name, _, _ in conditions(world)] == ["InstanceManaged", "GraphResolved", "ResourcesReady", "Ready"]


def test_deletion_shows_itself_beside_the_authors_conditions() -> None:
    world = conditional(SHOWN)
    world.settle()
    world.instance["metadata"]["deletionTimestamp"] = "2023-01-01T00:00:00Z"
    world.settle()
    assert [(name, found) for name, found, _ in conditions(world)] == [("Shown", "True"), ("ResourcesReady", "Unknown")]
