"""Spec/03 §17, scenarios 56 to 63: objects of others."""

from __future__ import annotations

from typing import Any

from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.inside import Inside

REFERENCE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "platform"}}
X = {"id": "x", "externalRef": REFERENCE}
READER = cm("cfg", {"v": "${x.data.v}"})


def theirs(name: str = "platform", namespace: str = "team-a", labels: dict[str, str] | None = None, **data: str) -> Any:
    meta = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


async def test_56_an_external_object_is_waited_for_and_never_touched(inside: Inside) -> None:
    await inside.define(rgd(X, READER))
    await inside.create(shop())
    assert inside.state() == "IN_PROGRESS"
    assert inside.message() == (
        'resource reconciliation failed: apply results contain errors: waiting for external reference "x": not found'
    )
    assert inside.names("ConfigMap") == []
    await inside.create(theirs(v="1"))
    found = inside.get("ConfigMap", "platform")
    assert inside.data("shop-cfg") == {"v": "1"}
    assert inside.state() == "ACTIVE"
    assert found["metadata"]["labels"] == {}
    assert {e["manager"] for e in found["metadata"]["managedFields"]} == {"kubectl"}


async def test_57_a_change_of_it_reaches_the_dependents_by_an_event(inside: Inside) -> None:
    x = {"id": "x", "externalRef": {**REFERENCE, "metadata": {"name": "platform", "namespace": "shared"}}}
    await inside.create(theirs(namespace="shared", v="1"))
    await inside.define(rgd(x, READER))
    await inside.create(shop())
    await inside.edit("ConfigMap", "platform", {"data": {"v": "2"}}, namespace="shared")
    assert (inside.data("shop-cfg"), inside.state()) == ({"v": "2"}, "ACTIVE")


async def test_58_when_it_is_gone_dependents_stay_and_status_fields_vanish(inside: Inside) -> None:
    await inside.create(theirs(v="1"))
    await inside.define(rgd(X, READER, status={"v": "${x.data.v}"}))
    await inside.create(shop())
    assert inside.get("WebShop", "shop")["status"]["v"] == "1"
    calls = len(inside.calls)
    await inside.delete("ConfigMap", "platform")
    assert inside.state() == "IN_PROGRESS"
    assert "v" not in inside.get("WebShop", "shop")["status"]
    assert inside.data("shop-cfg") == {"v": "1"}
    assert inside.writes(calls) == [("put", "WebShop", "shop")]


async def test_59_an_external_object_on_its_way_out_is_still_used(inside: Inside) -> None:
    held = theirs(v="1")
    held["metadata"]["finalizers"] = ["acme.io/hold"]
    await inside.create(held)
    await inside.delete("ConfigMap", "platform")
    await inside.define(rgd(X, READER))
    await inside.create(shop())
    assert (inside.data("shop-cfg"), inside.state()) == ({"v": "1"}, "ACTIVE")


def selecting(selector: dict[str, Any] | str) -> dict[str, Any]:
    return {"id": "x", "externalRef": {**REFERENCE, "metadata": {"selector": selector}}}


GOLD = {"matchLabels": {"tier": "gold"}}
NAMES = cm("cfg", {"names": "${x.map(o, o.metadata.name).join(',')}"})


async def test_60_a_selection_follows_labels_won_and_lost(inside: Inside) -> None:
    node = selecting(GOLD)
    reference = node["externalRef"]["metadata"]
    assert "namespace" not in reference
    await inside.create(theirs("a", "team-a", {"tier": "gold"}), theirs("b", "team-b", {"tier": "gold"}))
    await inside.create(theirs("c", "team-c"))
    await inside.define(rgd(node, NAMES))
    await inside.create(shop())
    assert inside.data("shop-cfg") == {"names": "a,b"}
    await inside.edit("ConfigMap", "c", {"metadata": {"labels": {"tier": "gold"}}}, namespace="team-c")
    assert inside.data("shop-cfg") == {"names": "a,b,c"}
    await inside.edit("ConfigMap", "a", {"metadata": {"labels": {"tier": "tin"}}})
    assert inside.data("shop-cfg") == {"names": "b,c"}


async def test_61_a_selection_of_nothing_is_ready_and_empty(inside: Inside) -> None:
    await inside.define(rgd(selecting(GOLD), status={"count": "${string(size(x))}"}))
    await inside.create(shop())
    assert inside.get("WebShop", "shop")["status"]["count"] == "0"
    assert inside.state() == "ACTIVE"


async def test_62_another_value_in_the_selector_selects_others(inside: Inside) -> None:
    await inside.create(theirs("a", labels={"team": "one"}), theirs("b", labels={"team": "two"}))
    await inside.define(rgd(selecting({"matchLabels": {"team": "${schema.spec.team}"}}), NAMES))
    await inside.create(shop(team="one"))
    assert inside.data("shop-cfg") == {"names": "a"}
    await inside.edit("WebShop", "shop", {"spec": {"team": "two"}})
    assert inside.data("shop-cfg") == {"names": "b"}
    calls = len(inside.events())
    await inside.edit("ConfigMap", "a", {"data": {"k": "v"}})
    assert len(inside.events()) == calls, "nobody reads it any more"


async def test_a_selector_may_be_an_expression_as_a_whole(inside: Inside) -> None:
    await inside.create(theirs("a", labels={"team": "one"}), theirs("b", labels={"team": "two"}))
    await inside.define(rgd(selecting("${schema.spec.wanted}"), NAMES))
    await inside.create(shop(wanted={"matchLabels": {"team": "one"}}))
    assert inside.data("shop-cfg") == {"names": "a"}
    await inside.edit("WebShop", "shop", {"spec": {"wanted": {"matchLabels": {"team": "two"}}}})
    assert inside.data("shop-cfg") == {"names": "b"}
    await inside.edit("WebShop", "shop", {"spec": {"wanted": {"matchLabels": None, "matchLabel": {"team": "two"}}}})
    assert inside.state() == "ERROR"
    assert 'invalid label selector for x: unknown field "matchLabel"' in inside.message()
    assert inside.data("shop-cfg") == {"names": "b"}, "a misspelt selector is no selector of everything"


async def test_63_a_selector_that_means_nothing_is_an_error(inside: Inside) -> None:
    expression = {"key": "team", "operator": "${schema.spec.team}", "values": ["a"]}
    await inside.define(rgd(selecting({"matchExpressions": [expression]})))
    await inside.create(shop(team="Near"))
    assert inside.state() == "ERROR"
    assert "invalid label selector for x: " in inside.message()
