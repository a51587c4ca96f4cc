"""Spec/03 §17, scenarios 64 to 76: suspension, status, author conditions, the graph, events."""

from __future__ import annotations

from typing import Any

from kro_es.errors import ApiError
from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.contract.instances.test_ordering import database, set_status
from tests.support.inside import Inside

RECONCILE = "kro.run/reconcile"


async def annotate(inside: Inside, value: str | None) -> None:
    await inside.edit("WebShop", "shop", {"metadata": {"annotations": {RECONCILE: value}}})


async def test_64_a_suspended_instance_is_left_alone_until_it_is_resumed(inside: Inside) -> None:
    await inside.define(rgd(CFG, status={"color": "${cfg.data.color}"}))
    await inside.create(shop(color="red"))
    calls = len(inside.calls)
    await annotate(inside, "Suspended")
    assert inside.condition() == (
        "False",
        "ReconciliationSuspended",
        "reconciliation suspended via kro.run/reconcile annotation",
    )
    assert inside.writes(calls) == [("put", "WebShop", "shop")]
    assert inside.get("WebShop", "shop")["status"]["color"] == "red"
    assert inside.condition(type_="Ready")[0] == "False"
    calls = len(inside.calls)
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"color": "green"}})
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert inside.data("shop-cfg") == {"color": "green"}
    assert [write for write in inside.writes(calls) if write[1] == "ConfigMap"] == []
    await annotate(inside, None)
    assert (inside.data("shop-cfg"), inside.state()) == ({"color": "blue"}, "ACTIVE")
    assert inside.condition(type_="Ready")[0] == "True"


async def test_64_the_older_word_suspends_too_and_a_new_instance_gets_no_child(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    suspended = shop(color="red")
    suspended["metadata"]["annotations"] = {RECONCILE: "disabled"}
    await inside.create(suspended)
    assert inside.names("ConfigMap") == []
    assert inside.condition()[1] == "ReconciliationSuspended"
    assert inside.get("WebShop", "shop")["metadata"]["finalizers"] == ["kro.run/finalizer"]


async def test_65_a_suspended_instance_can_be_deleted(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await annotate(inside, "suspended")
    await inside.delete("WebShop", "shop")
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])


async def test_66_a_status_field_is_there_while_all_it_reads_is(inside: Inside) -> None:
    b = cm("b", {"v": "b"}, includeWhen=["${schema.spec.mon}"])
    fields = {"f1": "${a.data.v}", "f2": "${a.data.v}-${b.data.v}"}
    await inside.define(rgd(cm("a", {"v": "a"}), b, status=fields))
    await inside.create(shop(mon=False))

    def shown() -> dict[str, Any]:
        status = inside.get("WebShop", "shop")["status"]
        return {name: status[name] for name in ("f1", "f2") if name in status}

    assert shown() == {"f1": "a"}
    await inside.edit("WebShop", "shop", {"spec": {"mon": True}})
    assert shown() == {"f1": "a", "f2": "a-b"}
    await inside.edit("WebShop", "shop", {"spec": {"mon": False}})
    assert shown() == {"f1": "a"}


async def test_67_a_status_field_that_has_no_value_yet_is_absent_and_no_obstacle(inside: Inside) -> None:
    await inside.define(rgd(database(), status={"at": "${db.status.endpoint}"}))
    await inside.create(shop())
    assert inside.condition()[0] == "True"
    assert "at" not in inside.get("WebShop", "shop")["status"]
    await set_status(inside, endpoint="e")
    assert inside.get("WebShop", "shop")["status"]["at"] == "e"


async def test_68_a_status_expression_that_cannot_work_writes_no_status(inside: Inside) -> None:
    await inside.define(rgd(cm("a", {"k": "v"}), status={"x": "${1 / (size(a.data) - 1)}"}))
    await inside.create(shop())
    assert inside.names("ConfigMap") == ["shop-a"]
    assert "status" not in inside.get("WebShop", "shop")
    assert inside.retrying


async def test_69_text_of_an_instance_is_never_an_expression(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="${a.data.secret}"))
    assert inside.data("shop-cfg") == {"color": "${a.data.secret}"}


def condition_entry(type_: str, status: str = "'True'", message: str = "''") -> str:
    return f"${{runtime.newCondition({{type: '{type_}', status: {status}, message: {message}}})}}"


