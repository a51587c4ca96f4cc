"""What somebody does to an instance just before a write of ours: the answer shows it first, and it is acted upon all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from kro_es.api import metadata
from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.fake_cluster import Call, Fault
from tests.support.inside import Inside

CFG = cm("cfg", {"color": "${schema.spec.color}"}, includeWhen=["${schema.spec.mon}"])


@dataclass
class Before:
    """``act`` happens once, just before the first patch of the instance by ``manager``; the watch tells of both later."""

    inside: Inside
    manager: str
    act: Callable[[], object]
    done: bool = False

    def __call__(self, call: Call) -> Fault | None:
        if call.ref.kind == "WebShop" and call.manager == self.manager and not self.done:
            self.done = True
            self.inside.server.held.add("kro.run/WebShop")
            self.act()
        return None


def meanwhile(inside: Inside, manager: str, act: Callable[[], object]) -> None:
    assert inside.controller is not None
    inside.controller.connection.fault = Before(inside, manager, act)


async def go_on(inside: Inside) -> None:
    await inside.rest()
    inside.server.release()
    await inside.rest()


@pytest.fixture
async def defined(inside: Inside) -> Inside:
    """An instance without children gets its finalizer and its status in one go."""
    await inside.define(rgd(CFG))
    return inside


async def test_an_edit_of_the_spec_just_before_the_finalizer(defined: Inside) -> None:
    on = {"spec": {"color": "blue", "mon": True}}
    meanwhile(defined, metadata.LABELLER, lambda: defined.server.patch(defined.ref("WebShop", "shop"), on))
    defined.server.create(shop(color="red", mon=False))
    await go_on(defined)
    assert defined.data("shop-cfg") == {"color": "blue"}
    assert defined.condition()[:2] == ("True", "AllResourcesReady")


async def test_a_deletion_just_before_the_labels_are_put_back(defined: Inside) -> None:
    await defined.create(shop(color="red", mon=False))
    ref = defined.ref("WebShop", "shop")
    meanwhile(defined, metadata.LABELLER, lambda: defined.server.delete(ref))
    defined.server.patch(ref, {"metadata": {"labels": {metadata.OWNED: None}}, "spec": {"color": "blue"}})
    await go_on(defined)
    assert defined.names("WebShop") == []


async def test_a_suspension_that_ends_just_before_the_labels_are_put_back(defined: Inside) -> None:
    await defined.create(shop(color="red", mon=True))
    ref = defined.ref("WebShop", "shop")
    goes_on = {"metadata": {"annotations": {metadata.RECONCILE: None}}, "spec": {"color": "blue"}}
    meanwhile(defined, metadata.LABELLER, lambda: defined.server.patch(ref, goes_on))
    halted = {metadata.RECONCILE: "suspended"}
    defined.server.patch(ref, {"metadata": {"annotations": halted, "labels": {metadata.OWNED: None}}})
    await go_on(defined)
    assert defined.data("shop-cfg") == {"color": "blue"}
    assert defined.condition()[:2] == ("True", "AllResourcesReady")


@pytest.mark.parametrize("manager", [metadata.LABELLER, metadata.PARENT_MANAGER])
@pytest.mark.parametrize("again", [False, True], ids=["for good", "and made again"])
async def test_an_instance_that_is_deleted_just_before_a_patch_is_not_made_again_by_it(
    inside: Inside, manager: str, again: bool
) -> None:
    await inside.define(rgd(cm("cfg", {"color": "${schema.spec.color}"})))

    def replace() -> None:
        inside.server.erase(inside.ref("WebShop", "shop"))
        if again:
            inside.server.create(shop(color="blue"))

    meanwhile(inside, manager, replace)
    inside.server.create(shop(color="red"))
    await go_on(inside)
    await inside.pass_time()
    found = {name: inside.data(name) for name in inside.names("ConfigMap")}
    assert (inside.names("WebShop"), found) == ((["shop"], {"shop-cfg": {"color": "blue"}}) if again else ([], {}))
    if again:
        assert inside.state() == "ACTIVE"
