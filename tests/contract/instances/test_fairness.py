"""Thousands of instances of one definition, and one of another that comes while all of them have something to do."""

from __future__ import annotations

import copy

from kro_es.events.types import InstanceSettled, ObjectObserved, ReconcileDecided
from tests.contract.instances.shapes import CFG, Object, cm, rgd, shop
from tests.support.inside import Inside


def decided(inside: Inside, kind: str) -> list[int]:
    return [e.position for e in inside.events() if isinstance(e.body, ReconcileDecided) and e.subject.kind == kind]


async def test_one_of_another_definition_waits_for_a_few_passes_not_for_the_crowd(
    inside: Inside, nightly: bool
) -> None:
    crowd = 5_000 if nightly else 200
    inside.rest_seconds = 600
    many = rgd(CFG, name="crowd-rgd", kind="Crowd")
    await inside.define(many, rgd(cm("one", {"color": "${schema.spec.color}"})))
    for number in range(crowd):
        inside.server.create(shop(f"c{number}", kind="Crowd", color="red"))
    await inside.rest()
    edited: Object = copy.deepcopy(many)
    edited["spec"]["resources"][0]["template"]["data"]["more"] = "new"
    live = inside.get("ResourceGraphDefinition", "crowd-rgd")
    inside.server.update({**live, "spec": edited["spec"]})
    # the roll-out is under way when the other one comes
    assert inside.controller is not None
    while inside.controller.queue.depth < crowd * 0.8:
        await inside.moment()
    await inside.create(shop("other", color="blue"))
    assert inside.data("c0-cfg")["more"] == "new"
    events = [event for event in inside.events() if event.subject.name == "other"]
    seen = next(event.position for event in events if isinstance(event.body, ObjectObserved))
    ready = next(event.position for event in events if isinstance(event.body, InstanceSettled) and event.body.ready)
    passes = decided(inside, "Crowd")
    meanwhile = [position for position in passes if seen < position < ready]
    afterwards = [position for position in passes if position > ready]
    # four workers, and a handful of rounds for a new instance: a pass takes some milliseconds
    assert len(meanwhile) <= 40, len(meanwhile)
    assert len(afterwards) > crowd / 2
