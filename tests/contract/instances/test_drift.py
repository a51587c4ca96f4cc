"""Hands in our objects: how each is recorded, while suspended too, and what happens when somebody does not stop."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kro_es.api import metadata
from kro_es.errors import ApiError
from kro_es.events.types import ReconcileDecided
from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.contract.instances.test_refusals import DENIED, break_calls, failing
from tests.contract.instances.test_status import annotate
from tests.support.fake_cluster import Call, Fault
from tests.support.inside import Inside


async def hand(inside: Inside, color: str, manager: str = "mallory") -> None:
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"color": color}}, manager=manager)


def ledger(inside: Inside) -> list[tuple[Any, ...]]:
    return [
        (row["node"], row["kind"], row["name"], row["fields"], row["ended"]) for row in inside.rows("drift").values()
    ]


def offenders(inside: Inside) -> dict[str, tuple[Any, ...]]:
    return {
        str(row["manager"]): (row["times"], row["streak"], row["paths"]) for row in inside.rows("offenders").values()
    }


def found(color: str, wanted: str = "red") -> list[dict[str, str]]:
    return [{"path": "data.color", "from": wanted, "to": color}]


async def test_each_hand_is_found_and_healed_and_repeated_offenders_are_counted(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await hand(inside, "green")
    await hand(inside, "blue")
    await hand(inside, "white", manager="trudy")
    assert ledger(inside) == [
        ("cfg", "ConfigMap", "shop-cfg", found(color), "healed") for color in ("green", "blue", "white")
    ]
    assert offenders(inside) == {"mallory": (2, 2, ["data.color"]), "trudy": (1, 1, ["data.color"])}


async def test_drift_while_suspended_is_recorded_once_and_found_again_at_resume(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await annotate(inside, "suspended")
    await hand(inside, "green")
    length = len(inside.events())
    assert inside.controller is not None
    inside.controller.assembled.projector.requeue()
    await inside.rest()
    assert len(inside.events()) == length
    assert ledger(inside) == [("cfg", "ConfigMap", "shop-cfg", found("green"), "")]
    await annotate(inside, None)
    assert inside.data("shop-cfg") == {"color": "red"}
    assert ledger(inside) == [
        ("cfg", "ConfigMap", "shop-cfg", found("green"), "resumed"),
        ("cfg", "ConfigMap", "shop-cfg", found("green"), "healed"),
    ]


async def test_drift_that_is_wanted_in_the_end_is_accepted(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await annotate(inside, "suspended")
    await hand(inside, "green")
    await inside.edit("WebShop", "shop", {"spec": {"color": "green"}})
    await annotate(inside, None)
    assert inside.data("shop-cfg") == {"color": "green"}
    assert [row[-1] for row in ledger(inside)] == ["accepted"]
    length = len(inside.events())
    inside.controller.assembled.projector.requeue()  # type: ignore[union-attr]
    await inside.rest()
    assert len(inside.events()) == length


async def test_a_suspended_instance_shows_what_was_changed_last(inside: Inside) -> None:
    await inside.define(rgd(cm("cfg", {"color": "red", "size": "1"})))
    await inside.create(shop())
    await annotate(inside, "suspended")
    await hand(inside, "green")
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"size": "2"}}, manager="mallory")
    both = [*found("green"), {"path": "data.size", "from": "1", "to": "2"}]
    assert [(row[3], row[4]) for row in ledger(inside)] == [(found("green"), "replaced"), (both, "")]


FIGHT = (
    'two writers fight over ConfigMap team-a/shop-cfg: "mallory" changes data.color each time '
    '"kro.run/applyset" puts it back; the next repair waits'
)


async def test_a_fight_is_told_with_both_managers_and_held_back_longer_and_longer(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    for _ in range(4):
        await hand(inside, "green")
        assert inside.data("shop-cfg") == {"color": "red"}
    await hand(inside, "green")
    assert inside.data("shop-cfg") == {"color": "red"}, "the fifth repair still is done at once"
    await hand(inside, "green")
    assert inside.data("shop-cfg") == {"color": "green"}
    text = f"resource reconciliation failed: apply results contain errors: {FIGHT}"
    assert (inside.state(), inside.message()) == ("ERROR", text)
    calls, length = len(inside.calls), len(inside.events())
    inside.controller.assembled.projector.requeue()  # type: ignore[union-attr]
    await inside.rest()
    assert (len(inside.calls), len(inside.events())) == (calls, length)
    assert inside.retrying
    await inside.pass_time()
    assert (inside.data("shop-cfg"), inside.state()) == ({"color": "red"}, "ACTIVE")
    assert offenders(inside)["mallory"][:2] == (6, 6)


async def test_a_writer_that_never_stops_costs_few_writes(inside: Inside) -> None:
    """An hour of another controller that puts its value back at once."""
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    calls = len(inside.calls)
    for _ in range(360):
        if inside.data("shop-cfg")["color"] == "red":
            await hand(inside, "green")
        await inside.pass_time(10)
    applies = Counter(kind for verb, kind, _ in inside.writes(calls) if verb == "apply")
    assert 15 < applies["ConfigMap"] < 35


async def test_somebody_who_comes_back_much_later_is_no_fight(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    for _ in range(8):
        await hand(inside, "green")
        assert inside.data("shop-cfg") == {"color": "red"}
        await inside.pass_time(600)
    assert offenders(inside)["mallory"][:2] == (8, 1)


async def test_who_only_takes_a_field_away_is_not_said_to_be_us(inside: Inside) -> None:
    await inside.define(rgd(cm("two", {"a": "1", "b": "2"})))
    await inside.create(shop())
    await inside.edit("ConfigMap", "shop-two", {"data": {"b": None}})
    assert inside.data("shop-two") == {"a": "1", "b": "2"}
    assert offenders(inside) == {"": (1, 1, ["data.b"])}


async def test_a_status_that_follows_an_edit_does_not_hide_who_made_it(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await annotate(inside, "suspended")
    await hand(inside, "green")
    await inside.edit("ConfigMap", "shop-cfg", {"status": {"seen": "yes"}}, manager="observer", status=True)
    await annotate(inside, None)
    assert {row["manager"] for row in inside.rows("offenders").values()} == {"mallory"}


async def test_what_a_controller_makes_of_a_child_with_its_labels_is_left_to_it(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    ours = inside.get("ConfigMap", "shop-cfg")["metadata"]
    labels = {name: value for name, value in ours["labels"].items() if name != "kro.run/node-id"}
    copied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "copied", "namespace": "team-a"}}
    copied["metadata"] |= {"labels": {**labels, "kro.run/node-id": "cfg"}}
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "shop-cfg", "uid": ours["uid"], "controller": True}
    owned = {**copied, "metadata": {**copied["metadata"], "name": "owned", "ownerReferences": [owner]}}
    owned["metadata"]["annotations"] = ours["annotations"]
    await inside.create(copied, owned, manager="endpoint-controller")
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert inside.names("ConfigMap") == ["copied", "owned", "shop-cfg"]
    assert not [write for write in inside.writes() if write[0] == "delete"]
    await inside.delete("WebShop", "shop")
    assert inside.names("ConfigMap") == []


async def test_what_the_server_never_keeps_is_an_error_that_says_so(inside: Inside) -> None:
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${schema.metadata.name}-key"}}

    def lose(obj: dict[str, Any]) -> None:
        if obj["kind"] == "Secret":
            obj["metadata"].pop("labels", None)

    inside.server.mutate = lose
    await inside.define(rgd(CFG, {"id": "key", "template": other}))
    await inside.create(shop(color="red"))
    assert inside.state() == "ERROR"
    assert "accepts what is written and then shows something else" in inside.message()
    assert inside.retrying


def open_and_tried(inside: Inside) -> list[tuple[Any, ...]]:
    return [(row["ended"], row["tries"]) for row in inside.rows("drift").values()]


def found_times(inside: Inside) -> int:
    return sum(isinstance(event.body, ReconcileDecided) and bool(event.body.drift) for event in inside.events())


INVALID = ApiError(422, "Invalid", "ConfigMap is invalid")


@pytest.mark.parametrize("error", [DENIED, INVALID], ids=["403", "422"])
async def test_a_repair_that_is_refused_is_one_drift_until_it_is_healed(inside: Inside, error: ApiError) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("apply", kind="ConfigMap", error=error))
    await hand(inside, "green")
    for _ in range(8):
        await inside.pass_time(400)
    assert (open_and_tried(inside), found_times(inside)) == ([("", 9)], 1)
    assert offenders(inside) == {"mallory": (1, 1, ["data.color"])}
    assert error.message in inside.message(), "and not a fight, which it is none"
    await inside.restart()
    break_calls(inside)
    await inside.pass_time()
    assert (inside.data("shop-cfg"), inside.state()) == ({"color": "red"}, "ACTIVE")
    assert [row[0] for row in open_and_tried(inside)] == ["healed"]
    await hand(inside, "green")
    assert ([row[0] for row in open_and_tried(inside)], found_times(inside)) == (["healed", "healed"], 2)


async def test_another_change_to_what_could_not_be_repaired_is_another_drift(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("apply", kind="ConfigMap"))
    await hand(inside, "green")
    await inside.pass_time()
    await hand(inside, "blue")
    await inside.pass_time(400)
    assert [(row[3], row[4]) for row in ledger(inside)] == [(found("green"), "replaced"), (found("blue"), "")]
    break_calls(inside)
    await inside.pass_time(400)
    assert [row[4] for row in ledger(inside)] == ["replaced", "healed"]


async def test_an_edit_beside_what_could_not_be_repaired_leaves_it_one_drift_of_one_hand(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("apply", kind="ConfigMap"))
    await hand(inside, "green")
    for manager in ("trudy", "oscar"):
        await inside.edit("ConfigMap", "shop-cfg", {"data": {"theirs": manager}}, manager=manager)
        await inside.pass_time(400)
    assert (open_and_tried(inside), found_times(inside)) == ([("", 5)], 1)
    assert offenders(inside) == {"mallory": (1, 1, ["data.color"])}
    await inside.restart()
    break_calls(inside)
    await inside.pass_time(400)
    assert ([row[0] for row in open_and_tried(inside)], inside.data("shop-cfg")["color"]) == (["healed"], "red")
    assert {(row["unhealed"], row["tries"]) for row in inside.rows("offenders").values()} == {(0, 0)}


async def test_what_could_not_be_repaired_is_replaced_by_what_another_hand_made_of_it(inside: Inside) -> None:
    await inside.define(rgd(cm("cfg", {"color": "red", "size": "1"})))
    await inside.create(shop())
    break_calls(inside, failing("apply", kind="ConfigMap"))
    await hand(inside, "green")
    await inside.pass_time()
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"size": "2"}}, manager="trudy")
    await inside.pass_time(400)
    both = [*found("green"), {"path": "data.size", "from": "1", "to": "2"}]
    assert [(row[3], row[4]) for row in ledger(inside)] == [(found("green"), "replaced"), (both, "")]
    assert all(tries for _, tries in open_and_tried(inside))
    # the first hand again, and its change is the only one by now
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"size": "1"}}, manager="trudy")
    await inside.pass_time(400)
    assert [row[4] for row in ledger(inside)] == ["replaced", "replaced", ""]
    break_calls(inside)
    await inside.pass_time(400)
    assert [row[4] for row in ledger(inside)] == ["replaced", "replaced", "healed"]
    assert {row["unhealed"] for row in inside.rows("offenders").values()} == {0}


async def test_another_hand_while_suspended_replaces_what_was_found_before(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await annotate(inside, "suspended")
    await hand(inside, "green")
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"theirs": "x"}}, manager="trudy")
    assert [(row[3], row[4]) for row in ledger(inside)] == [(found("green"), "")]
    await hand(inside, "blue", manager="trudy")
    assert [(row[3], row[4]) for row in ledger(inside)] == [(found("green"), "replaced"), (found("blue"), "")]
    await annotate(inside, None)
    assert [row[4] for row in ledger(inside)] == ["replaced", "resumed", "healed"]


async def test_what_could_not_be_repaired_and_is_wanted_by_now_is_accepted(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("apply", kind="ConfigMap"))
    await hand(inside, "green")
    await inside.edit("WebShop", "shop", {"spec": {"color": "green"}})
    assert [row[0] for row in open_and_tried(inside)] == ["accepted"]
    break_calls(inside)
    await inside.pass_time(400)
    assert (inside.state(), found_times(inside)) == ("ACTIVE", 1)


async def test_a_repair_that_may_have_been_done_when_the_controller_died_is_no_other_drift(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))

    def die(call: Call) -> Fault | None:
        return Fault("before") if call.verb == "apply" and call.ref.kind == "ConfigMap" else None

    break_calls(inside, die)
    await hand(inside, "green")
    await inside.restart()
    assert (open_and_tried(inside), found_times(inside)) == ([("healed", 1)], 1)
    assert inside.data("shop-cfg") == {"color": "red"}


async def test_a_repair_that_was_never_sent_is_no_other_drift(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("apply", "kro.run/applyset-parent"))
    await inside.edit("WebShop", "shop", {"metadata": {"annotations": {metadata.GROUP_KINDS: ""}}})
    await hand(inside, "green")
    for _ in range(3):
        await inside.pass_time(400)
    assert (open_and_tried(inside), found_times(inside)) == ([("", 4)], 1)
    break_calls(inside)
    await inside.pass_time(400)
    assert [row[0] for row in open_and_tried(inside)] == ["healed"]
    assert inside.data("shop-cfg") == {"color": "red"}