async def test_70_only_the_authors_conditions_are_shown_and_state_is_ours(inside: Inside) -> None:
    entries = [condition_entry("AppReady", message="a.data.k")]
    await inside.define(rgd(cm("a", {"k": "v"}), status={"conditions": entries}))
    await inside.create(shop())
    status = inside.get("WebShop", "shop")["status"]
    assert [(c["type"], c["status"], c["message"]) for c in status["conditions"]] == [("AppReady", "True", "v")]
    assert status["state"] == "ACTIVE"
    await inside.define(rgd(cm("a", {"k": "v"}), status={"conditions": [condition_entry("Ready", "'False'")]}))
    status = inside.get("WebShop", "shop")["status"]
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Ready", "False")]
    assert status["state"] == "ACTIVE"


async def test_71_an_entry_without_its_data_keeps_its_last_value(inside: Inside) -> None:
    entries = [condition_entry("AppReady", message="a.data[schema.spec.key]")]
    await inside.define(rgd(cm("a", {"k": "v"}), status={"conditions": entries}))
    await inside.create(shop(key="k"))
    before = inside.get("WebShop", "shop")["status"]["conditions"]
    await inside.edit("WebShop", "shop", {"spec": {"key": "nowhere"}})
    status = inside.get("WebShop", "shop")["status"]
    assert (status["conditions"], status["state"]) == (before, "ACTIVE")
    assert before[0]["observedGeneration"] == 1


async def test_72_two_entries_of_one_type_are_both_dropped(inside: Inside) -> None:
    computed = "${runtime.newCondition({type: schema.spec.key, status: 'True'})}"
    entries = [condition_entry("Kept"), computed, computed]
    await inside.define(rgd(cm("a", {"k": "v"}), status={"conditions": entries}))
    await inside.create(shop(key="Twice"))
    status = inside.get("WebShop", "shop")["status"]
    assert ([c["type"] for c in status["conditions"]], status["state"]) == (["Kept"], "ERROR")
    assert not inside.retrying


async def test_73_without_the_block_kros_own_conditions_are_back(inside: Inside) -> None:
    await inside.define(rgd(cm("a", {"k": "v"}), status={"conditions": [condition_entry("AppReady")]}))
    await inside.create(shop())
    await inside.define(rgd(cm("a", {"k": "v"}), status={"k": "${a.data.k}"}))
    types = [c["type"] for c in inside.get("WebShop", "shop")["status"]["conditions"]]
    assert types == ["InstanceManaged", "GraphResolved", "ResourcesReady", "Ready"]


async def test_75_a_refused_revision_changes_nothing_the_last_good_one_is_followed(inside: Inside) -> None:
    """kro stops every instance with GraphResolved=False until the definition is mended."""
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    body = {"spec": {"resources": [cm("cfg", {"color": "${nobody.data.x}"})]}}
    await inside.edit("ResourceGraphDefinition", "webshop-rgd", body)
    assert inside.get("ResourceGraphDefinition", "webshop-rgd")["status"]["state"] == "Inactive"
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert (inside.data("shop-cfg"), inside.state()) == ({"color": "blue"}, "ACTIVE")
    await inside.restart()
    await inside.edit("WebShop", "shop", {"spec": {"color": "black"}})
    assert (inside.data("shop-cfg"), inside.state()) == ({"color": "black"}, "ACTIVE")


async def test_74_while_a_new_revision_is_pending_the_last_good_one_is_followed(inside: Inside) -> None:
    """kro stops every instance with GraphResolved=False until the new revision is active."""
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))

    def no_crd(verb: str, obj: dict[str, Any]) -> ApiError | None:
        return ApiError(403, "Forbidden", "not now") if obj["kind"] == "CustomResourceDefinition" else None

    inside.server.refuse = no_crd
    changed = rgd(CFG, cm("more"), status={"c": "${cfg.data.color}"})
    await inside.edit("ResourceGraphDefinition", "webshop-rgd", {"spec": changed["spec"]})
    assert inside.get("ResourceGraphDefinition", "webshop-rgd")["status"]["state"] == "Inactive"
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert (inside.data("shop-cfg"), inside.names("ConfigMap")) == ({"color": "blue"}, ["shop-cfg"])
    assert inside.state() == "ACTIVE"
    assert inside.condition(type_="GraphResolved")[:2] == ("True", "Resolved")
    inside.server.refuse = lambda verb, obj: None
    await inside.pass_time()
    assert inside.names("ConfigMap") == ["shop-cfg", "shop-more"]
    assert inside.get("WebShop", "shop")["status"]["c"] == "blue"
