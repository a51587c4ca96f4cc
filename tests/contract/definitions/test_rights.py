"""A kind the controller has no right to: whoever needs it is told so, everybody else is served (spec/04 §10)."""

from __future__ import annotations

from tests.contract.definitions.steps import CM, condition, put, state, thing, things
from tests.support.inside import Inside
from tests.support.steps import definition

RUNS = "ControllerReady"
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "${schema.metadata.name}"},
    "spec": {"ports": [{"port": 80}]},
}


async def test_a_kind_that_may_not_be_listed_is_told_and_holds_nobody_up(inside: Inside) -> None:
    """More of them than there are workers."""
    inside.server.forbidden.add("/ConfigMap")
    for number in range(6):
        await put(inside, things(CM, name=f"things{number}", kind=f"Thing{number}"))
    status, reason, text = condition(inside, RUNS, "things5")
    assert (status, reason) == ("False", "FailedToStart")
    assert text == (
        "the controller may not list and watch configmaps: its role lacks it;"
        " a ClusterRole labelled rbac.kro.run/aggregate-to-controller=true adds to it"
    )
    await put(inside, definition("served", "Served", {}, {"id": "svc", "template": SERVICE}))
    assert state(inside, "served") == "Active"


async def test_a_right_that_is_given_later_is_enough(inside: Inside) -> None:
    inside.server.forbidden.add("/ConfigMap")
    await put(inside, things(CM))
    assert condition(inside, RUNS)[0] == "False"
    inside.server.forbidden.clear()
    inside.server.wake()
    await inside.rest()
    assert (condition(inside, RUNS)[0], state(inside)) == ("True", "Active"), "no retry has to come for it"
    await inside.create(thing())
    assert inside.state("one", "Thing") == "ACTIVE"


async def test_all_rights_that_are_lacking_are_told_at_once(inside: Inside) -> None:
    inside.server.forbidden |= {"/ConfigMap", "/Service", "kro.run/Served"}
    await put(inside, definition("served", "Served", {}, {"id": "svc", "template": SERVICE}, CM))
    told = condition(inside, RUNS, "served")[2]
    assert "may not list and watch configmaps, services, serveds.kro.run: its role lacks them" in told
    inside.server.forbidden -= {"/ConfigMap", "/Service"}
    inside.server.wake()
    await inside.rest()
    assert "may not list and watch serveds.kro.run: its role lacks it" in condition(inside, RUNS, "served")[2]
    inside.server.forbidden.clear()
    inside.server.wake()
    await inside.rest()
    assert state(inside, "served") == "Active"


async def test_a_right_that_was_taken_away_does_not_keep_a_start_from_the_other_kinds(inside: Inside) -> None:
    await put(inside, things(CM))
    await inside.create(thing())
    await put(inside, definition("served", "Served", {}, {"id": "svc", "template": SERVICE}))
    inside.server.forbidden.add("/ConfigMap")
    await inside.restart()
    await inside.rest()
    assert inside.controller is not None
    assert inside.controller.assembled.loop.synced
    await inside.create(thing("two", "Served"))
    assert inside.state("two", "Served") == "ACTIVE"
