"""Spec/03 §17, scenarios 1 to 14: creation, and what the controller writes on instances and children."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.support.inside import Inside

APPLYSET = "applyset-xeYSLxbacMuhDHomCVJQVGtdmf-VfzCgWd9km3Mz7Js-v1"
KINDS = "applyset.kubernetes.io/contains-group-kinds"
NAMESPACES = "applyset.kubernetes.io/additional-namespaces"


async def test_01_a_first_instance_and_its_child_carry_what_the_contract_says(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    meta = inside.get("WebShop", "shop")["metadata"]
    assert meta["finalizers"] == ["kro.run/finalizer"]
    assert meta["labels"] == {
        "kro.run/owned": "true",
        "kro.run/kro-version": "v1.2.3",
        "kro.run/resource-graph-definition-id": inside.get("ResourceGraphDefinition", "webshop-rgd")["metadata"]["uid"],
        "kro.run/resource-graph-definition-name": "webshop-rgd",
        "applyset.kubernetes.io/id": APPLYSET,
    }
    assert meta["annotations"] == {
        "applyset.kubernetes.io/tooling": "kro/v1.2.3",
        KINDS: "ConfigMap",
        NAMESPACES: "",
        "internal.kro.run/applyset-inventory-hash": "sha256:wEPAGiPVbsGP3hza8Y0UpzTeCjMDqDJ9K8T3dnR864Q",
    }
    child = inside.get("ConfigMap", "shop-cfg")
    assert child["metadata"]["labels"] == {
        "tier": "web",
        "app.kubernetes.io/managed-by": "kro",
        "applyset.kubernetes.io/part-of": APPLYSET,
        "kro.run/owned": "true",
        "kro.run/kro-version": "v1.2.3",
        "kro.run/node-id": "cfg",
        "kro.run/instance-id": meta["uid"],
        "kro.run/instance-name": "shop",
        "kro.run/instance-namespace": "team-a",
        "kro.run/instance-group": "kro.run",
        "kro.run/instance-version": "v1alpha1",
        "kro.run/instance-kind": "WebShop",
    }
    assert child["metadata"]["annotations"] == {"internal.kro.run/apply-order": "1"}
    assert child["data"] == {"color": "red"}
    status = inside.get("WebShop", "shop")["status"]
    assert status["state"] == "ACTIVE"
    shown = [(c["type"], c["status"], c["reason"], c["message"], c["observedGeneration"]) for c in status["conditions"]]
    assert shown == [
        ("InstanceManaged", "True", "Managed", "instance is properly managed with finalizers and labels", 1),
        ("GraphResolved", "True", "Resolved", "runtime graph created and all resources resolved", 1),
        ("ResourcesReady", "True", "AllResourcesReady", "all resources are created and ready", 1),
        ("Ready", "True", "Ready", "", 1),
    ]
    assert all(set(c) == CONDITION_KEYS for c in status["conditions"])


CONDITION_KEYS = {"type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"}


async def test_02_a_pass_without_change_asks_nothing_and_writes_nothing(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    before, calls, length = inside.versions(), len(inside.calls), len(inside.events())
    assert inside.controller is not None
    inside.controller.assembled.projector.requeue()
    await inside.rest()
    assert (inside.versions(), len(inside.calls), len(inside.events())) == (before, calls, length)


async def test_03_labels_annotations_and_finalizers_of_users_stay(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    mine = shop(color="red")
    mine["metadata"] |= {"labels": {"team": "x"}, "annotations": {"note": "y"}, "finalizers": ["acme.io/hold"]}
    await inside.create(mine)
    meta = inside.get("WebShop", "shop")["metadata"]
    assert (meta["labels"]["team"], meta["annotations"]["note"]) == ("x", "y")
    assert sorted(meta["finalizers"]) == ["acme.io/hold", "kro.run/finalizer"]


def _cluster_scoped(*nodes: dict[str, Any]) -> dict[str, Any]:
    return rgd(*nodes, scope="Cluster")


async def test_04_children_of_a_cluster_scoped_instance_name_their_namespace(inside: Inside) -> None:
    node = cm("cfg")
    node["template"]["metadata"]["namespace"] = "${schema.spec.ns}"
    await inside.define(_cluster_scoped(node))
    await inside.create(shop(namespace="", ns="apps"))
    meta = inside.get("WebShop", "shop")["metadata"]
    assert meta["labels"]["applyset.kubernetes.io/id"] == "applyset-GLN5rfdCjQ59W4ZlsO3W3oyq5RihmCnuqEWU6Lk5zK8-v1"
    assert meta["annotations"][NAMESPACES] == "apps"
    child = inside.get("ConfigMap", "shop-cfg", "apps")["metadata"]
    assert "kro.run/instance-namespace" not in child["labels"]
    await inside.delete("WebShop", "shop")
    assert inside.names("ConfigMap") == []
    assert inside.names("WebShop") == []


async def test_05_an_empty_namespace_of_a_cluster_scoped_instance_is_an_error(inside: Inside) -> None:
    node = cm("cfg")
    node["template"]["metadata"]["namespace"] = "${schema.spec.ns}"
    await inside.define(_cluster_scoped(node))
    await inside.create(shop(namespace="", ns=""))
    assert inside.state() == "ERROR"
    text = "must resolve metadata.namespace when the instance is cluster-scoped"
    assert text in inside.condition()[2]
    assert inside.names("ConfigMap") == []
    assert inside.retrying


async def test_06_the_inventory_names_every_kind_and_foreign_namespace(inside: Inside) -> None:
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "${schema.metadata.name}"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}},
    }  # fmt: skip
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}, "rules": []}
    away = cm("away")
    away["template"]["metadata"]["namespace"] = "team-b"
    await inside.define(rgd({"id": "app", "template": deployment}, {"id": "role", "template": role}, away))
    await inside.create(shop())
    found = inside.get("WebShop", "shop")["metadata"]["annotations"]
    assert found[KINDS] == "ClusterRole.rbac.authorization.k8s.io,ConfigMap,Deployment.apps"
    assert found[NAMESPACES] == "team-b"
    assert inside.state() == "ACTIVE"


async def test_07_the_managed_by_label_is_ours_others_of_the_template_stay(inside: Inside) -> None:
    node = cm("cfg")
    node["template"]["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "helm", "tier": "web"}
    await inside.define(rgd(node))
    await inside.create(shop())
    found = inside.get("ConfigMap", "shop-cfg")["metadata"]["labels"]
    assert (found["app.kubernetes.io/managed-by"], found["tier"]) == ("kro", "web")


async def test_08_waves_and_order_of_a_chain_with_a_lone_node(inside: Inside) -> None:
    nodes = (
        cm("p"),
        cm("q", {"p": "${p.metadata.name}"}),
        cm("r", {"q": "${q.metadata.name}"}),
        cm("s"),
    )
    await inside.define(rgd(*nodes))
    await inside.create(shop())
    orders = {
        name: inside.get("ConfigMap", f"shop-{name}")["metadata"]["annotations"]["internal.kro.run/apply-order"]
        for name in "pqrs"
    }
    assert orders == {"p": "1", "q": "2", "r": "3", "s": "3"}
    applied = [name for verb, kind, name in inside.writes() if kind == "ConfigMap"]
    assert sorted(applied[:2]) == ["shop-p", "shop-s"]
    assert applied[2:] == ["shop-q", "shop-r"]


async def test_09_a_name_too_long_for_a_label_is_an_error_of_the_node(inside: Inside) -> None:
    await inside.define(rgd(cm("cfg", name="short")))
    name = "n" * 70
    await inside.create(shop(name))
    assert inside.state(name) == "ERROR"
    assert "must be no more than 63" in inside.condition(name)[2]
    meta = inside.get("WebShop", name)["metadata"]
    assert meta["finalizers"] == ["kro.run/finalizer"]
    assert meta["annotations"][KINDS] == "ConfigMap"
    assert inside.retrying


async def test_10_instances_of_one_name_and_different_kinds_are_different_sets(inside: Inside) -> None:
    await inside.define(rgd(cm("a", name="${schema.metadata.name}-alpha"), name="alpha", kind="Alpha"))
    await inside.define(rgd(cm("b", name="${schema.metadata.name}-beta"), name="beta", kind="Beta"))
    await inside.create(shop("x", "Alpha"), shop("x", "Beta"))
    sets = {inside.get(kind, "x")["metadata"]["labels"]["applyset.kubernetes.io/id"] for kind in ("Alpha", "Beta")}
    assert len(sets) == 2
    assert inside.names("ConfigMap") == ["x-alpha", "x-beta"]
    await inside.edit("Alpha", "x", {"spec": {"color": "c"}})
    assert inside.names("ConfigMap") == ["x-alpha", "x-beta"]


async def test_11_a_management_label_that_was_removed_comes_back_with_one_patch(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    calls = len(inside.calls)
    await inside.edit("WebShop", "shop", {"metadata": {"labels": {"kro.run/owned": None}}})
    assert inside.get("WebShop", "shop")["metadata"]["labels"]["kro.run/owned"] == "true"
    assert inside.writes(calls) == [("apply", "WebShop", "shop")]


async def test_12_a_stripped_finalizer_comes_back_and_the_inventory_is_not_emptied(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await inside.edit("WebShop", "shop", {"metadata": {"finalizers": []}})
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    meta = inside.get("WebShop", "shop")["metadata"]
    assert meta["finalizers"] == ["kro.run/finalizer"]
    assert meta["annotations"][KINDS] == "ConfigMap"
    assert inside.get("ConfigMap", "shop-cfg")["data"] == {"color": "blue"}


async def test_13_a_finalizer_is_not_put_on_a_broken_inventory(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    body = {"metadata": {"finalizers": [], "annotations": {KINDS: "ConfigMap,"}}, "spec": {"color": "blue"}}
    await inside.edit("WebShop", "shop", body)
    status, reason, text = inside.condition(type_="InstanceManaged")
    assert (status, reason) == ("False", "ManagementFailed")
    assert text == (
        "finalizer/labeling failed: cannot install finalizer with invalid ApplySet inventory; repair the metadata, "
        "or remove it only after confirming no managed members remain: "
        f"invalid {KINDS} annotation: contains an empty group-kind"
    )
    assert inside.state() == "ERROR"
    assert inside.get("ConfigMap", "shop-cfg")["data"] == {"color": "red"}
    assert "kro.run/finalizer" not in (inside.get("WebShop", "shop")["metadata"].get("finalizers") or ())
    assert inside.retrying
    await inside.edit("WebShop", "shop", {"metadata": {"annotations": {KINDS: "ConfigMap"}}})
    assert inside.state() == "ACTIVE"
    assert inside.get("ConfigMap", "shop-cfg")["data"] == {"color": "blue"}


async def test_14_another_version_is_no_reason_to_write(inside: Inside) -> None:
    """kro rewrites every instance and child at an upgrade; here the label follows with the next real write."""
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    inside.settings = replace(inside.settings, label_version="v9")
    await inside.restart()
    assert [write for write in inside.writes() if write[1] in ("WebShop", "ConfigMap")] == []
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert inside.get("ConfigMap", "shop-cfg")["metadata"]["labels"]["kro.run/kro-version"] == "v9"
