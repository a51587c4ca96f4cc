"""A pin: an instance runs one revision whatever becomes active, until it is unpinned; whoever asks can see it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kro_es.errors import UserError
from kro_es.events.types import CommandPin
from kro_es.history import doctor, pinning, pins, preview, rollback, targets, timeline
from kro_es.history.progress import progress
from kro_es.history.revisions import revisions, rollouts
from kro_es.history.timeline import Filters
from kro_es.store.engine import open_engine
from tests.contract.instances.shapes import cm, rgd, shop
from tests.contract.rollback.conftest import MANY, Desk, web
from tests.contract.rollback.pinned import LABEL, MARK, color, condition, lost_log, pin, unpin
from tests.support.fake_cluster import Fault
from tests.support.steps import faults


async def test_a_pinned_instance_stays_while_the_others_go_on(twenty: Desk) -> None:
    end = await pin(twenty, to=1)
    assert (end.done, end.verdict) == (1, "done")
    await twenty.inside.define(web("blue", cm("extra")))
    assert (color(twenty, "shop-03"), color(twenty, "shop-04")) == ("red", "blue")
    assert "shop-03-extra" not in twenty.inside.names("ConfigMap")
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    assert twenty.inside.data("shop-03-cfg") == {"color": "red", "key": "two"}
    await twenty.inside.edit("ConfigMap", "shop-03-cfg", {"data": {"color": "green"}}, manager="somebody")
    assert color(twenty, "shop-03") == "red"
    live = twenty.inside.get("WebShop", "shop-03")
    assert live["metadata"]["labels"][LABEL] == "1"
    assert live["metadata"]["annotations"][MARK].startswith("revision 1@")
    assert (condition(twenty)["status"], twenty.inside.condition("shop-03", "Ready")[0]) == ("True", "True")
    assert "by dana: it was better" in condition(twenty)["message"]
    assert condition(twenty, "shop-04") == {}
    target = targets.find(twenty.history, "webshop/shop-03", "team-a")
    assert "by dana: it was better" in doctor.doctor(twenty.history, target)[1]["pinned"]
    told = [row["summary"] for row in timeline.listed(twenty.history, Filters(), target).rows]
    assert "pinned to revision 1: it was better" in told
    assert faults(twenty.inside.url) == []


async def test_a_pin_goes_back_to_an_older_revision_and_its_end_to_the_active_one(twenty: Desk) -> None:
    red = twenty.graph()
    await twenty.inside.define(web("blue", cm("extra")))
    blue = twenty.graph()
    end = await pin(twenty, to=1)
    assert (end.revision, end.verdict) == (1, "done")
    mine = {key: value for key, value in twenty.graph().items() if "/shop-03" in key}
    assert mine == {key: value for key, value in red.items() if "/shop-03" in key}
    assert (await unpin(twenty)).verdict == "done"
    assert twenty.graph() == blue
    live = twenty.inside.get("WebShop", "shop-03")
    assert (LABEL in live["metadata"]["labels"], MARK in live["metadata"]["annotations"]) == (False, False)
    assert (condition(twenty), pins.pins(twenty.history).rows) == ({}, [])
    with pytest.raises(UserError, match="webshop team-a/shop-03: not pinned"):
        await unpin(twenty)
    report = twenty.inside.replayed()
    assert (report.differences, report.unknown) == ([], [])
    assert faults(twenty.inside.url) == []


async def test_a_rollout_shows_who_is_pinned_and_waits_for_nobody(twenty: Desk) -> None:
    await pin(twenty, to=1)
    await twenty.inside.define(web("blue"))
    first, second = rollouts(twenty.history, "webshop-rgd").rows
    assert (first["pinned"], second["done"], second["pending"], second["pinned"]) == (0, MANY - 1, 0, 1)
    assert [row["pinned"] for row in revisions(twenty.history, "webshop-rgd").rows] == [1, 0]
    end = await twenty.roll_back(to="1")
    assert (end.revision, end.done, end.pending, end.verdict) == (3, MANY - 1, 0, "done")
    assert "1 instance(s) are pinned and do not follow" in (await twenty.plan(to="2")).notes[-1]


async def test_a_pin_survives_a_restart_and_the_loss_of_its_mark(twenty: Desk) -> None:
    await pin(twenty, to=1)
    await twenty.inside.define(web("blue"))
    await twenty.inside.restart()
    nothing = {"metadata": {"annotations": {MARK: None}, "labels": {LABEL: None}}, "spec": {"key": "two"}}
    await twenty.inside.edit("WebShop", "shop-03", nothing, manager="argocd")
    assert twenty.inside.data("shop-03-cfg") == {"color": "red", "key": "two"}
    assert (await unpin(twenty)).verdict == "done"
    assert color(twenty, "shop-03") == "blue"


async def test_a_pin_outlives_the_log(twenty: Desk, database_template: Path, tmp_path: Path) -> None:
    await twenty.inside.define(web("blue"))
    await pin(twenty, to=1)
    await lost_log(twenty, database_template, tmp_path)
    await twenty.inside.define(web("green"))
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    assert twenty.inside.data("shop-03-cfg") == {"color": "red", "key": "two"}
    assert color(twenty, "shop-04") == "green"
    assert (await unpin(twenty)).verdict == "done"
    assert color(twenty, "shop-03") == "green"


async def test_a_revision_the_log_does_not_know_stops_everything_but_a_deletion(twenty: Desk) -> None:
    before = twenty.graph()
    mark = {"metadata": {"annotations": {MARK: "revision 1@0123456789abcdef"}}}
    await twenty.inside.edit("WebShop", "shop-03", {**mark, "spec": {"key": "two"}})
    assert twenty.inside.data("shop-03-cfg")["key"] == "one"
    assert twenty.inside.condition("shop-03", "Ready")[:2] == ("False", "PinNotKept")
    assert twenty.inside.state("shop-03") == "ERROR"
    assert "which this log does not know: nothing is applied until kro-history unpin" in condition(twenty)["message"]
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "one"}})
    await unpin(twenty)
    assert twenty.graph() == before
    await twenty.inside.edit("WebShop", "shop-04", mark)
    await twenty.inside.delete("WebShop", "shop-04")
    assert "shop-04-cfg" not in twenty.inside.names("ConfigMap")
    report = twenty.inside.replayed()
    assert (report.differences, report.unknown) == ([], [])


async def test_a_pinned_instance_can_be_deleted(twenty: Desk) -> None:
    await pin(twenty, to=1)
    await twenty.inside.define(web("blue"))
    await twenty.inside.delete("WebShop", "shop-03")
    assert "shop-03-cfg" not in twenty.inside.names("ConfigMap")
    assert pins.pins(twenty.history).rows == []


async def test_a_pin_is_refused_when_the_crd_would_prune_what_the_revision_needs(twenty: Desk) -> None:
    wide = web("red")
    del wide["spec"]["schema"]["spec"]["team"]
    await _narrow(twenty, wide)
    before = len(twenty.inside.events())
    with pytest.raises(UserError, match=r"shop-03 cannot run revision 1: the CRD lacks .*: spec.team \(revision 2"):
        await pin(twenty, to=1)
    assert len(twenty.inside.events()) == before


async def _narrow(desk: Desk, wanted: dict[str, Any]) -> None:
    allow = {"metadata": {"annotations": {"kro.run/allow-breaking-changes": "true"}}}
    await desk.inside.edit("ResourceGraphDefinition", "webshop-rgd", {**allow, "spec": wanted["spec"]})
    if "team" not in wanted["spec"]["schema"]["spec"]:
        # a merge patch takes a field away by its name only
        gone = {"spec": {"schema": {"spec": {"team": None}}}}
        await desk.inside.edit("ResourceGraphDefinition", "webshop-rgd", gone)


async def test_a_pin_is_not_kept_when_the_crd_becomes_too_narrow_for_it(twenty: Desk) -> None:
    await pin(twenty, to=1)
    narrow = web("blue")
    del narrow["spec"]["schema"]["spec"]["team"]
    await _narrow(twenty, narrow)
    assert (color(twenty, "shop-03"), color(twenty, "shop-04")) == ("red", "blue")
    assert "the CRD lacks what revision 1 needs: spec.team" in condition(twenty)["message"]
    await twenty.inside.define(web("green"))
    await twenty.inside.pass_time()
    assert twenty.inside.condition("shop-03", "Ready")[0] == "True"
    assert color(twenty, "shop-03") == "red"
    report = twenty.inside.replayed()
    assert (report.differences, report.unknown) == ([], [])


async def test_a_pin_to_nothing_is_refused(twenty: Desk) -> None:
    with pytest.raises(UserError, match="webshop-rgd has no revision 9; there are 1"):
        await pin(twenty, to=9)
    with pytest.raises(UserError, match="'webshop' is no instance: write KIND/NAME, or KIND with -l SELECTOR"):
        await pin(twenty, "webshop", to=1)
    with pytest.raises(UserError, match="cfg is no instance: a pin is for instances, rollback for definitions"):
        await pin(twenty, "cm/shop-03-cfg", to=1)


async def test_a_revision_somebody_runs_is_not_collected_and_one_that_was_is_no_place_to_pin_to(twenty: Desk) -> None:
    await pin(twenty, to=1)
    for number in range(2, 9):
        await twenty.inside.define(web(f"color-{number}"))
    kept = twenty.inside.names("GraphRevision")
    assert kept == [f"webshop-rgd-r{number:05d}" for number in (1, 4, 5, 6, 7, 8)]
    assert color(twenty, "shop-03") == "red"
    with pytest.raises(UserError, match=r"revision 2 of webshop-rgd was collected.*rollback webshop-rgd --to 2"):
        await pin(twenty, "webshop/shop-04", to=2)
    await unpin(twenty)
    await twenty.inside.define(web("last"))
    assert "webshop-rgd-r00001" not in twenty.inside.names("GraphRevision")


async def test_a_pin_again_changes_nothing_and_another_one_moves_it(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    await twenty.inside.define(web("green"))
    await pin(twenty, to=1)
    history = twenty.history
    found = pinning.chosen(history, "webshop/shop-03", "team-a")
    assert (await rollback.planned_pins(history, twenty._connected(), (found,), 1)).steps == ()
    assert (await pin(twenty, to=2)).verdict == "done"
    assert color(twenty, "shop-03") == "blue"
    commands = [event.body.number for event in twenty.inside.events() if isinstance(event.body, CommandPin)]
    assert commands == [1, 2]


async def test_a_rolled_back_instance_runs_the_revision_it_ran(twenty: Desk) -> None:
    before, position = twenty.graph(), twenty.position()
    await twenty.inside.define(web("blue", cm("extra")))
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    after, later = twenty.graph(), twenty.position()
    made = await twenty.plan("webshop/shop-03", to=position)
    (step,) = made.steps
    assert step.pinning is not None
    assert step.pinning.text == "pinned to revision 1 (it runs 2)"
    assert [risk.name for risk in made.risks] == ["deletes-objects"]
    end = await twenty.roll_back("webshop/shop-03", to=position)
    assert (end.revision, end.verdict) == (1, "done")
    mine = {key: value for key, value in twenty.graph().items() if "/shop-03" in key}
    assert mine == {key: value for key, value in before.items() if "/shop-03" in key}
    assert color(twenty, "shop-04") == "blue"
    assert made.way_back == f"kro-history rollback webshop/shop-03 -n team-a --to {later} --reason ..."
    end = await twenty.roll_back("webshop/shop-03", to=later)
    assert (end.revision, end.verdict) == (2, "done")
    assert twenty.graph() == after
    assert pins.pins(twenty.history).rows == []


async def test_a_rollback_of_the_spec_alone_leaves_the_revision(twenty: Desk) -> None:
    position = twenty.position()
    await twenty.inside.define(web("blue"))
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    made = await twenty.plan("webshop/shop-03", to=position, spec_only=True)
    assert progress(twenty.history, made, await twenty.carry_out(made)).verdict == "done"
    assert twenty.inside.data("shop-03-cfg") == {"color": "blue", "key": "one"}
    assert pins.pins(twenty.history).rows == []


async def test_an_instance_that_comes_back_runs_the_revision_it_ran_from_its_first_moment(twenty: Desk) -> None:
    before, position = twenty.graph(), twenty.position()
    await twenty.inside.define(web("blue", cm("extra")))
    await twenty.inside.delete("WebShop", "shop-07")
    calls = len(twenty.inside.calls)
    end = await twenty.roll_back("webshop/shop-07", to=position)
    assert (end.done, end.verdict) == (1, "done")
    assert {name for verb, _, name in twenty.inside.writes(calls) if verb == "apply"} <= {"shop-07", "shop-07-cfg"}
    mine = {key: value for key, value in twenty.graph().items() if "/shop-07" in key}
    assert mine == {key: value for key, value in before.items() if "/shop-07" in key}
    assert [row["object"] for row in pins.pins(twenty.history).rows] == ["webshop/shop-07"]


@pytest.mark.parametrize("append", [1, 2, 3, 4, 5, 6])
async def test_a_controller_that_dies_anywhere_in_a_pin_finishes_after_its_start(twenty: Desk, append: int) -> None:
    before = twenty.graph()
    await twenty.inside.define(web("blue", cm("extra")))
    twenty.inside.append_fault = lambda number: Fault("after") if number == append else None
    await twenty.inside.restart()
    found = pinning.chosen(twenty.history, "webshop/shop-03", "team-a")
    made = await rollback.planned_pins(twenty.history, twenty._connected(), (found,), 1)
    written = await twenty.carry_out(made)
    twenty.inside.append_fault = lambda number: None
    await twenty.inside.restart()
    await twenty.inside.pass_time()
    assert progress(twenty.history, made, written).verdict == "done"
    mine = {key: value for key, value in twenty.graph().items() if "/shop-03" in key}
    assert mine == {key: value for key, value in before.items() if "/shop-03" in key}
    assert "shop-04-extra" in twenty.inside.names("ConfigMap")
    report = twenty.inside.replayed()
    assert (report.differences, report.unknown) == ([], [])
    assert faults(twenty.inside.url) == []


def _beyond_kro() -> dict[str, Any]:
    """A definition that calls a function kro itself has not."""
    return rgd(cm("cfg", {"key": "${[1].includes(1) ? schema.spec.key : ''}"}))


async def test_a_pinned_revision_that_does_not_compile_any_more_is_told_and_nothing_else_is_done(desk: Desk) -> None:
    await desk.inside.define(_beyond_kro())
    await desk.inside.create(shop("shop-03", key="one"))
    await pin(desk, to=1)
    await desk.inside.define(web("blue"))
    before = desk.graph()
    desk.inside.settings = replace(desk.inside.settings, functions="kro")
    await desk.inside.restart()
    await desk.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    assert desk.inside.data("shop-03-cfg") == {"key": "one"}
    assert desk.inside.condition("shop-03", "Ready")[:2] == ("False", "PinNotKept")
    assert "revision 1 does not compile any more: " in condition(desk)["message"]
    with pytest.raises(UserError, match="revision 1 of webshop-rgd does not compile with this version"):
        await pin(desk, to=1)
    await desk.inside.edit("WebShop", "shop-03", {"spec": {"key": "one"}})
    assert desk.graph() == before
    report = desk.inside.replayed()
    assert (report.differences, report.unknown) == ([], [])
    assert (await unpin(desk)).verdict == "done"
    assert color(desk, "shop-03") == "blue"


async def test_whoever_may_not_write_the_log_pins_nobody(twenty: Desk) -> None:
    found = pinning.chosen(twenty.history, "webshop/shop-03", "team-a")
    made = await rollback.planned_pins(twenty.history, twenty._connected(), (found,), 1)
    engine = open_engine(twenty.inside.url)
    with engine.begin() as connection:
        text = "CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'may not'); END"
        connection.exec_driver_sql(text)
    engine.dispose()
    with pytest.raises(UserError, match="could not be written to the log, and nothing is done without: may not"):
        await rollback.carry_out(twenty.history, twenty._connected(), made, "r")
    assert MARK not in twenty.inside.get("WebShop", "shop-03")["metadata"]["annotations"]


async def test_a_held_instance_can_be_pinned_and_each_ends_by_itself(twenty: Desk) -> None:
    await twenty.roll_back("webshop/shop-03", to=twenty.position(), hold=True)
    await twenty.inside.define(web("blue"))
    assert (await pin(twenty, to=1)).verdict == "done"
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}}, manager="argocd")
    assert twenty.inside.data("shop-03-cfg") == {"color": "red", "key": "one"}
    kinds = {item["type"] for item in twenty.inside.get("WebShop", "shop-03")["status"]["conditions"]}
    assert {"Held", "Pinned"} <= kinds
    assert (await unpin(twenty)).verdict == "done"
    assert twenty.inside.data("shop-03-cfg") == {"color": "blue", "key": "one"}
    history = twenty.history
    target = targets.find(history, "webshop/shop-03", "team-a")
    await rollback.release(history, twenty._connected(), target, "mended")
    await twenty.inside.rest()
    assert twenty.inside.data("shop-03-cfg") == {"color": "blue", "key": "two"}
    report = twenty.inside.replayed()
    assert (report.differences, report.unknown) == ([], [])


async def test_a_preview_of_a_new_definition_leaves_out_who_is_pinned(twenty: Desk) -> None:
    await pin(twenty, to=1)
    kinds = twenty.inside.server.kinds()
    found = preview.of(twenty.history, web("blue"), kinds, lambda graph, obj: obj)
    assert len(found.forecasts) == MANY - 1


async def test_the_whole_graph_goes_back_and_who_is_pinned_stays_on_its_revision(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    position = twenty.position()
    await pin(twenty, to=1)
    await twenty.inside.define(web("green"))
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    made = await twenty.plan(to=position, whole=True)
    mine = next(one for one in made.forecasts if one.instance.endswith("shop-03"))
    assert [field["path"] for one in mine.differences for field in one.fields] == ["data.key"]
    assert made.counts() == {"created": 0, "updated": MANY, "deleted": 0}
    end = await twenty.roll_back(to=position, whole=True)
    assert end.verdict == "done"
    assert twenty.inside.data("shop-03-cfg") == {"color": "red", "key": "one"}
    assert color(twenty, "shop-04") == "blue"
