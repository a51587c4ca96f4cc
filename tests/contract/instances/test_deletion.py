"""Spec/03 §17, scenarios 77 to 88: deletion from what is recorded, in reverse waves, and never around a hold."""

from __future__ import annotations

from typing import Any

from kro_es.errors import ApiError
from kro_es.events.types import WriteUnsent
from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.contract.instances.test_externals import READER, X, theirs
from tests.support.fake_cluster import Call, Fault
from tests.support.inside import Inside

HOLD = {"metadata": {"finalizers": ["acme.io/hold"]}}
FREE = {"metadata": {"finalizers": []}}
CHAIN = (cm("p"), cm("q", {"p": "${p.metadata.name}"}), cm("r", {"q": "${q.metadata.name}"}))
KINDS = "applyset.kubernetes.io/contains-group-kinds"
APPLYSET = "applyset-xeYSLxbacMuhDHomCVJQVGtdmf-VfzCgWd9km3Mz7Js-v1"


def deletes(inside: Inside) -> list[str]:
    return [call.ref.name for call in inside.calls if call.verb == "delete"]


def annotated(**values: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": values}}


async def test_77_a_chain_goes_from_its_end(inside: Inside) -> None:
    await inside.define(rgd(*CHAIN))
    await inside.create(shop())
    await inside.delete("WebShop", "shop")
    assert deletes(inside) == ["shop-r", "shop-q", "shop-p"]
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])
    shown = [
        event.body.object["status"]
        for event in inside.events()
        if event.type == "object.observed" and event.subject.name == "shop" and "status" in event.body.object
    ]
    last = {c["type"]: (c["status"], c["reason"], c["message"]) for c in shown[-1]["conditions"]}
    assert shown[-1]["state"] == "DELETING"
    assert last["ResourcesReady"] == ("Unknown", "UnderDeletion", "deleting resources")
    assert last["Ready"] == ("Unknown", "UnderDeletion", "deleting resources")
    assert all("uid" for call in inside.calls if call.verb == "delete")


def written(inside: Inside, since: int) -> list[tuple[str, str]]:
    return [(verb, name) for verb, _, name in inside.writes(since)]


async def test_an_instance_that_is_gone_at_once_is_not_told_that_it_goes(inside: Inside) -> None:
    await inside.define(rgd(CFG, cm("more")))
    await inside.create(shop(color="red"))
    before = len(inside.calls)
    await inside.delete("WebShop", "shop")
    assert sorted(written(inside, before)) == [("delete", "shop-cfg"), ("delete", "shop-more"), ("patch", "shop")]
    assert [event.body.after for event in inside.events() if isinstance(event.body, WriteUnsent)] == [""]
    assert inside.rows("open_writes") == {}
    await inside.restart()
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])


async def test_one_that_others_hold_is_told_that_it_goes(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await inside.edit("WebShop", "shop", {"metadata": {"finalizers": ["kro.run/finalizer", "acme.io/hold"]}})
    await inside.delete("WebShop", "shop")
    assert (inside.names("ConfigMap"), inside.state()) == ([], "DELETING")
    await inside.edit("WebShop", "shop", FREE)
    assert inside.names("WebShop") == []


async def test_78_a_finalizer_of_others_holds_what_is_below_it(inside: Inside) -> None:
    await inside.define(rgd(*CHAIN))
    await inside.create(shop())
    await inside.edit("ConfigMap", "shop-q", HOLD)
    await inside.delete("WebShop", "shop")
    assert inside.names("ConfigMap") == ["shop-p", "shop-q"]
    assert "deletionTimestamp" not in inside.get("ConfigMap", "shop-p")["metadata"]
    assert inside.state() == "DELETING"
    assert inside.condition()[:2] == ("Unknown", "UnderDeletion")
    [row] = inside.rows("instances").values()
    assert row["message"] == "deleting resources: ConfigMap team-a/shop-q (finalizers: acme.io/hold)"
    await inside.edit("ConfigMap", "shop-q", FREE)
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])


