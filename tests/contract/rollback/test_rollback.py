"""Every kind of rollback with twenty instances: the graph is what was recorded, whatever comes in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kro_es.errors import ApiError, Interrupted, UserError
from kro_es.events.types import Actor, Event, WatchGap
from kro_es.history import rollback, targets
from kro_es.history.progress import progress
from kro_es.history.times import iso
from kro_es.history.whole import Wanted
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.live_rebuild import live_rebuild
from tests.contract.instances.shapes import cm, rgd, shop
from tests.contract.rollback.conftest import MANY, NAMES, Desk, web
from tests.support.fake_cluster import Call, Fault
from tests.support.steps import faults


async def test_a_definition_goes_back_and_every_object_is_as_it_was(twenty: Desk) -> None:
    before = twenty.graph()
    await twenty.inside.define(web("blue", cm("extra", {"a": "b"})))
    assert len(twenty.inside.names("ConfigMap")) == 2 * MANY
    made = await twenty.plan(to="1")
    assert made.counts() == {"created": 0, "updated": MANY, "deleted": MANY}
    assert [risk.name for risk in made.risks] == ["deletes-objects"]
    end = await twenty.roll_back(to="1")
    assert (end.revision, end.done, end.verdict) == (3, MANY, "done")
    assert twenty.graph() == before
    assert faults(twenty.inside.url) == []


async def test_one_instance_goes_back_and_the_others_stay(twenty: Desk) -> None:
    before, position = twenty.graph(), twenty.position()
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    assert twenty.inside.data("shop-03-cfg")["key"] == "two"
    end = await twenty.roll_back("webshop/shop-03", to=position)
    assert (end.done, end.verdict) == (1, "done")
    assert twenty.graph() == before


async def test_the_whole_graph_goes_back_instances_that_are_gone_too(twenty: Desk) -> None:
    before, position = twenty.graph(), twenty.position()
    await twenty.inside.define(web("blue", cm("extra")))
    for name in NAMES[:5]:
        await twenty.inside.edit("WebShop", name, {"spec": {"key": "two"}})
    await twenty.inside.delete("WebShop", "shop-07")
    await twenty.inside.create(shop("later", key="x"))
    made = await twenty.plan(to=position, whole=True)
    assert [step.target.ref.name for step in made.steps] == ["webshop-rgd", *NAMES[:5], "shop-07"]
    assert made.counts() == {"created": 1, "updated": MANY, "deleted": MANY}
    assert "left as they are: webshop team-a/later" in made.notes[-1]
    end = await twenty.roll_back(to=position, whole=True)
    assert (end.done, end.failed, end.verdict) == (MANY + 1, 0, "done")
    after = twenty.graph()
    assert {key: value for key, value in after.items() if "later" not in key} == before
    assert twenty.inside.data("later-cfg") == {"color": "red", "key": "x"}


async def test_the_end_of_a_revision_is_a_moment_too(twenty: Desk) -> None:
    before = twenty.graph()
    await twenty.inside.define(web("blue"))
    await twenty.inside.edit("WebShop", "shop-00", {"spec": {"key": "two"}})
    await twenty.roll_back(to="webshop-rgd@1", whole=True)
    assert twenty.graph() == before
    with pytest.raises(UserError, match="webshop-rgd@9 was never an active revision"):
        await twenty.plan(to="webshop-rgd@9", whole=True)


async def test_an_instance_that_was_deleted_comes_back(twenty: Desk) -> None:
    before, position = twenty.graph(), twenty.position()
    await twenty.inside.delete("WebShop", "shop-07")
    assert "shop-07-cfg" not in twenty.inside.names("ConfigMap")
    end = await twenty.roll_back("webshop/shop-07", to=position)
    assert (end.done, end.verdict) == (1, "done")
    assert twenty.graph() == before
    assert faults(twenty.inside.url) == []


async def test_an_instance_somebody_else_made_again_is_not_touched(twenty: Desk) -> None:
    position = twenty.position()
    await twenty.inside.delete("WebShop", "shop-07")
    made = await twenty.plan("webshop/shop-07", to=position)
    await twenty.inside.create(shop("shop-07", key="theirs"))
    with pytest.raises(UserError, match="shop-07 is there again since the plan was made"):
        await twenty.carry_out(made)
    assert twenty.inside.data("shop-07-cfg")["key"] == "theirs"


NARROW: dict[str, Any] = {"key": "string | default=none"}
WIDE: dict[str, Any] = {**NARROW, "size": "integer | default=1"}


def _sized(wide: bool) -> dict[str, Any]:
    made = rgd(cm("cfg", {"key": "${schema.spec.key}" + (" ${string(schema.spec.size)}" if wide else "")}))
    made["spec"]["schema"]["spec"] = WIDE if wide else NARROW
    return made


async def test_a_narrower_schema_comes_after_the_specs_that_fit_it(desk: Desk) -> None:
    await desk.inside.define(_sized(wide=False))
    await desk.inside.create(*(shop(name, key="one") for name in NAMES))
    before, position = desk.graph(), desk.position()
    await desk.inside.define(_sized(wide=True))
    for name in NAMES:
        await desk.inside.edit("WebShop", name, {"spec": {"size": 9}})
    made = await desk.plan(to=position, whole=True)
    assert [risk.name for risk in made.risks] == ["breaking-change"]
    assert made.steps[-1].target.is_definition
    end = await desk.roll_back(to=position, whole=True, breaking=True)
    assert (end.done, end.verdict) == (MANY, "done")
    assert desk.graph() == before
    # the log still has what the server gave them by default before the schema became narrow
    assert (await desk.plan(to=position, whole=True)).steps == ()


async def test_a_wider_schema_comes_before_the_specs_that_need_it(desk: Desk) -> None:
    await desk.inside.define(_sized(wide=True))
    await desk.inside.create(*(shop(name, key="one", size=9) for name in NAMES))
    before, position = desk.graph(), desk.position()
    narrow = _sized(wide=False)
    narrow["metadata"]["annotations"] = {"kro.run/allow-breaking-changes": "true"}
    desk.inside.server.patch(desk.inside.ref("ResourceGraphDefinition", "webshop-rgd"), narrow)
    await desk.inside.rest()
    await desk.inside.define(narrow)
    for name in NAMES:
        await desk.inside.edit("WebShop", name, {"spec": {"size": None}})
    made = await desk.plan(to=position, whole=True)
    assert made.steps[0].target.is_definition
    end = await desk.roll_back(to=position, whole=True)
    assert (end.done, end.verdict) == (MANY, "done")
    assert desk.graph() == before


@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_in_the_middle_the_same_command_goes_on(twenty: Desk, when: str) -> None:
    before, position = twenty.graph(), twenty.position()
    await twenty.inside.define(web("blue"))
    for name in NAMES:
        await twenty.inside.edit("WebShop", name, {"spec": {"key": "two"}})
    made = await twenty.plan(to=position, whole=True)
    assert len(made.steps) == MANY + 1

    def at_the_tenth(call: Call) -> Fault | None:
        replaced = [one for one in twenty.connection.calls if one.verb == "replace"]
        return Fault(when) if call.verb == "replace" and len(replaced) == 20 else None

    twenty.fault = at_the_tenth
    await twenty.killed(made)
    rest = await twenty.plan(to=position, whole=True)
    assert 10 <= len(rest.steps) <= 12
    end = await twenty.roll_back(to=position, whole=True)
    assert end.verdict == "done"
    assert twenty.graph() == before
    assert faults(twenty.inside.url) == []


async def test_a_controller_that_dies_meanwhile_finishes_after_its_start(twenty: Desk) -> None:
    before = twenty.graph()
    await twenty.inside.define(web("blue"))
    made = await twenty.plan(to="1")
    applied = iter(range(MANY))
    twenty.inside.fault = lambda call: Fault("after") if call.verb == "apply" and next(applied, 0) == 9 else None
    await twenty.inside.restart()
    command = await twenty.carry_out(made)
    assert twenty.inside.controller is not None
    assert twenty.inside.controller.connection.dead
    twenty.inside.fault = lambda call: None
    await twenty.inside.restart()
    assert progress(twenty.history, made, command).verdict == "done"
    assert twenty.graph() == before


async def test_an_edit_in_between_stops_it_and_tells_what_was_done(twenty: Desk) -> None:
    position = twenty.position()
    for name in NAMES[:3]:
        await twenty.inside.edit("WebShop", name, {"spec": {"key": "two"}})
    made = await twenty.plan(to=position, whole=True)
    await twenty.inside.edit("WebShop", "shop-01", {"spec": {"key": "gitops"}}, manager="argocd")
    with pytest.raises(UserError) as error:
        await twenty.carry_out(made)
    await twenty.inside.rest()
    assert "shop-01 changed since the plan was made" in str(error.value)
    assert "done: webshop team-a/shop-00; not done: webshop team-a/shop-01, webshop team-a/shop-02" in str(error.value)
    assert f"--to {made.base} --with-instances" in str(error.value)
    assert [twenty.inside.data(f"{name}-cfg")["key"] for name in NAMES[:3]] == ["one", "gitops", "two"]


async def test_ctrl_c_in_the_middle_tells_what_was_done_and_the_same_command_goes_on(twenty: Desk) -> None:
    position = twenty.position()
    for name in NAMES[:3]:
        await twenty.inside.edit("WebShop", name, {"spec": {"key": "two"}})
    before = await twenty.plan(to=position, whole=True)

    def stop(call: Call) -> Fault | None:
        task = asyncio.current_task()
        if (call.verb, call.ref.name) == ("replace", "shop-01") and task is not None:
            task.cancel()
        return None

    twenty.fault = stop
    with pytest.raises(Interrupted) as told:
        await twenty.carry_out(before)
    twenty.fault = lambda call: None
    await twenty.inside.rest()
    assert "stopped in the middle of webshop team-a/shop-01, which may be written or not; done:" in str(told.value)
    assert "done: webshop team-a/shop-00; not done: webshop team-a/shop-01, webshop team-a/shop-02" in str(told.value)
    assert (await twenty.roll_back(to=position, whole=True)).verdict == "done"
    assert [twenty.inside.data(f"{name}-cfg")["key"] for name in NAMES[:3]] == ["one", "one", "one"]


async def test_whoever_may_not_write_leaves_no_command_behind(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    made = await twenty.plan(to="1")
    twenty.fault = lambda call: (
        Fault("before", ApiError(403, "Forbidden", "may not")) if call.verb == "replace" else None
    )
    with pytest.raises(ApiError, match="may not"):
        await twenty.carry_out(made)
    assert not [event for event in twenty.inside.events() if event.type.startswith("command.")]


def _gap(event: Event) -> WatchGap | None:
    return event.body if isinstance(event.body, WatchGap) else None


async def test_going_back_to_a_time_nobody_watched_has_to_be_accepted(twenty: Desk) -> None:
    twenty.inside.server.break_watches(expired=True)
    await twenty.inside.pass_time(60)
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    gap = next(body for body in map(_gap, twenty.inside.events()) if body and body.kind == "kro.run/WebShop")
    moment = (gap.since + gap.until) // 2
    made = await twenty.plan(to=iso(moment), whole=True)
    assert "blind-spot" in [risk.name for risk in made.risks]
    assert [step.target.ref.name for step in made.steps] == ["shop-03"]


async def test_only_a_definition_has_instances_to_take_along(twenty: Desk) -> None:
    with pytest.raises(UserError, match="--with-instances goes with a definition"):
        await twenty.plan("webshop/shop-00", to="1", whole=True)


async def test_a_definition_that_is_gone_is_told(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    made = await twenty.plan(to="1")
    twenty.inside.server.erase(twenty.inside.ref("ResourceGraphDefinition", "webshop-rgd"))
    await twenty.inside.rest()
    with pytest.raises(UserError, match="is not in the cluster any more: it was not written"):
        await twenty.carry_out(made)


async def test_the_log_of_another_cluster_is_refused(twenty: Desk) -> None:
    twenty.connection = twenty._connected()

    async def other() -> str:
        return "another"

    twenty.connection.cluster_id = other  # type: ignore[method-assign]
    target = targets.find(twenty.history, "webshop-rgd")
    with pytest.raises(UserError, match="this log is of cluster cluster, the kubeconfig leads to another"):
        await rollback.planned(twenty.history, twenty.connection, target, Wanted("1"))


async def test_a_definition_that_narrows_goes_back_alone_when_that_is_meant(desk: Desk) -> None:
    await desk.inside.define(_sized(wide=False))
    await desk.inside.create(*(shop(name, key="one") for name in NAMES))
    before = desk.graph()
    await desk.inside.define(_sized(wide=True))
    made = await desk.plan(to="1")
    assert [risk.name for risk in made.risks] == ["breaking-change"]
    assert [risk.name for risk in made.refused({"deletes-objects"})] == ["breaking-change"]
    end = await desk.roll_back(to="1", breaking=True)
    assert (end.revision, end.done, end.verdict) == (3, MANY, "done")
    assert desk.graph() == before


async def test_one_instance_back_to_a_time_nobody_watched_has_to_be_accepted_too(twenty: Desk) -> None:
    before = twenty.graph()
    twenty.inside.server.break_watches(expired=True)
    await twenty.inside.pass_time(60)
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    gap = next(body for body in map(_gap, twenty.inside.events()) if body and body.kind == "kro.run/WebShop")
    made = await twenty.plan("webshop/shop-03", to=iso((gap.since + gap.until) // 2))
    assert [risk.name for risk in made.risks] == ["blind-spot"]
    assert progress(twenty.history, made, await twenty.carry_out(made)).verdict == "done"
    assert twenty.graph() == before


@pytest.mark.parametrize("when", ["before", "after"])
async def test_one_instance_whose_rollback_was_killed_goes_back_with_the_same_command(twenty: Desk, when: str) -> None:
    before, position = twenty.graph(), twenty.position()
    await twenty.inside.define(web("blue", cm("extra")))
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    after = twenty.graph()
    made = await twenty.plan("webshop/shop-03", to=position)

    def at_the_write(call: Call) -> Fault | None:
        replaced = [one for one in twenty.connection.calls if one.verb == "replace"]
        return Fault(when) if call.verb == "replace" and len(replaced) == 2 else None

    twenty.fault = at_the_write
    await twenty.killed(made)
    end = await twenty.roll_back("webshop/shop-03", to=position)
    assert end.verdict == "done"
    mine = {key: value for key, value in twenty.graph().items() if "/shop-03" in key}
    assert mine == {key: value for key, value in before.items() if "/shop-03" in key}
    others = {key: value for key, value in twenty.graph().items() if "/shop-03" not in key}
    assert others == {key: value for key, value in after.items() if "/shop-03" not in key}
    assert faults(twenty.inside.url) == []


async def test_a_log_with_commands_is_folded_anew_by_several_processes(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    await twenty.roll_back(to="1")
    await twenty.inside.end()
    engine = open_engine(twenty.inside.url)
    live_rebuild(engine, PROJECTIONS, actor=Actor("somebody", "cli"), now=twenty.inside.server.now, processes=2)
    engine.dispose()
    assert faults(twenty.inside.url) == []
    await twenty.inside.start()
