"""A pin by labels: whoever has them runs one revision, who comes later too; who loses them is let go, and it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from kro_es.errors import UserError
from kro_es.events.types import Body, InstancePinned, InstanceUnpinned
from kro_es.history import doctor, pinning, pins, preview, rollback, selecting, targets, timeline, why
from kro_es.history.revisions import rollouts
from kro_es.history.timeline import Filters
from tests.contract.instances.shapes import cm, shop
from tests.contract.rollback.conftest import MANY, NAMES, Desk, web
from tests.contract.rollback.pinned import LABEL, MARK, color, condition, lost_log, pin, pin_labels, plan_labels, unpin
from tests.support.fake_cluster import Fault
from tests.support.steps import faults

GOLD = {"metadata": {"labels": {"tier": "gold"}}}
NO_TIER = {"metadata": {"labels": {"tier": None}}}
ON_DEFINITION = "kro.run/pinned-instances"


async def gild(desk: Desk, *names: str) -> None:
    for name in names:
        await desk.inside.edit("WebShop", name, GOLD)


def pinned(desk: Desk) -> list[str]:
    return [row["object"].removeprefix("webshop/") for row in pins.pins(desk.history).rows if "/" in row["object"]]


def label(desk: Desk, name: str) -> str | None:
    return desk.inside.get("WebShop", name)["metadata"]["labels"].get(LABEL)


def origin(desk: Desk, body: type[Body]) -> tuple[str, str]:
    """Who began what led to the last event of that type, and on what."""
    events = desk.inside.events()
    found = [event for event in events if isinstance(event.body, body)][-1]
    while found.cause:
        found = events[found.cause - 1]
    return found.actor.name, found.subject.name


def sound(desk: Desk) -> None:
    report = desk.inside.replayed()
    assert (report.differences, report.unknown) == ([], [])
    assert faults(desk.inside.url) == []


async def test_whoever_has_the_labels_is_pinned_those_that_come_later_from_their_first_moment(twenty: Desk) -> None:
    await gild(twenty, "shop-01", "shop-02")
    await twenty.inside.define(web("blue", cm("extra")))
    end = await pin_labels(twenty, "tier in (gold, silver),!never", to=1)
    assert (end.done, end.revision, end.verdict) == (2, 1, "done")
    assert [color(twenty, name) for name in ("shop-01", "shop-02", "shop-03")] == ["red", "red", "blue"]
    calls = len(twenty.inside.calls)
    late = shop("late", key="one")
    await twenty.inside.create({**late, "metadata": {**late["metadata"], "labels": {"tier": "silver"}}})
    assert color(twenty, "late") == "red"
    assert "late-extra" not in {name for _, _, name in twenty.inside.writes(calls)}
    assert [label(twenty, name) for name in ("shop-01", "late", "shop-03")] == ["1", "1", None]
    assert MARK not in twenty.inside.get("WebShop", "late")["metadata"].get("annotations", {})
    assert pinned(twenty) == ["shop-01", "shop-02", "late"]
    assert "by its labels (!never,tier in (gold,silver)) since" in condition(twenty, "late")["message"]
    assert "by dana: it was better" in condition(twenty, "late")["message"]
    rule = pins.pins(twenty.history).rows[-1]
    assert (rule["object"], rule["selector"], rule["pinned_to"], rule["actor"], rule["reason"]) == (
        "webshop", "!never,tier in (gold,silver)", "webshop-rgd@1", "dana", "it was better",
    )  # fmt: skip
    sound(twenty)


async def test_who_loses_the_labels_is_let_go_and_who_gets_them_is_pinned_and_the_log_says_why(twenty: Desk) -> None:
    await gild(twenty, "shop-01")
    await twenty.inside.define(web("blue", cm("extra")))
    await pin_labels(twenty, "tier=gold", to=1)
    silver = {"metadata": {"labels": {"tier": "silver"}}}
    await twenty.inside.edit("WebShop", "shop-01", silver, manager="argocd")
    await gild(twenty, "shop-02")
    assert (color(twenty, "shop-01"), color(twenty, "shop-02")) == ("blue", "red")
    assert (label(twenty, "shop-01"), condition(twenty, "shop-01"), pinned(twenty)) == (None, {}, ["shop-02"])
    assert origin(twenty, InstanceUnpinned) == ("argocd", "shop-01")
    assert origin(twenty, InstancePinned) == ("kubectl", "shop-02")
    target = targets.find(twenty.history, "webshop/shop-01", "team-a")
    chain = [link for _, link, _ in why.of_target(twenty.history, target, "").lines()]
    assert chain[0].actor == "argocd"
    assert "unpinned: no pin of tier=gold selects it any more" in [link.summary for link in chain]
    told = [row["summary"] for row in timeline.listed(twenty.history, Filters(), target).rows]
    assert "pinned to revision 1: it has tier=gold" in told
    assert "unpinned: no pin of tier=gold selects it any more" in told
    target = targets.find(twenty.history, "webshop/shop-02", "team-a")
    assert "pinned to revision 1 by its labels (tier=gold)" in doctor.doctor(twenty.history, target)[1]["pinned"]
    sound(twenty)


async def test_the_end_of_a_pin_by_labels_lets_all_of_them_go(twenty: Desk) -> None:
    await gild(twenty, "shop-01", "shop-02")
    await twenty.inside.define(web("blue", cm("extra")))
    blue = twenty.graph()
    await pin_labels(twenty, "tier=gold", to=1)
    made = await plan_labels(twenty, "tier=gold", None)
    assert made.counts() == {"created": 2, "updated": 2, "deleted": 0}
    assert made.way_back == "kro-history pin webshop -l tier=gold --to 1 --reason ..."
    end = await pin_labels(twenty, "tier=gold", to=None)
    assert (end.done, end.verdict) == (2, "done")
    assert origin(twenty, InstanceUnpinned) == ("dana", "webshop-rgd")
    assert (twenty.graph(), pins.pins(twenty.history).rows) == (blue, [])
    assert ON_DEFINITION not in twenty.inside.get("ResourceGraphDefinition", "webshop-rgd")["metadata"]["annotations"]
    await gild(twenty, "shop-03")
    assert color(twenty, "shop-03") == "blue"
    chosen = selecting.selected(twenty.history, "webshop", None, "tier=gold")
    assert await rollback.planned_labels(twenty.history, twenty._connected(), chosen, None) is None
    sound(twenty)


async def test_another_revision_moves_the_pin_and_the_newest_of_several_counts(twenty: Desk) -> None:
    await gild(twenty, "shop-01")
    await twenty.inside.define(web("blue"))
    await twenty.inside.define(web("green"))
    await pin_labels(twenty, "tier=gold", to=1)
    assert (await pin_labels(twenty, "tier=gold", to=2)).verdict == "done"
    assert (color(twenty, "shop-01"), label(twenty, "shop-01")) == ("blue", "2")
    await pin_labels(twenty, "tier", to=1, namespace="team-a")
    assert (color(twenty, "shop-01"), label(twenty, "shop-01")) == ("red", "1")
    assert len([row for row in pins.pins(twenty.history).rows if row["object"] == "webshop"]) == 2
    made = await plan_labels(twenty, "tier", None, "team-a")
    assert [step.pinning.text for step in made.steps if step.pinning] == ["pinned to revision 2 (it runs 1)"]
    await pin_labels(twenty, "tier", to=None, namespace="team-a")
    assert color(twenty, "shop-01") == "blue"
    assert (await plan_labels(twenty, "tier=gold", 2)).steps == ()
    sound(twenty)


async def test_a_pin_of_its_own_counts_more_and_leaves_the_one_by_labels_when_it_ends(twenty: Desk) -> None:
    await gild(twenty, "shop-01", "shop-03")
    await twenty.inside.define(web("blue"))
    await twenty.inside.define(web("green"))
    await pin(twenty, to=2)
    made = await plan_labels(twenty, "tier=gold", 1)
    assert made.notes == ("1 instance(s) keep the pin of their own",)
    await pin_labels(twenty, "tier=gold", to=1)
    assert [color(twenty, name) for name in ("shop-01", "shop-03")] == ["red", "blue"]
    with pytest.raises(UserError, match="shop-01 is pinned by its labels: kro-history unpin webshop -l tier=gold, or"):
        await unpin(twenty, "webshop/shop-01")
    assert (await pin(twenty, "webshop/shop-01", to=2)).verdict == "done"
    assert color(twenty, "shop-01") == "blue"
    await unpin(twenty)
    assert (color(twenty, "shop-03"), label(twenty, "shop-03")) == ("red", "1")
    sound(twenty)


async def test_a_rolled_back_instance_that_ran_the_active_revision_gets_a_pin_of_its_own(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    position = twenty.position()
    await gild(twenty, "shop-03")
    await pin_labels(twenty, "tier=gold", to=1)
    end = await twenty.roll_back("webshop/shop-03", to=position)
    assert (end.revision, end.verdict, color(twenty, "shop-03")) == (2, "done", "blue")


async def test_a_pin_by_labels_outlives_a_restart_its_annotation_and_the_log(
    twenty: Desk, database_template: Path, tmp_path: Path
) -> None:
    await gild(twenty, "shop-01")
    await twenty.inside.define(web("blue"))
    await pin_labels(twenty, "tier=gold", to=1)
    nothing = {"metadata": {"annotations": {ON_DEFINITION: None}}}
    kept = twenty.inside.get("ResourceGraphDefinition", "webshop-rgd")["metadata"]["annotations"]
    await twenty.inside.edit("ResourceGraphDefinition", "webshop-rgd", nothing, manager="argocd")
    await twenty.inside.restart()
    await gild(twenty, "shop-02")
    assert color(twenty, "shop-02") == "red"
    back = {"metadata": {"annotations": {ON_DEFINITION: kept[ON_DEFINITION]}}}
    await twenty.inside.edit("ResourceGraphDefinition", "webshop-rgd", back)
    await lost_log(twenty, database_template, tmp_path)
    await twenty.inside.define(web("green"))
    await gild(twenty, "shop-04")
    assert [color(twenty, name) for name in ("shop-01", "shop-04", "shop-05")] == ["red", "red", "green"]
    calls = [name for verb, _, name in twenty.inside.writes() if verb == "apply" and name.startswith("shop-01")]
    assert calls == []
    assert "by dana: it was better" in condition(twenty, "shop-01")["message"]
    assert (await pin_labels(twenty, "tier=gold", to=None)).verdict == "done"
    assert color(twenty, "shop-01") == "green"


async def test_the_revision_of_a_pin_by_labels_is_not_collected_although_nobody_runs_it(twenty: Desk) -> None:
    await twenty.inside.define(web("color-2"))
    made = await plan_labels(twenty, "tier=gold", 1)
    assert made.notes == ("no instance has these labels now; those that come will be pinned",)
    assert (await pin_labels(twenty, "tier=gold", to=1)).verdict == "done"
    for number in range(3, 9):
        await twenty.inside.define(web(f"color-{number}"))
    assert "webshop-rgd-r00001" in twenty.inside.names("GraphRevision")
    await gild(twenty, "shop-03")
    assert color(twenty, "shop-03") == "red"


async def test_rollouts_leave_out_who_is_pinned_by_labels(twenty: Desk) -> None:
    await gild(twenty, "shop-01", "shop-02")
    await pin_labels(twenty, "tier=gold", to=1)
    await twenty.inside.define(web("blue"))
    first, second = rollouts(twenty.history, "webshop-rgd").rows
    assert (first["pinned"], second["done"], second["pending"], second["pinned"]) == (0, MANY - 2, 0, 2)


async def test_a_preview_of_an_instance_is_of_the_revision_its_labels_pin_it_to(twenty: Desk) -> None:
    await gild(twenty, "shop-01")
    await pin_labels(twenty, "tier=gold", to=1)
    await twenty.inside.define(web("blue", cm("extra")))
    kinds = twenty.inside.server.kinds()
    wanted = shop("shop-01", key="two")
    wanted["metadata"]["labels"] = {"tier": "gold"}
    late = {**wanted, "metadata": {**wanted["metadata"], "name": "late"}}
    plain = shop("late", key="two")
    found = [preview.of(twenty.history, one, kinds, lambda graph, obj: obj) for one in (wanted, late, plain)]
    assert [one.revision for one in found] == [1, 1, 2]
    assert [field["path"] for one in found[0].forecasts[0].differences for field in one.fields] == ["data.key"]
    assert [len(one.forecasts[0].differences) for one in found[1:]] == [1, 2]


async def test_only_of_its_namespace(twenty: Desk) -> None:
    await gild(twenty, "shop-01")
    await pin_labels(twenty, "tier=gold", to=1, namespace="team-b")
    await twenty.inside.define(web("blue"))
    assert color(twenty, "shop-01") == "blue"


async def test_a_selector_that_a_pin_would_change_is_refused(twenty: Desk) -> None:
    with pytest.raises(UserError, match=r"kro\.run/pinned-revision is the label a pin puts on an instance"):
        selecting.selected(twenty.history, "webshop", None, "!kro.run/pinned-revision")
    with pytest.raises(UserError, match="no definition makes 'webshp' in this log; did you mean webshop"):
        selecting.selected(twenty.history, "webshp", None, "a")
    with pytest.raises(UserError, match="no webshop is pinned by 'tier=tin', and none with these labels by its name"):
        pinning.of_their_own(twenty.history, "webshop", None, "tier=tin")


async def test_labels_a_deleted_instance_had_pin_nothing(twenty: Desk) -> None:
    await gild(twenty, "shop-01")
    await pin_labels(twenty, "tier=gold", to=1)
    await twenty.inside.define(web("blue"))
    await twenty.inside.delete("WebShop", "shop-01")
    assert "shop-01-cfg" not in twenty.inside.names("ConfigMap")
    assert pinned(twenty) == []


@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_before_or_after_its_write_the_same_pin_goes_on(twenty: Desk, when: str) -> None:
    before = twenty.graph()
    await twenty.inside.define(web("blue", cm("extra")))
    await gild(twenty, *NAMES)
    made = await plan_labels(twenty, "tier=gold", 1)
    twenty.fault = lambda call: Fault(when) if call.verb == "merge_patch" else None
    await twenty.killed(made)
    assert (await pin_labels(twenty, "tier=gold", to=1)).verdict == "done"
    assert twenty.graph() == before
    assert len(pinned(twenty)) == MANY
    assert faults(twenty.inside.url) == []


@pytest.mark.parametrize("append", range(1, 9))
async def test_a_controller_that_dies_anywhere_in_it_finishes_after_its_start(twenty: Desk, append: int) -> None:
    await gild(twenty, "shop-01", "shop-02")
    before = twenty.graph()
    await twenty.inside.define(web("blue", cm("extra")))
    twenty.inside.append_fault = lambda number: Fault("after") if number == append else None
    await twenty.inside.restart()
    made = await plan_labels(twenty, "tier=gold", 1)
    await twenty.carry_out(made)
    await twenty.inside.edit("WebShop", "shop-02", NO_TIER)
    twenty.inside.append_fault = lambda number: None
    await twenty.inside.restart()
    await twenty.inside.pass_time()
    mine = {key: value for key, value in twenty.graph().items() if "/shop-01" in key}
    assert mine == {key: value for key, value in before.items() if "/shop-01" in key}
    assert (color(twenty, "shop-02"), label(twenty, "shop-02"), pinned(twenty)) == ("blue", None, ["shop-01"])
    sound(twenty)


async def test_a_label_somebody_else_keeps_does_not_hold_back_the_end_of_a_pin(twenty: Desk) -> None:
    await gild(twenty, "shop-01")
    await twenty.inside.define(web("blue"))
    await pin_labels(twenty, "tier=gold", to=1)
    keep = {"metadata": {"labels": {LABEL: "1", "tier": None}}}
    twenty.inside.server.patch(twenty.inside.ref("WebShop", "shop-01"), keep, "argocd")
    await twenty.inside.rest()
    await twenty.inside.pass_time()
    assert (color(twenty, "shop-01"), pinned(twenty)) == ("blue", [])