async def test_79_members_without_a_wave_go_last_together(inside: Inside) -> None:
    await inside.define(rgd(*CHAIN, cm("s")))
    await inside.create(shop())
    order = "internal.kro.run/apply-order"
    inside.server.patch(
        inside.ref("WebShop", "shop"), {"metadata": {"annotations": {"kro.run/reconcile": "suspended"}}}
    )
    await inside.rest()
    await inside.edit("ConfigMap", "shop-r", annotated(**{order: None}))
    await inside.edit("ConfigMap", "shop-s", annotated(**{order: "soon"}))
    await inside.delete("WebShop", "shop")
    assert deletes(inside)[:2] == ["shop-q", "shop-p"]
    assert sorted(deletes(inside)[2:]) == ["shop-r", "shop-s"]
    assert inside.names("WebShop") == []


async def test_80_a_shortened_inventory_blocks_the_deletion(inside: Inside) -> None:
    secret = {"id": "s", "template": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}}
    await inside.define(rgd(CFG, secret))
    await inside.create(shop(color="red"))
    inside.server.patch(inside.ref("WebShop", "shop"), annotated(**{"kro.run/reconcile": "suspended"}))
    await inside.rest()
    await inside.edit("WebShop", "shop", annotated(**{KINDS: "ConfigMap"}))
    await inside.delete("WebShop", "shop")
    assert deletes(inside) == []
    assert "internal.kro.run/applyset-inventory-hash" in inside.message()
    assert inside.message().startswith("deletion blocked: validate deletion inventory: ")
    assert inside.get("WebShop", "shop")["metadata"]["finalizers"] == ["kro.run/finalizer"]
    assert inside.retrying
    await inside.edit("WebShop", "shop", annotated(**{KINDS: "ConfigMap,Secret"}))
    await inside.pass_time()
    assert (inside.names("WebShop"), inside.names("Secret"), inside.names("ConfigMap")) == ([], [], [])


async def test_81_an_inventory_without_a_hash_is_good_enough(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    inside.server.patch(inside.ref("WebShop", "shop"), annotated(**{"kro.run/reconcile": "suspended"}))
    await inside.rest()
    await inside.edit("WebShop", "shop", annotated(**{"internal.kro.run/applyset-inventory-hash": None}))
    await inside.delete("WebShop", "shop")
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])


async def test_82_without_the_set_id_the_deletion_is_blocked(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    inside.server.patch(inside.ref("WebShop", "shop"), annotated(**{"kro.run/reconcile": "suspended"}))
    await inside.rest()
    await inside.edit("WebShop", "shop", {"metadata": {"labels": {"applyset.kubernetes.io/id": None}}})
    await inside.delete("WebShop", "shop")
    assert inside.message() == (
        "deletion blocked: validate deletion inventory: invalid applyset.kubernetes.io/id label: "
        f'got "", want "{APPLYSET}"'
    )


async def test_83_a_child_that_was_replaced_meanwhile_is_deleted_by_its_new_uid(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))

    def swap(call: Call) -> Fault | None:
        if call.verb == "delete" and not swapped:
            swapped.append(True)
            old = inside.get("ConfigMap", "shop-cfg")
            inside.server.erase(inside.ref("ConfigMap", "shop-cfg"))
            labels = old["metadata"]["labels"]
            inside.server.create({**old, "metadata": {"name": "shop-cfg", "namespace": "team-a", "labels": labels}})
        return None

    swapped: list[bool] = []
    inside.fault = swap
    await inside.restart()
    await inside.delete("WebShop", "shop")
    await inside.pass_time()
    assert swapped
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])
    assert len(deletes(inside)) == 2


async def test_84_neither_externals_nor_expressions_hinder_a_deletion(inside: Inside) -> None:
    await inside.create(theirs(v="1"))
    await inside.define(rgd(X, READER))
    await inside.create(shop())
    await inside.delete("ConfigMap", "platform")
    await inside.edit("ResourceGraphDefinition", "webshop-rgd", {"spec": {"resources": [cm("c", {"a": "${x.y}"})]}})
    await inside.delete("WebShop", "shop")
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])


