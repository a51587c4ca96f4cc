"""Scenarios of instances that speak of the API server, on a real one: numbered as in tests/contract/instances."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.replayed import differences
from tests.support.stage import Object, Stage, outer, readers, scene, scenes, theirs
from tests.support.steps import condition, config_map, definition, eventually, faults, instance, message, settled

HASH = "internal.kro.run/applyset-inventory-hash"
KINDS = "applyset.kubernetes.io/contains-group-kinds"
SET_ID = "applyset.kubernetes.io/id"
HOLD = "acme.io/hold"


@pytest.fixture(scope="module")
def stage(control_plane: Any, kubelet: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cluster = Cluster(control_plane, "scenarios")
    cluster.kubectl("create", "namespace", cluster.namespace)
    operator = Operator(cluster.kubeconfig("controller"), tmp_path_factory.mktemp("scenarios")).start()
    found = Stage(cluster)
    found.operator = operator
    found.apply(scenes())
    found.active("scenes")
    found.apply(outer())
    found.apply(readers())
    found.active("outers")
    found.active("readers")
    yield found
    for kind in ("outers", "scenes", "readers"):
        cluster.kubectl("delete", kind, "--all", "-n", cluster.namespace, "--timeout=60s")
        cluster.kubectl("delete", "rgd", kind, "--timeout=30s")
        cluster.kubectl("delete", "crd", f"{kind}.kro.run", "--timeout=30s")
    operator.stop()
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")
    assert faults(operator.database) == []
    assert differences(operator.database, operator.redaction_key) == []


def test_09_a_label_value_too_long_for_the_server_is_an_error_of_the_node(stage: Stage) -> None:
    name = "n" * 70
    stage.apply(scene(name, key="short"))
    live = stage.tells(name, "must be no more than 63")
    assert live["metadata"]["finalizers"] == ["kro.run/finalizer"]
    assert not stage.get("cm", "short")
    stage.delete("scene", name)
    stage.gone("scene", name)


def test_26_what_is_not_included_any_more_is_deleted_and_leaves_the_inventory(stage: Stage) -> None:
    stage.play(scene("s26", mon=True))
    assert stage.get("scene", "s26")["metadata"]["annotations"][KINDS] == "ConfigMap,Secret"
    stage.play(scene("s26", mon=False))
    stage.gone("secret", "s26-mon")
    eventually(
        lambda: stage.get("scene", "s26")["metadata"]["annotations"][KINDS], "ConfigMap".__eq__, "inventory shrunk"
    )


def test_45_a_child_that_somebody_deletes_is_waited_for_and_made_again(stage: Stage) -> None:
    stage.play(scene("s45"))
    stage.hold("cm", "s45-cfg", HOLD)
    before = stage.get("cm", "s45-cfg")["metadata"]["uid"]
    stage.delete("cm", "s45-cfg")
    stage.tells("s45", 'for node "cfg" is currently being deleted', "IN_PROGRESS")
    stage.hold("cm", "s45-cfg")
    eventually(lambda: stage.get("cm", "s45-cfg"), lambda cm: cm and cm["metadata"]["uid"] != before, "made again")
    after = stage.get("cm", "s45-cfg")["metadata"]["uid"]
    eventually(lambda: stage.get("cm", "s45-top")["data"]["uid"], after.__eq__, "the dependent follows")
    stage.ready("scene", "s45")


def test_47_what_was_there_without_an_owner_is_adopted_with_what_others_put_into_it(stage: Stage) -> None:
    stage.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s47-cfg"}, "data": {"theirs": "x"}})
    stage.play(scene("s47"))
    live = stage.get("cm", "s47-cfg")
    assert live["data"] == {"color": "red", "theirs": "x"}
    assert live["metadata"]["labels"]["kro.run/owned"] == "true"
    stage.delete("scene", "s47")
    stage.gone("scene", "s47")
    assert not stage.get("cm", "s47-cfg")


def test_48_what_another_instance_owns_is_left_alone_until_that_is_gone(stage: Stage) -> None:
    stage.play(scene("s48", color="mine"))
    stage.apply(scene("t48", key="s48-cfg", color="other"))
    stage.tells("t48", "resource belongs to a different ApplySet: ")
    assert stage.get("cm", "s48-cfg")["data"]["color"] == "mine"
    stage.delete("scene", "s48")
    stage.gone("scene", "s48")
    stage.ready("scene", "t48")
    assert stage.get("cm", "s48-cfg")["data"]["color"] == "other"


def test_50_what_the_template_does_not_say_is_kept(stage: Stage) -> None:
    stage.play(scene("s50"))
    status = stage.get("scene", "s50")["status"]
    stage.patch("cm", "s50-cfg", {"data": {"theirs": "x"}})
    stage.patch("cm", "s50-cfg", {"data": {"color": "green"}})
    eventually(lambda: stage.get("cm", "s50-cfg")["data"], {"color": "red", "theirs": "x"}.__eq__, "healed")
    assert stage.get("scene", "s50")["status"] == status


def test_52_a_policy_that_denies_is_named_and_when_it_goes_all_goes_on(stage: Stage) -> None:
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    ]
    check = {"expression": "!has(object.data) || !('color' in object.data) || object.data.color != 'denied'"}
    group = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "s52"}}
    policy = {
        **group,
        "kind": "ValidatingAdmissionPolicy",
        "spec": {
            "matchConstraints": {"resourceRules": rules},
            "validations": [{**check, "message": "that color is denied"}],
        },
    }
    binding = {
        **group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "spec": {"policyName": "s52", "validationActions": ["Deny"]},
    }
    stage.apply(policy, binding)
    tried = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tried"}, "data": {"color": "denied"}}

    def enforced() -> bool:
        try:
            where = ("-n", stage.cluster.namespace, "--dry-run=server", "-f", "-")
            stage.cluster.kubectl("create", *where, input=json.dumps(tried))
        except AssertionError as error:
            return "that color is denied" in str(error)
        return False

    eventually(enforced, bool, "the policy is enforced")
    stage.apply(scene("s52", color="denied"))
    stage.tells("s52", "that color is denied")
    stage.cluster.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "s52")
    stage.ready("scene", "s52")


def test_53_an_immutable_field_is_an_error_and_the_object_stays(stage: Stage) -> None:
    stage.play(scene("s53", frozen=True))
    stage.apply(scene("s53", frozen=True, color="blue"))
    stage.tells("s53", "field is immutable")
    assert stage.get("cm", "s53-cfg")["data"]["color"] == "red"
    stage.play(scene("s53", frozen=True))


def test_54_a_field_that_left_the_template_leaves_the_child_and_those_of_others_stay(stage: Stage) -> None:
    stage.apply(scenes(extra="new"))
    stage.play(scene("s54"))
    eventually(lambda: stage.get("cm", "s54-cfg")["data"].get("extra"), "new".__eq__, "the new revision")
    stage.patch("cm", "s54-cfg", {"data": {"theirs": "x"}})
    stage.apply(scenes())
    eventually(lambda: stage.get("cm", "s54-cfg")["data"], {"color": "red", "theirs": "x"}.__eq__, "the field is gone")


def _gadgets() -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Gadget", "plural": "gadgets"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.acme.io"},
        "spec": {"group": "acme.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def test_55_a_kind_that_is_uninstalled_hurts_only_its_instances_and_may_come_back(stage: Stage) -> None:
    gadget = {"apiVersion": "acme.io/v1", "kind": "Gadget", "metadata": {"name": "${schema.metadata.name}"}}
    stage.apply(_gadgets())
    stage.apply(definition("holders", "Holder", {"x": "string | default=y"}, {"id": "g", "template": gadget}))
    stage.active("holders")
    stage.play(instance("Holder", "s55", {}), scene("s55"))
    stage.cluster.kubectl("delete", "crd", "gadgets.acme.io")
    eventually(lambda: condition(stage.get("holder", "s55"), "Ready"), lambda found: found != "True", "it is missed")
    stage.play(scene("s55", color="blue"))
    stage.apply(_gadgets())
    stage.ready("holder", "s55")
    stage.delete("holder", "s55")
    stage.gone("holder", "s55")
    assert not stage.get("gadget", "s55")
    stage.cluster.kubectl("delete", "rgd", "holders", "--timeout=30s")
    stage.cluster.kubectl("delete", "crd", "gadgets.acme.io", "holders.kro.run", "--timeout=30s")


def test_59_62_63_what_others_own_is_used_on_its_way_out_and_selected_anew(stage: Stage) -> None:
    stage.apply(
        theirs("s59-platform", {"v": "1"}, finalizers=[HOLD]),
        theirs("s62-a", {}, labels={"s62-team": "one"}),
        theirs("s62-b", {}, labels={"s62-team": "two"}),
    )
    stage.delete("cm", "s59-platform")
    reader = {"platform": "s59-platform", "team": "one"}
    stage.play(instance("Reader", "s62", reader))
    assert stage.get("cm", "s62-cfg")["data"] == {"names": "s62-a", "v": "1"}
    stage.play(instance("Reader", "s62", {**reader, "team": "two"}))
    assert stage.get("cm", "s62-cfg")["data"] == {"names": "s62-b", "v": "1"}
    stage.apply(theirs("s62-c", {}, labels={"s62-team": "two"}))
    eventually(lambda: stage.get("cm", "s62-cfg")["data"]["names"], "s62-b,s62-c".__eq__, "the new watch tells")
    stage.apply(instance("Reader", "s62", {**reader, "operator": "Near"}))
    stage.tells("s62", "invalid label selector for x: ", kind="reader")
    stage.hold("cm", "s59-platform")


def test_64_65_a_suspended_instance_is_left_and_is_deleted_all_the_same(stage: Stage) -> None:
    stage.play(scene("s64"))
    stage.patch("scene", "s64", {"metadata": {"annotations": {"kro.run/reconcile": "Suspended"}}})
    eventually(lambda: condition(stage.get("scene", "s64"), "ResourcesReady"), "False".__eq__, "suspended")
    stage.patch("cm", "s64-cfg", {"data": {"color": "green"}})
    stage.play(scene("s65"))  # what came later is done: the edit was seen, and left
    assert stage.get("cm", "s64-cfg")["data"]["color"] == "green"
    stage.patch("scene", "s64", {"metadata": {"annotations": {"kro.run/reconcile": None}}})
    eventually(lambda: stage.get("cm", "s64-cfg")["data"]["color"], "red".__eq__, "healed")
    eventually(lambda: settled(stage.get("scene", "s64")), bool, "ready again")
    stage.patch("scene", "s65", {"metadata": {"annotations": {"kro.run/reconcile": "suspended"}}})
    stage.delete("scene", "s65")
    stage.gone("scene", "s65")
    assert not stage.get("cm", "s65-cfg")


def test_77_78_deletion_goes_in_reverse_and_waits_for_foreign_finalizers(stage: Stage) -> None:
    stage.play(scene("s78"))
    stage.hold("cm", "s78-top", HOLD)
    stage.delete("scene", "s78")
    eventually(lambda: stage.get("cm", "s78-top")["metadata"].get("deletionTimestamp"), bool, "the last goes first")
    live = eventually(
        lambda: stage.get("scene", "s78"), lambda obj: obj["status"]["state"] == "DELETING", "the instance says so"
    )
    assert condition(live, "Ready") == "Unknown"
    assert "deletionTimestamp" not in stage.get("cm", "s78-cfg")["metadata"]
    stage.hold("cm", "s78-top")
    stage.gone("scene", "s78")
    assert not stage.get("cm", "s78-cfg")


@pytest.mark.parametrize(
    ("name", "part", "key", "text"),
    [("s80", "annotations", KINDS, HASH), ("s82", "labels", SET_ID, f"invalid {SET_ID}")],
)
def test_80_82_a_deletion_that_cannot_trust_its_inventory_is_blocked_until_it_can(
    stage: Stage, name: str, part: str, key: str, text: str
) -> None:
    stage.play(scene(name))
    # suspended, so that nothing puts it right before the deletion
    stage.patch("scene", name, {"metadata": {"annotations": {"kro.run/reconcile": "suspended"}}})
    eventually(
        lambda: message(stage.get("scene", name), "ResourcesReady"), lambda told: "suspended" in told.lower(), "rests"
    )
    meta = stage.get("scene", name)["metadata"][part]
    stage.patch("scene", name, {"metadata": {part: {key: None if part == "labels" else ""}}})
    stage.delete("scene", name)

    def told() -> str:
        live = stage.get("scene", name)
        return message(live, "ResourcesReady") if live else "gone"

    eventually(told, lambda found: found.startswith("deletion blocked: ") and text in found, "blocked")
    assert "deletionTimestamp" not in stage.get("cm", f"{name}-cfg")["metadata"]
    stage.patch("scene", name, {"metadata": {part: {key: meta[key]}}})
    stage.gone("scene", name)
    assert not stage.get("cm", f"{name}-cfg")


def test_83_a_child_that_was_replaced_meanwhile_goes_with_the_instance(stage: Stage) -> None:
    stage.play(scene("s83"))
    stage.operator.pause()
    try:
        before = stage.get("cm", "s83-cfg")
        stage.delete("cm", "s83-cfg")
        kept = {name: before["metadata"][name] for name in ("name", "labels", "annotations")}
        stage.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept, "data": before["data"]})
        assert stage.get("cm", "s83-cfg")["metadata"]["uid"] != before["metadata"]["uid"]
        stage.delete("scene", "s83")
    finally:
        stage.operator.go_on()
    stage.gone("scene", "s83")
    assert not stage.get("cm", "s83-cfg")
    assert not stage.get("cm", "s83-top")


def test_86_with_their_definition_gone_instances_can_go_and_be_taken_back(stage: Stage) -> None:
    lasts = definition(
        "lasts", "Last", {"v": "string"}, config_map("c", "${schema.metadata.name}", {"v": "${schema.spec.v}"})
    )
    stage.apply(lasts)
    stage.active("lasts")
    stage.play(instance("Last", "s86-a", {"v": "1"}), instance("Last", "s86-b", {"v": "1"}))
    stage.cluster.kubectl("delete", "rgd", "lasts", "--timeout=30s")
    assert stage.get("cm", "s86-a")
    stage.delete("last", "s86-a")
    stage.gone("last", "s86-a")
    assert not stage.get("cm", "s86-a")
    stage.apply(lasts)
    stage.active("lasts")
    stage.play(instance("Last", "s86-b", {"v": "2"}))
    assert stage.get("cm", "s86-b")["data"] == {"v": "2"}
    stage.delete("last", "s86-b")
    stage.gone("last", "s86-b")
    stage.cluster.kubectl("delete", "rgd", "lasts", "--timeout=30s")
    stage.cluster.kubectl("delete", "crd", "lasts.kro.run", "--timeout=30s")


def test_87_a_nested_instance_goes_before_its_parent(stage: Stage) -> None:
    stage.apply(instance("Outer", "s87", {}))
    stage.ready("outer", "s87")
    inner = eventually(lambda: stage.get("scene", "s87-inner"), settled, "the nested one is ready")
    assert {"applyset.kubernetes.io/part-of", SET_ID} <= inner["metadata"]["labels"].keys()
    stage.hold("cm", "s87-inner-cfg", HOLD)
    stage.delete("outer", "s87")
    eventually(lambda: stage.get("cm", "s87-inner-cfg")["metadata"].get("deletionTimestamp"), bool, "its child goes")
    assert stage.get("scene", "s87-inner")
    assert stage.get("outer", "s87")
    stage.hold("cm", "s87-inner-cfg")
    stage.gone("outer", "s87")
    assert not stage.get("scene", "s87-inner")


def test_88_what_lingers_terminating_does_not_hold_back_the_instance(stage: Stage) -> None:
    stage.play(scene("s88", mon=True))
    stage.hold("secret", "s88-mon", HOLD)
    stage.play(scene("s88", mon=False))
    assert stage.get("secret", "s88-mon")["metadata"]["deletionTimestamp"]
    stage.hold("secret", "s88-mon")
    stage.gone("secret", "s88-mon")
