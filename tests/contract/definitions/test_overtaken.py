"""What somebody does to a definition just before a write of ours: the answer shows it first, and it is acted upon all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.definitions.steps import CM, put, rgd, state, thing, things
from tests.support.fake_cluster import Call, Fault
from tests.support.fake_server import Object
from tests.support.inside import Inside
from tests.support.steps import config_map

B = config_map("b", "${schema.metadata.name}-b", {"v": "2"})
C = config_map("c", "${schema.metadata.name}-c", {"v": "3"})
PATCH = ("patch", "ResourceGraphDefinition")


@pytest.fixture
async def active(inside: Inside) -> Inside:
    await put(inside, things(CM))
    return inside


async def put_overtaken(inside: Inside, wanted: Object, act: Callable[[], object]) -> None:
    """``act`` happens just before our first patch of the definition; the watch tells of both later."""
    seen: list[Call] = []

    def fault(call: Call) -> Fault | None:
        if (call.verb, call.ref.kind) == PATCH and not seen:
            seen.append(call)
            inside.server.held.add("kro.run/ResourceGraphDefinition")
            act()
        return None

    assert inside.controller is not None
    inside.controller.connection.fault = fault
    await put(inside, wanted)
    inside.server.release()
    await inside.rest()
    assert seen


async def test_an_edit_just_before_the_status(active: Inside) -> None:
    ref = active.ref("ResourceGraphDefinition", "things")
    await put_overtaken(active, things(CM, B), lambda: active.server.patch(ref, {"spec": things(CM, B, C)["spec"]}))
    assert (state(active), rgd(active)["status"]["topologicalOrder"]) == ("Active", ["a", "b", "c"])
    await active.create(thing())
    assert active.names("ConfigMap") == ["one-a", "one-b", "one-c"]


async def test_a_deletion_just_before_the_status(active: Inside) -> None:
    ref = active.ref("ResourceGraphDefinition", "things")
    await put_overtaken(active, things(CM, B), lambda: active.server.delete(ref))
    assert active.names("ResourceGraphDefinition") == []


async def test_a_finalizer_of_another_just_before_ours(inside: Inside) -> None:
    hold = {"metadata": {"finalizers": ["acme.io/hold"]}}
    at = lambda: inside.ref("ResourceGraphDefinition", "things")  # noqa: E731
    await put_overtaken(inside, things(CM), lambda: inside.server.patch(at(), hold))
    await inside.pass_time()
    assert sorted(rgd(inside)["metadata"]["finalizers"]) == ["acme.io/hold", "kro.run/finalizer"]
    assert state(inside) == "Active"