async def test_85_an_instance_that_never_had_a_child_goes_at_once(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop())
    calls = len(inside.calls)
    await inside.delete("WebShop", "shop")
    assert inside.names("WebShop") == []
    assert inside.writes(calls) == [("patch", "WebShop", "shop")]


async def test_86_an_instance_whose_definition_is_gone_can_be_deleted(inside: Inside) -> None:
    """In kro it hangs until the definition is made again."""
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"), shop("other", color="red"))
    await inside.delete("ResourceGraphDefinition", "webshop-rgd")
    assert inside.names("ConfigMap") == ["other-cfg", "shop-cfg"]
    await inside.delete("WebShop", "shop")
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == (["other"], ["other-cfg"])
    await inside.restart()
    await inside.delete("WebShop", "other")
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])


async def test_86_a_definition_made_again_takes_its_instances_back(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await inside.delete("ResourceGraphDefinition", "webshop-rgd")
    await inside.define(rgd(CFG))
    labels = inside.get("WebShop", "shop")["metadata"]["labels"]
    uid = inside.get("ResourceGraphDefinition", "webshop-rgd")["metadata"]["uid"]
    assert labels["kro.run/resource-graph-definition-id"] == uid
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert inside.data("shop-cfg") == {"color": "blue"}


async def test_87_a_nested_instance_goes_with_its_children_before_the_parent(inside: Inside) -> None:
    inner = {
        "apiVersion": "kro.run/v1alpha1", "kind": "Inner", "metadata": {"name": "inner"}, "spec": {"color": "red"},
    }  # fmt: skip
    await inside.define(rgd(CFG, name="inner", kind="Inner"))
    await inside.define(rgd({"id": "in", "template": inner} | {"id": "nested"}))
    await inside.create(shop())
    labels = inside.get("Inner", "inner")["metadata"]["labels"]
    assert labels["applyset.kubernetes.io/part-of"] == APPLYSET
    assert labels["applyset.kubernetes.io/id"].startswith("applyset-")
    assert labels["kro.run/resource-graph-definition-name"] == "inner"
    assert inside.state() == "ACTIVE"
    calls = len(inside.calls)
    assert inside.calls[calls:] == []
    await inside.delete("WebShop", "shop")
    assert (inside.names("WebShop"), inside.names("Inner"), inside.names("ConfigMap")) == ([], [], [])
    gone = [e.subject.name for e in inside.events() if e.type == "instance.gone"]
    assert gone == ["inner", "shop"]


async def test_88_an_excluded_child_that_lingers_does_not_hold_the_instance(inside: Inside) -> None:
    mon = {
        "id": "mon", "includeWhen": ["${schema.spec.mon}"],
        "template": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mon"}},
    }  # fmt: skip
    await inside.define(rgd(mon, cm("cfg")))
    await inside.create(shop(mon=True))
    await inside.edit("Secret", "mon", HOLD)
    await inside.edit("WebShop", "shop", {"spec": {"mon": False}})
    assert "deletionTimestamp" in inside.get("Secret", "mon")["metadata"]
    assert inside.state() == "ACTIVE"
    assert inside.condition(type_="Ready")[0] == "True"
    await inside.edit("Secret", "mon", FREE)
    assert inside.names("Secret") == []
    assert inside.get("WebShop", "shop")["metadata"]["annotations"][KINDS] == "ConfigMap"


async def test_a_delete_the_server_refuses_is_told_and_tried_again(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))

    def deny(verb: str, obj: dict[str, Any]) -> ApiError | None:
        return ApiError(403, "Forbidden", "not today") if verb == "delete" and obj["kind"] == "ConfigMap" else None

    inside.server.refuse = deny
    await inside.delete("WebShop", "shop")
    assert inside.message() == "deletion blocked: delete team-a/shop-cfg: not today"
    assert inside.retrying
    inside.server.refuse = lambda verb, obj: None
    await inside.pass_time()
    assert inside.names("WebShop") == []
