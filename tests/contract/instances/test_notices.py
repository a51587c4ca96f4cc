"""Spec/03 §17, scenario 76: conditions that turn, as Kubernetes Events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.contract.instances.shapes import CFG, rgd, shop
from tests.contract.instances.test_refusals import break_calls, failing
from tests.support.inside import Inside


async def telling(inside: Inside) -> None:
    inside.settings = replace(inside.settings, instance_events=True)
    await inside.restart()


def about_instances(inside: Inside) -> list[dict[str, Any]]:
    found = [obj for ref, obj in inside.server.objects.items() if ref.kind == "Event"]
    return [obj for obj in found if obj["involvedObject"]["kind"] == "WebShop"]


def told(inside: Inside) -> list[tuple[str, str, str]]:
    """Type, reason and message, in the order they were made."""
    found = about_instances(inside)
    assert {obj["source"]["component"] for obj in found} <= {"kro/webshops.kro.run-controller"}
    return [(obj["type"], obj["reason"], obj["message"]) for obj in found]


async def test_76_every_condition_that_turns_is_an_event(inside: Inside) -> None:
    """Ready is never false for a pass here, so there is one event for it and not kro's two."""
    await telling(inside)
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    assert told(inside) == [
        ("Normal", "InstanceManaged", "none -> True: Managed"),
        ("Normal", "GraphResolved", "none -> True: Resolved"),
        ("Normal", "ResourcesReady", "none -> True: AllResourcesReady"),
        ("Normal", "Ready", "none -> True: Ready"),
    ]
    await inside.edit("WebShop", "shop", {"metadata": {"annotations": {"kro.run/reconcile": "suspended"}}})
    assert told(inside)[4:] == [
        ("Warning", "ResourcesReady", "True -> False: ReconciliationSuspended"),
        ("Warning", "Ready", "True -> False: ReconciliationSuspended"),
    ]
    [involved] = {obj["involvedObject"]["uid"] for obj in about_instances(inside)}
    assert involved == inside.get("WebShop", "shop")["metadata"]["uid"]


async def test_76_nothing_that_turned_no_event(inside: Inside) -> None:
    await telling(inside)
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"color": "green"}})
    assert len(told(inside)) == 4


async def test_76_unless_asked_for_there_are_none(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    assert told(inside) == []


async def test_an_event_that_is_refused_hinders_nothing(inside: Inside) -> None:
    await telling(inside)
    await inside.define(rgd(CFG))
    break_calls(inside, failing("create", kind="Event"))
    await inside.create(shop(color="red"))
    assert (inside.state(), inside.retrying, told(inside)) == ("ACTIVE", False, [])
    assert inside.rows("open_writes") == {}
