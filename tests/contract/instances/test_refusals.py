"""Writes the server refuses: each is told in the status, tried again later, and never in a circle (spec/03 §3, §7.3)."""

from __future__ import annotations

from collections.abc import Callable

from kro_es.errors import ApiError
from kro_es.events.types import OutcomeUnknown, WriteFailed, WriteUnsent
from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.contract.instances.test_ordering import database
from tests.support.fake_cluster import Call, Fault
from tests.support.inside import Inside

DENIED = ApiError(403, "Forbidden", "denied")


def failing(verb: str, manager: str = "", kind: str = "", error: ApiError = DENIED) -> Callable[[Call], Fault | None]:
    def fault(call: Call) -> Fault | None:
        hit = call.verb == verb and manager in ("", call.manager) and kind in ("", call.ref.kind)
        return Fault("before", error) if hit else None

    return fault


def break_calls(inside: Inside, fault: Callable[[Call], Fault | None] = lambda call: None) -> None:
    assert inside.controller is not None
    inside.controller.connection.fault = fault


async def test_finalizer_and_labels_that_are_refused(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    break_calls(inside, failing("apply", "kro.run/labeller"))
    await inside.create(shop(color="red"))
    assert inside.condition(type_="InstanceManaged") == (
        "False",
        "ManagementFailed",
        "finalizer/labeling failed: denied",
    )
    assert (inside.state(), inside.names("ConfigMap")) == ("ERROR", [])
    assert len([call for call in inside.calls if call.manager == "kro.run/labeller"]) == 1
    assert inside.retrying
    break_calls(inside)
    await inside.pass_time()
    assert (inside.state(), inside.names("ConfigMap")) == ("ACTIVE", ["shop-cfg"])


async def test_an_inventory_that_is_refused_lets_no_child_be_written(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    break_calls(inside, failing("apply", "kro.run/applyset-parent"))
    await inside.create(shop(color="red"))
    assert inside.message() == ("resource reconciliation failed: failed to patch instance with applyset labels: denied")
    assert (inside.state(), inside.names("ConfigMap")) == ("IN_PROGRESS", [])
    assert len([call for call in inside.calls if call.manager == "kro.run/applyset-parent"]) == 1
    unsent = [event for event in inside.events() if isinstance(event.body, WriteUnsent)]
    assert [(event.subject.name, event.body.after) for event in unsent] == [("shop-cfg", "inventory")]
    assert inside.rows("open_writes") == {}, "what was announced and not sent is not open"
    break_calls(inside)
    await inside.pass_time()
    assert inside.state() == "ACTIVE"


async def test_a_status_that_is_refused_is_tried_once_a_pass(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    break_calls(inside, failing("put"))
    await inside.create(shop(color="red"))
    assert len([call for call in inside.calls if call.verb == "put"]) == 1
    assert inside.retrying
    break_calls(inside)
    await inside.pass_time()
    assert inside.state() == "ACTIVE"


async def test_a_status_that_is_refused_does_not_hold_a_deletion(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("put"))
    await inside.delete("WebShop", "shop")
    await inside.pass_time()
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])


async def test_a_prune_that_is_refused(inside: Inside) -> None:
    await inside.define(rgd(CFG, cm("old")))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("delete"))
    await inside.define(rgd(CFG))
    assert inside.message() == "resource reconciliation failed: prune failed: delete team-a/shop-old: denied"
    assert (inside.state(), inside.names("ConfigMap")) == ("IN_PROGRESS", ["shop-cfg", "shop-old"])
    assert inside.retrying
    conflict = ApiError(409, "Conflict", "Precondition failed: UID in precondition: 1")
    break_calls(inside, failing("delete", error=conflict))
    await inside.pass_time()
    assert inside.message() == "resource reconciliation failed: prune encountered UID conflicts; retrying"
    break_calls(inside)
    await inside.pass_time()
    assert (inside.state(), inside.names("ConfigMap")) == ("ACTIVE", ["shop-cfg"])


async def test_a_finalizer_that_cannot_be_released_stays_and_is_told(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("patch", kind="WebShop"))
    await inside.delete("WebShop", "shop")
    assert inside.condition(type_="InstanceManaged") == (
        "False",
        "ManagementFailed",
        "failed removing finalizer: failed to update unmanaged state: denied",
    )
    assert inside.retrying
    break_calls(inside)
    await inside.pass_time()
    assert inside.names("WebShop") == []


async def test_an_answer_that_is_lost_is_found_out_by_the_watch(inside: Inside) -> None:
    """The write took effect; what the watch shows settles it, and nothing is made twice."""
    await inside.define(rgd(CFG))
    lost = ApiError(0, "Unanswered", "connection lost")

    def once(call: Call) -> Fault | None:
        if call.verb == "apply" and call.ref.kind == "ConfigMap":
            break_calls(inside)
            return Fault("after", lost)
        return None

    break_calls(inside, once)
    await inside.create(shop(color="red"))
    await inside.pass_time()
    assert (inside.state(), inside.data("shop-cfg")) == ("ACTIVE", {"color": "red"})
    failures = [event.body for event in inside.events() if isinstance(event.body, WriteFailed)]
    assert [(failure.status, failure.node) for failure in failures] == [(0, "cfg")]
    await inside.delete("WebShop", "shop")
    assert inside.names("ConfigMap") == []


async def test_a_nested_instance_that_becomes_ready_moves_its_parent(inside: Inside) -> None:
    inner = {"apiVersion": "kro.run/v1alpha1", "kind": "Inner", "metadata": {"name": "inner"}, "spec": {"color": "red"}}
    ready = ["${nested.status.state == 'ACTIVE'}"]
    await inside.define(rgd(database(), cm("c", {"e": "${db.status.endpoint}"}), name="inner", kind="Inner"))
    await inside.define(
        rgd({"id": "nested", "template": inner, "readyWhen": ready}, cm("after", {"n": "${nested.metadata.name}"}))
    )
    await inside.create(shop())
    assert (inside.state(), inside.state("inner", "Inner")) == ("IN_PROGRESS", "IN_PROGRESS")
    await inside.edit("Database", "inner-db", {"status": {"endpoint": "e"}}, status=True)
    assert (inside.state(), inside.state("inner", "Inner")) == ("ACTIVE", "ACTIVE")
    assert inside.names("ConfigMap") == ["inner-c", "shop-after"]


async def test_nothing_is_left_open_after_all_that(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await inside.restart()
    assert [event for event in inside.events() if isinstance(event.body, OutcomeUnknown)] == []
    assert inside.rows("open_writes") == {}
