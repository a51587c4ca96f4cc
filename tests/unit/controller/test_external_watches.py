"""A watch lives as long as somebody reads what it shows, and a change wakes the readers it concerns and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.api.selector import Selector
from kro_es.api.watch import Watched
from kro_es.controller.externals import ExternalReads, ExternalWatches
from kro_es.controller.queue import Key
from kro_es.decisions.taint import Taints
from kro_es.projections.projection import Row
from kro_es.runtime.expand import Fatal

MAPS = Resource(Gvk("", "v1", "ConfigMap"), "configmaps", namespaced=True)
BY_NAME = Watched(MAPS, None, "n", "x")
GOLD = Selector.parse({"matchLabels": {"tier": "gold"}})
BY_LABEL = Watched(MAPS, GOLD)
ONE, TWO = Key("instance", "u1", "g/K/n/one"), Key("instance", "u2", "g/K/n/two")


class World:
    """The watches that run, the keys that were woken, and the rows there are."""

    position = 1

    def __init__(self) -> None:
        self.running: list[Watched] = []
        self.woken: list[Key] = []
        self.searches = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.objects: dict[str, JsonObject] = {}
        self.watches = ExternalWatches(self.woken.append)
        self.watches.attach(self)

    async def ensure(self, watched: Watched) -> None:
        self.running.append(watched)
        await self.answers.wait()

    async def stop(self, watched: Watched) -> None:
        self.running.remove(watched)

    def add(self, name: str, namespace: str = "n", **labels: str) -> ObjectRef:
        meta = {"name": name, "namespace": namespace, "labels": labels, "uid": name}
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        self.objects[ObjectRef.of(obj).key] = obj
        return ObjectRef.of(obj)

    def row(self, projection: str, key: str) -> Row | None:
        return {"object": self.objects[key]} if key in self.objects else None

    def rows(self, projection: str, column: str, value: object) -> list[Row]:
        self.searches += 1
        return [{"object": obj} for key, obj in sorted(self.objects.items()) if key.startswith(f"{value}/")]

    def reads(self) -> ExternalReads:
        def clear(row: Row) -> Any:
            return row["object"]

        return ExternalReads(self, self.watches, Taints(), clear)

    def woken_by(self, ref: ObjectRef, labels: Mapping[str, str] | None) -> list[Key]:
        self.woken.clear()
        self.watches.changed(ref, labels)
        return self.woken


async def test_readers_share_a_watch_that_ends_with_the_last() -> None:
    world = World()
    world.watches.reads(ONE, [BY_NAME], [])
    world.watches.reads(TWO, [BY_NAME, BY_LABEL], [])
    await world.watches.wait([BY_NAME, BY_LABEL])
    assert world.running == [BY_NAME, BY_LABEL]
    await world.watches.release(world.watches.reads(TWO, [], []))
    assert world.running == [BY_NAME]
    idle = world.watches.reads(ONE, [], [])
    world.watches.reads(TWO, [BY_NAME], [])
    await world.watches.release(idle)
    assert world.running == [BY_NAME]


async def test_a_change_wakes_who_sees_the_object_now_or_saw_it_before() -> None:
    world = World()
    inside, outside = world.add("x", tier="gold"), world.add("y")
    world.watches.reads(ONE, [BY_NAME], [inside.key])
    world.watches.reads(TWO, [BY_LABEL], [inside.key])
    assert world.woken_by(inside, {"tier": "gold"}) == [ONE, TWO]
    assert world.woken_by(inside, {"tier": "iron"}) == [ONE, TWO]
    assert world.woken_by(inside, None) == [ONE, TWO]
    assert world.woken_by(outside, {"tier": "gold"}) == [TWO]
    assert world.woken_by(outside, {}) == []
    world.watches.reads(TWO, [BY_LABEL], [])
    assert world.woken_by(inside, {"tier": "iron"}) == [ONE]


async def test_nothing_is_read_before_it_is_listed() -> None:
    world = World()
    ref = world.add("x", tier="gold")
    first = world.reads()
    assert first.named(MAPS, "n", "x") is None
    assert first.selected(MAPS, "", GOLD) == ()
    assert first.missing == [BY_NAME, BY_LABEL]
    world.watches.reads(ONE, first.wanted, [])
    await world.watches.wait(first.missing)
    again = world.reads()
    found = again.named(MAPS, "n", "x")
    assert found is not None
    assert [child.ref for child in again.selected(MAPS, "", GOLD)] == [ref]
    assert again.selected(MAPS, "m", GOLD) == ()
    assert again.missing == [Watched(MAPS, GOLD, "m")]
    assert [child.ref for child in again.found] == [ref]


async def test_a_selection_is_searched_for_once_and_kept_up_to_date() -> None:
    world = World()
    first = world.add("x", tier="gold")
    world.add("y", tier="iron")
    world.watches.reads(ONE, [BY_LABEL], [])
    await world.watches.wait([BY_LABEL])

    def names() -> list[str]:
        return [child.ref.name for child in world.reads().selected(MAPS, "", GOLD)]

    assert names() == ["x"]
    assert world.searches == 1
    world.watches.position = world.position
    assert (names(), names(), world.searches) == (["x"], ["x"], 2)
    second = world.add("z", tier="gold")
    world.watches.changed(second, {"tier": "gold"})
    world.watches.changed(first, {"tier": "iron"})
    assert (names(), world.searches) == (["z"], 2)
    world.position += 1
    assert (names(), world.searches) == (["x", "z"], 3)


async def test_what_was_made_from_a_secret_by_another_instance_is_not_read() -> None:
    world = World()
    ref = world.add(
        "x", **{"kro.run/instance-group": "kro.run", "kro.run/instance-kind": "Other", "kro.run/node-id": "c"}
    )
    taints = Taints()
    world.watches.reads(ONE, [BY_NAME], [])
    await world.watches.wait([BY_NAME])
    reads = ExternalReads(world, world.watches, taints, lambda row: world.objects[ref.key])
    assert reads.named(MAPS, "n", "x") is not None
    taints.learn("kro.run", "Other", {"c": [["data", "url"]]})
    with pytest.raises(Fatal, match="it holds values made from a Secret: refer to the Secret itself"):
        reads.named(MAPS, "n", "x")


async def test_a_list_that_does_not_come_is_an_error_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kro_es.controller.externals.LIST_SECONDS", 0.0)
    world = World()
    world.answers.clear()
    world.watches.reads(ONE, [BY_NAME], [])
    await world.watches.wait([BY_NAME])
    with pytest.raises(Fatal, match=r"external ref get /v1, Kind=ConfigMap namespace=n,name=x: no list within"):
        world.reads().named(MAPS, "n", "x")
    world.answers.set()
    while not world.watches.listed(BY_NAME):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert world.woken == [ONE]
    assert world.reads().named(MAPS, "n", "x") is None
