"""Spec/03 §17, scenarios 33 to 46: one node, many objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.inside import Inside

BY_NAME = [{"n": "${schema.spec.names}"}]
PIECES = cm("pieces", {"n": "${n}"}, name="${schema.metadata.name}-${n}", forEach=BY_NAME)
SUM = cm("sum", {"count": "${string(size(pieces))}"})


def places(inside: Inside) -> dict[str, tuple[str, str]]:
    """Index and size by name."""
    found = {}
    for name in inside.names("ConfigMap"):
        labels = inside.get("ConfigMap", name)["metadata"]["labels"]
        if "kro.run/collection-index" in labels:
            found[name] = (labels["kro.run/collection-index"], labels["kro.run/collection-size"])
    return found


async def test_33_each_item_of_a_list_is_an_object_with_its_place(inside: Inside) -> None:
    await inside.define(rgd(PIECES))
    calls = len(inside.calls)
    await inside.create(shop(names=["a", "b", "c"]))
    assert places(inside) == {"shop-a": ("0", "3"), "shop-b": ("1", "3"), "shop-c": ("2", "3")}
    nodes = {inside.get("ConfigMap", name)["metadata"]["labels"]["kro.run/node-id"] for name in places(inside)}
    assert nodes == {"pieces"}
    assert len(inside.calls) - calls == 3 + 3


async def test_34_the_first_of_two_lists_varies_slowest(inside: Inside) -> None:
    dimensions = [{"r": "${['eu', 'us']}"}, {"t": "${['web', 'api']}"}]
    await inside.define(rgd(cm("pieces", name="${r}-${t}", forEach=dimensions)))
    await inside.create(shop())
    assert {name: index for name, (index, _) in places(inside).items()} == {
        "eu-web": "0", "eu-api": "1", "us-web": "2", "us-api": "3",
    }  # fmt: skip


async def test_35_a_shorter_list_prunes_after_the_rest_is_relabelled(inside: Inside) -> None:
    await inside.define(rgd(PIECES))
    await inside.create(shop(names=["a", "b", "c"]))
    calls = len(inside.calls)
    await inside.edit("WebShop", "shop", {"spec": {"names": ["a", "c"]}})
    assert places(inside) == {"shop-a": ("0", "2"), "shop-c": ("1", "2")}
    assert [verb for verb, kind, _ in inside.writes(calls) if kind == "ConfigMap"] == ["apply", "apply", "delete"]


async def test_36_dependents_see_the_whole_longer_list(inside: Inside) -> None:
    await inside.define(rgd(PIECES, SUM))
    await inside.create(shop(names=["a"]))
    assert inside.data("shop-sum") == {"count": "1"}
    await inside.edit("WebShop", "shop", {"spec": {"names": ["a", "b"]}})
    assert inside.data("shop-sum") == {"count": "2"}
    values = [
        event.body.object["data"]["count"]
        for event in inside.events()
        if event.subject.name == "shop-sum" and event.type == "object.observed"
    ]
    assert values == ["1", "2"]


async def test_37_another_order_only_moves_the_labels(inside: Inside) -> None:
    await inside.define(rgd(PIECES))
    await inside.create(shop(names=["a", "b"]))
    uids = {name: inside.get("ConfigMap", name)["metadata"]["uid"] for name in inside.names("ConfigMap")}
    await inside.edit("WebShop", "shop", {"spec": {"names": ["b", "a"]}})
    assert places(inside) == {"shop-a": ("1", "2"), "shop-b": ("0", "2")}
    assert {name: inside.get("ConfigMap", name)["metadata"]["uid"] for name in uids} == uids


async def test_38_an_empty_list_is_ready_and_empty_to_dependents(inside: Inside) -> None:
    await inside.define(rgd(PIECES, SUM))
    await inside.create(shop(names=[]))
    assert (inside.state(), inside.data("shop-sum")) == ("ACTIVE", {"count": "0"})


async def test_39_a_list_that_becomes_empty_is_pruned_and_counted_as_empty(inside: Inside) -> None:
    await inside.define(rgd(PIECES, SUM))
    await inside.create(shop(names=["a", "b"]))
    await inside.edit("WebShop", "shop", {"spec": {"names": []}})
    assert (inside.names("ConfigMap"), inside.data("shop-sum")) == (["shop-sum"], {"count": "0"})
    assert inside.state() == "ACTIVE"


async def test_40_two_items_of_one_name_stop_the_instance(inside: Inside) -> None:
    await inside.define(rgd(PIECES, cm("other")))
    await inside.create(shop(names=["a", "a"]))
    assert (inside.state(), inside.names("ConfigMap")) == ("ERROR", [])
    text = 'node "pieces" identity collision: duplicate identity: /v1/ConfigMap//shop-a'
    assert inside.message().endswith(text)
    assert inside.retrying


async def test_41_too_many_items_are_an_error_and_deletion_still_works(inside: Inside) -> None:
    inside.settings = replace(inside.settings, max_collection=5)
    await inside.restart()
    await inside.define(rgd(PIECES))
    await inside.create(shop(names=["a", "b"]))
    await inside.edit("WebShop", "shop", {"spec": {"names": list("abcdef")}})
    assert (inside.state(), inside.names("ConfigMap")) == ("ERROR", ["shop-a", "shop-b"])
    assert inside.message() == (
        "resource reconciliation failed: collection size of 6 is over the maximum collection size of 5"
    )
    await inside.delete("WebShop", "shop")
    assert (inside.names("ConfigMap"), inside.names("WebShop")) == ([], [])


async def test_42_dependents_wait_for_the_last_item(inside: Inside) -> None:
    template = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p-${n}"}, "spec": {"containers": []}}
    pods = {
        "id": "pods", "template": template, "forEach": BY_NAME, "readyWhen": ["${each.status.phase == 'Running'}"],
    }  # fmt: skip
    await inside.define(rgd(pods, cm("sum", {"count": "${string(size(pods))}"})))
    await inside.create(shop(names=["a", "b", "c"]))
    for name in "ab":
        await inside.edit("Pod", f"p-{name}", {"status": {"phase": "Running"}}, status=True)
    await inside.edit("Pod", "p-c", {"status": {"phase": "Pending"}}, status=True)
    assert (inside.state(), inside.names("ConfigMap")) == ("IN_PROGRESS", [])
    assert inside.message().endswith(
        'waiting for node "pods": readyWhen condition evaluated to false: '
        "\"each.status.phase == 'Running'\" (waiting for readiness)"
    )
    await inside.edit("Pod", "p-c", {"status": {"phase": "Running"}}, status=True)
    assert inside.data("shop-sum") == {"count": "3"}


async def test_43_a_collection_over_a_collection_grows_and_shrinks_with_it(inside: Inside) -> None:
    copies = cm("copies", {"of": "${x.metadata.name}"}, name="copy-${x.metadata.name}", forEach=[{"x": "${pieces}"}])
    await inside.define(rgd(PIECES, copies))
    await inside.create(shop(names=["a", "b"]))
    assert inside.names("ConfigMap") == ["copy-shop-a", "copy-shop-b", "shop-a", "shop-b"]
    await inside.edit("WebShop", "shop", {"spec": {"names": ["b"]}})
    assert inside.names("ConfigMap") == ["copy-shop-b", "shop-b"]


async def test_44_an_item_edited_by_hand_is_repaired_alone(inside: Inside) -> None:
    await inside.define(rgd(PIECES))
    await inside.create(shop(names=["a", "b"]))
    before, calls = places(inside), len(inside.calls)
    await inside.edit("ConfigMap", "shop-b", {"data": {"n": "x"}})
    assert inside.data("shop-b") == {"n": "b"}
    assert places(inside) == before
    assert inside.writes(calls) == [("apply", "ConfigMap", "shop-b")]


async def test_45_an_item_on_its_way_out_stops_everything_until_it_is_gone(inside: Inside) -> None:
    await inside.define(rgd(PIECES, cm("other", {"c": "${schema.spec.color}"})))
    await inside.create(shop(names=["a", "b"], color="1"))
    await inside.edit("ConfigMap", "shop-b", {"metadata": {"finalizers": ["acme.io/hold"]}})
    await inside.delete("ConfigMap", "shop-b")
    await inside.edit("WebShop", "shop", {"spec": {"color": "2"}})
    assert inside.condition() == (
        "False",
        "ResourceDeleting",
        'resource "team-a/shop-b" for node "pieces" is currently being deleted; '
        "waiting for deletion to complete before continuing reconciliation",
    )
    assert inside.data("shop-other") == {"c": "1"}
    await inside.edit("ConfigMap", "shop-b", {"metadata": {"finalizers": []}})
    assert inside.names("ConfigMap") == ["shop-a", "shop-b", "shop-other"]
    assert (inside.data("shop-other"), inside.state()) == ({"c": "2"}, "ACTIVE")


async def test_46_two_nodes_of_one_object_apply_nothing(inside: Inside) -> None:
    one: dict[str, Any] = cm("one", name="${schema.metadata.name}-a")
    await inside.define(rgd(one, {**PIECES, "id": "many"}))
    await inside.create(shop(names=["a"]))
    assert inside.message() == (
        "resource reconciliation failed: found resources with conflicts: "
        "resourceID: many-0 conflicts with resourceID: one"
    )
    assert (inside.state(), inside.names("ConfigMap")) == ("IN_PROGRESS", [])
    assert inside.retrying


async def test_a_collection_whose_list_is_missing_says_so_and_its_kind_is_in_the_inventory_already(
    inside: Inside,
) -> None:
    secrets = {
        "id": "pieces",
        "forEach": [{"n": "${schema.spec.names}"}],
        "template": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${schema.metadata.name}-${n}"}},
    }
    await inside.define(rgd(cm("cfg"), secrets))
    await inside.create(shop())
    pending = 'node "pieces": forEach "n": eval "schema.spec.names": no such key: names (data pending)'
    assert inside.message().endswith(f'gvr "/v1, Resource=secrets": {pending}')
    kinds = inside.get("WebShop", "shop")["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"]
    assert (kinds, inside.state()) == ("ConfigMap,Secret", "IN_PROGRESS")
