"""A new revision gives an object to another node: it stays the same object, and the pass comes to rest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.inside import Inside

Object = dict[str, Any]
PLAIN = rgd(cm("a", {"c": "${schema.spec.color}"}), cm("b", {"v": "${a.data.c}"}))
SWAPPED = rgd(
    cm("a", {"c": "${schema.spec.color}"}, name="${schema.metadata.name}-b"),
    cm("b", {"v": "${a.data.c}"}, name="${schema.metadata.name}-a"),
)
COLLECTED = rgd(cm("a", {"n": "${n}"}, name="${schema.metadata.name}-${n}", forEach=[{"n": "${['a', 'b']}"}]))
TURNED = rgd(
    cm("b", {"n": "${n}"}, name="${schema.metadata.name}-${n}", forEach=[{"n": "${['a']}"}]),
    cm("a", {"of": "${b[0].metadata.name}"}, name="${schema.metadata.name}-b"),
)
DATA = {
    "plain": (PLAIN, {"shop-a": {"c": "1"}, "shop-b": {"v": "1"}}),
    "swapped": (SWAPPED, {"shop-a": {"v": "1"}, "shop-b": {"c": "1"}}),
    "collected": (COLLECTED, {"shop-a": {"n": "a"}, "shop-b": {"n": "b"}}),
    "turned": (TURNED, {"shop-a": {"n": "a"}, "shop-b": {"of": "shop-a"}}),
}
MOVES = [(one, other) for one in DATA for other in DATA if one != other]


@pytest.mark.parametrize(("before", "after"), MOVES, ids=["-".join(move) for move in MOVES])
async def test_objects_that_change_their_node_are_the_same_objects(inside: Inside, before: str, after: str) -> None:
    await inside.define(DATA[before][0])
    await inside.create(shop(color="1"))
    uids = {name: inside.get("ConfigMap", name)["metadata"]["uid"] for name in inside.names("ConfigMap")}
    await inside.define(DATA[after][0])
    assert {name: inside.data(name) for name in inside.names("ConfigMap")} == DATA[after][1]
    assert {name: inside.get("ConfigMap", name)["metadata"]["uid"] for name in uids} == uids
    assert (inside.state(), inside.retrying) == ("ACTIVE", False)
    calls = len(inside.calls)
    await inside.pass_time()
    assert inside.writes(calls) == []
    await inside.restart()
    assert (inside.writes(), inside.state()) == ([], "ACTIVE")
