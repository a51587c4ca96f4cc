"""Scenarios of instances that speak of the API server, on a real one: numbered as in tests/contract/instances."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.replayed import differences
from tests.support.steps import Steps, condition, config_map, definition, eventually, faults, instance, message, settled

Object = dict[str, Any]
HASH = "internal.kro.run/applyset-inventory-hash"
KINDS = "applyset.kubernetes.io/contains-group-kinds"
SET_ID = "applyset.kubernetes.io/id"
HOLD = "acme.io/hold"


def _scenes(**more: str) -> Object:
    """``cfg``, ``top`` that reads it, and a Secret ``mon`` when it is asked for."""
    cfg = config_map("cfg", "${schema.spec.key}", {"color": "${schema.spec.color}", **more})
    cfg["template"]["immutable"] = "${schema.spec.frozen}"
    top = config_map("top", "${schema.metadata.name}-top", {"uid": "${cfg.metadata.uid}"})
    mon = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${schema.metadata.name}-mon"}}
    spec = {
        "key": "string",
        "color": "string | default=red",
        "frozen": "boolean | default=false",
        "mon": "boolean | default=false",
    }
    watched = {"id": "mon", "includeWhen": ["${schema.spec.mon}"], "template": mon}
    return definition("scenes", "Scene", spec, cfg, top, watched)


def _outer() -> Object:
    """An instance of another definition as a child."""
    inner = {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "Scene",
        "metadata": {"name": "${schema.metadata.name}-inner"},
        "spec": {"key": "${schema.metadata.name}-inner-cfg"},
    }
    return definition("outers", "Outer", {"x": "string | default=y"}, {"id": "inner", "template": inner})


def scene(name: str, **spec: Any) -> Object:
    return instance("Scene", name, {"key": f"{name}-cfg", **spec})


class Stage(Steps):
    """What the scenarios do again and again."""

    def play(self, *objects: Object) -> None:
        self.apply(*objects)
        for obj in objects:
            self.ready(obj["kind"].lower(), obj["metadata"]["name"])

    def patch(self, kind: str, name: str, body: Object) -> None:
        self.cluster.kubectl(
            "patch", kind, name, "-n", self.cluster.namespace, "--type=merge", "-p", json.dumps(body),
            "--field-manager=mallory",
        )  # fmt: skip

    def hold(self, kind: str, name: str, *finalizers: str) -> None:
        self.patch(kind, name, {"metadata": {"finalizers": list(finalizers)}})

    def gone(self, kind: str, name: str) -> None:
        eventually(lambda: self.get(kind, name), lambda obj: not obj, f"{kind} {name} gone")

    def tells(self, name: str, text: str, state: str = "ERROR") -> Object:
        """The instance says so, at its own generation."""

        def look() -> tuple[str, str, str]:
            live = self.get("scene", name)
            found = (live.get("status") or {}).get("state", ""), message(live, "ResourcesReady")
            return *found, condition(live, "ResourcesReady")

        eventually(
            look, lambda found: found[0] == state and text in found[1] and found[2] != "", f"{name} tells {text}"
        )
        return self.get("scene", name)


@pytest.fixture(scope="module")
def stage(control_plane: Any, kubelet: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cluster = Cluster(control_plane, "scenarios")
    cluster.kubectl("create", "namespace", cluster.namespace)
    operator = Operator(cluster.kubeconfig("controller"), tmp_path_factory.mktemp("scenarios")).start()
    found = Stage(cluster)
    found.apply(_scenes())
    found.active("scenes")
    found.apply(_outer())
    found.active("outers")
    yield found
    for kind in ("outers", "scenes"):
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
    stage.apply(_scenes(extra="new"))
    stage.play(scene("s54"))
    eventually(lambda: stage.get("cm", "s54-cfg")["data"].get("extra"), "new".__eq__, "the new revision")
    stage.patch("cm", "s54-cfg", {"data": {"theirs": "x"}})
    stage.apply(_scenes())
    eventually(lambda: stage.get("cm", "s54-cfg")["data"], {"color": "red", "theirs": "x"}.__eq__, "the field is gone")


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
