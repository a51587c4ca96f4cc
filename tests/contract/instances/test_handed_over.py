"""One object that two nodes stand for in turn: of opposite conditions, of a resource that got another id, of a collection."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.inside import Inside

NODE = "kro.run/node-id"
NAME = "${schema.metadata.name}-store"


def _pair(first: str, second: str) -> dict[str, Any]:
    """The same object by two nodes, of which the condition takes one."""
    local = cm(first, {"by": "keys", "key": "k"}, name=NAME, includeWhen=["${!schema.spec.mon}"])
    remote = cm(second, {"by": "role"}, name=NAME, includeWhen=["${schema.spec.mon}"])
    return rgd(local, remote, cm("other", {"a": "b"}))


def _stands(inside: Inside, node: str, data: dict[str, str]) -> None:
    found = inside.get("ConfigMap", "shop-store")
    assert (found["metadata"]["labels"][NODE], found["data"]) == (node, data)
    assert (inside.state(), inside.condition(type_="Ready")[0]) == ("ACTIVE", "True")


@pytest.mark.parametrize(("first", "second"), [("alpha", "beta"), ("beta", "alpha")])
async def test_an_object_goes_from_one_node_to_another_and_back_without_being_deleted(
    inside: Inside, first: str, second: str
) -> None:
    await inside.define(_pair(first, second))
    await inside.create(shop(mon=False))
    _stands(inside, first, {"by": "keys", "key": "k"})
    made = inside.get("ConfigMap", "shop-store")["metadata"]["uid"]
    for mon, node, data in ((True, second, {"by": "role"}), (False, first, {"by": "keys", "key": "k"})):
        calls = len(inside.calls)
        await inside.edit("WebShop", "shop", {"spec": {"mon": mon}})
        _stands(inside, node, data)
        assert [write for write in inside.writes(calls) if write[1] == "ConfigMap"] == [
            ("apply", "ConfigMap", "shop-store")
        ]
    assert inside.get("ConfigMap", "shop-store")["metadata"]["uid"] == made
    await inside.edit("ConfigMap", "shop-store", {"data": {"by": "hand"}}, manager="kubectl-edit")
    _stands(inside, first, {"by": "keys", "key": "k"})


@pytest.mark.parametrize(("before", "after"), [("alpha", "beta"), ("beta", "alpha")])
async def test_a_resource_that_gets_another_id_keeps_its_object(inside: Inside, before: str, after: str) -> None:
    await inside.define(rgd(cm(before, {"a": "b"}, name=NAME)))
    await inside.create(shop())
    await inside.edit("ConfigMap", "shop-store", {"data": {"mine": "x"}}, manager="kubectl-edit")
    calls = len(inside.calls)
    await inside.define(rgd(cm(after, {"a": "b", "mine": "ours"}, name=NAME)))
    _stands(inside, after, {"a": "b", "mine": "ours"})
    assert [write for write in inside.writes(calls) if write[1] == "ConfigMap"] == [
        ("apply", "ConfigMap", "shop-store")
    ]


async def test_a_resource_that_becomes_a_collection_and_one_again_keeps_its_object(inside: Inside) -> None:
    one = rgd(cm("store", {"a": "b"}, name=NAME), cm("user", {"of": "${store.metadata.name}"}))
    each = [{"part": "${['store']}"}]
    many = rgd(
        cm("store", {"a": "b"}, name="${schema.metadata.name}-${part}", forEach=each),
        cm("user", {"of": "${store[0].metadata.name}"}),
    )
    await inside.define(one)
    await inside.create(shop())
    made = inside.get("ConfigMap", "shop-store")["metadata"]["uid"]
    for definition in (many, one):
        await inside.define(definition)
        _stands(inside, "store", {"a": "b"})
        assert inside.data("shop-user") == {"of": "shop-store"}
    assert inside.get("ConfigMap", "shop-store")["metadata"]["uid"] == made


@pytest.mark.parametrize(("before", "after"), [("alpha", "beta"), ("beta", "alpha")])
async def test_a_collection_that_gets_another_id_keeps_its_objects(inside: Inside, before: str, after: str) -> None:
    def collection(node: str) -> dict[str, Any]:
        each = [{"part": "${schema.spec.names}"}]
        pieces = cm(node, {"a": "${part}"}, name="${schema.metadata.name}-${part}", forEach=each)
        return rgd(pieces, cm("sum", {"n": f"${{string(size({node}))}}"}))

    await inside.define(collection(before))
    await inside.create(shop(names=["store", "x"]))
    calls = len(inside.calls)
    await inside.define(collection(after))
    _stands(inside, after, {"a": "store"})
    assert inside.data("shop-sum") == {"n": "2"}
    assert [verb for verb, kind, _ in inside.writes(calls) if kind == "ConfigMap"] == ["apply", "apply"]
