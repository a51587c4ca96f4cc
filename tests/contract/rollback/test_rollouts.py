"""How long a revision took is told of those who moved to it, whoever is made at it later."""

from __future__ import annotations

from kro_es.history.read_only import select
from kro_es.history.revisions import rollouts, stats
from tests.contract.instances.shapes import shop
from tests.contract.rollback.conftest import MANY, Desk, web

CLOCK = ("started", "finished", "seconds", "took")


async def test_an_instance_made_later_is_counted_and_moves_no_clock(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    _, before = rollouts(twenty.history, "webshop-rgd").rows
    lead = stats(twenty.history, "webshop-rgd").rows[1]["lead_seconds"]
    await twenty.inside.pass_time(3600)
    await twenty.inside.create(shop("late", key="one"))
    _, after = rollouts(twenty.history, "webshop-rgd").rows
    assert (before["done"], after["done"]) == (MANY, MANY + 1)
    assert {name: after[name] for name in CLOCK} == {name: before[name] for name in CLOCK}
    assert stats(twenty.history, "webshop-rgd").rows[1]["lead_seconds"] == lead
    (told,) = select(twenty.inside.url, "SELECT seconds, instances FROM v_rollouts WHERE revision = 2").rows
    assert told == {"seconds": before["seconds"], "instances": MANY + 1}


async def test_of_a_first_revision_all_were_made_at_it(twenty: Desk) -> None:
    (first,) = rollouts(twenty.history, "webshop-rgd").rows
    assert (first["done"], first["finished"] is not None) == (MANY, True)
