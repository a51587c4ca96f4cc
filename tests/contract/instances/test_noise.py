"""What changes nothing a person would call content is not recorded, and not forgotten either."""

from __future__ import annotations

from kro_es.events.types import ObjectObserved
from tests.contract.instances.shapes import CFG, rgd, shop
from tests.support.inside import Inside


async def test_updates_without_content_are_counted_with_the_next_one(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    before = len(inside.events())
    same = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop-cfg", "namespace": "team-a"}}
    for manager in ("one", "two", "three"):
        inside.server.apply({**same, "data": {"color": "red"}}, manager, force=True)
        await inside.rest()
    assert len(inside.events()) == before
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"more": "1"}})
    observed = [event.body for event in inside.events()[before:] if isinstance(event.body, ObjectObserved)]
    assert [body.dropped for body in observed][:1] == [3]
