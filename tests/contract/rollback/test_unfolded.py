"""What is asked for while no controller runs is seen by whoever asks, and done when one runs again."""

from __future__ import annotations

from kro_es.history import holds, pinning, pins, rollback, targets, timeline
from kro_es.history.causes import Causes
from kro_es.history.timeline import Filters
from kro_es.history.whole import Wanted
from tests.contract.rollback.conftest import Desk, web
from tests.support.steps import faults


async def test_a_command_is_in_the_log_at_once_though_nobody_folds_it(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    await twenty.inside.end()
    history = twenty.history
    target = targets.find(history, "webshop/shop-03", "team-a")
    made = await rollback.planned(
        history, twenty._connected(), target, Wanted(str(history.head), hold=True, spec_only=True)
    )
    await rollback.carry_out(history, twenty._connected(), made, "it was better", hold=True)
    found = pinning.chosen(history, "webshop/shop-04", "team-a")
    made = await rollback.planned_pins(history, twenty._connected(), [found], 1)
    await rollback.carry_out(history, twenty._connected(), made, "not now")

    history = twenty.history
    types = ["command.instance_rollback", "command.hold", "command.pin"]
    newest = timeline.listed(history, Filters(limit=3)).rows
    assert [(row["type"], row["actor"], row["actor_source"]) for row in newest] == [
        (one, "dana", "cli") for one in types
    ]
    about = timeline.listed(history, Filters(limit=2), target).rows
    assert [row["type"] for row in about] == types[:2]
    assert [row["type"] for row in timeline.listed(history, Filters(type="command.pin")).rows] == ["command.pin"]
    assert timeline.listed(history, Filters(actor="dana", until=history.head - 1)).rows[-1]["type"] == "command.hold"
    followed = [row for _, rows in timeline.after(history, history.head - 2, Filters(), None) for row in rows]
    assert [row["type"] for row in followed] == types[1:]
    assert Causes(history).link(history.head).summary == "pinned to revision 1: not now"
    assert [row["object"] for row in holds.holds(history).rows] == ["webshop/shop-03"]
    assert [row["object"] for row in pins.pins(history).rows] == ["webshop/shop-04"]

    await twenty.inside.start()
    assert twenty.inside.data("shop-04-cfg")["color"] == "red"
    assert timeline.listed(twenty.history, Filters(type="command.pin")).rows[0] == newest[2]
    assert faults(twenty.inside.url) == []
