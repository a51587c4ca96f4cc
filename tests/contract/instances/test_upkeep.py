"""The log is pruned, redacted and rebuilt under a running controller, which goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from kro_es.events.types import Actor, ReconcileDecided
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.prune import plan, prune
from kro_es.store.rebuild import compare_with_log
from kro_es.store.redact import plan as plan_redaction
from kro_es.store.redact import redact
from kro_es.store.verify import verify
from tests.contract.instances.shapes import CFG, rgd, shop
from tests.support.inside import Inside

SOMEBODY = Actor("somebody", "cli")
SLIPPED = "slipped-through"


@pytest.fixture
def engine(inside: Inside) -> Iterator[Engine]:
    opened = open_engine(inside.url)
    yield opened
    opened.dispose()


async def test_a_running_controller_goes_on(inside: Inside, engine: Engine) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color=SLIPPED))
    for number in range(6):
        await inside.edit("ConfigMap", "shop-cfg", {"status": {"beat": number}}, status=True)
    await inside.edit("WebShop", "shop", {"spec": {"color": "red"}})
    before = inside.versions()
    now = inside.clock()

    def look_after() -> int:
        found = plan(engine, now)
        prune(engine, found, actor=SOMEBODY, now=now)
        redact(engine, plan_redaction(engine, [SLIPPED]), reason="a test", actor=SOMEBODY, now=now)
        live_rebuild(engine, PROJECTIONS, actor=SOMEBODY, now=now)
        return len(found.positions)

    assert await asyncio.to_thread(look_after) > 0
    seen = inside.events()[-1].position
    await inside.pass_time()
    assert inside.versions() == before
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"color": "green"}}, manager="somebody")
    assert inside.data("shop-cfg") == {"color": "blue"}
    assert inside.state() == "ACTIVE"
    later = [event.body for event in inside.events() if event.position > seen]
    assert [body.drift[0]["path"] for body in later if isinstance(body, ReconcileDecided) and body.drift] == [
        "data.color"
    ]
    assert SLIPPED not in str(inside.events())
    assert SLIPPED not in str([inside.rows(projection.name) for projection in PROJECTIONS])
    report = verify(engine)
    assert report.faults == []
    assert report.pruned > 0
    assert report.redacted > 0
    assert compare_with_log(engine, PROJECTIONS) == []
    # and a start over the same log finds nothing to do
    after = inside.versions()
    await inside.restart()
    await inside.pass_time()
    assert (inside.versions(), inside.writes()) == (after, [])
