"""Spec/03 §17, scenarios 15 to 24: who waits for whom, in which words."""

from __future__ import annotations

from typing import Any

from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.support.inside import Inside

FAILED = "resource reconciliation failed: "
PENDING = FAILED + 'waiting for unresolved resource: gvr "/v1, Resource=configmaps": '
DATABASE = {
    "apiVersion": "db.test/v1",
    "kind": "Database",
    "metadata": {"name": "${schema.metadata.name}-db"},
    "spec": {},
}


def database(node: str = "db", **more: Any) -> dict[str, Any]:
    return {"id": node, "template": DATABASE, **more}


async def set_status(inside: Inside, **status: Any) -> None:
    await inside.edit("Database", "shop-db", {"status": status}, status=True, manager="db-operator")


async def test_15_a_chain_is_created_in_one_pass_in_order(inside: Inside) -> None:
    await inside.define(rgd(cm("a"), cm("b", {"uid": "${a.metadata.uid}"})))
    await inside.create(shop())
    assert inside.data("shop-b") == {"uid": inside.get("ConfigMap", "shop-a")["metadata"]["uid"]}
    assert [name for verb, kind, name in inside.writes() if kind == "ConfigMap"] == ["shop-a", "shop-b"]
    assert inside.state() == "ACTIVE"


async def test_15_while_the_first_cannot_be_applied_the_second_waits_in_kros_words(inside: Inside) -> None:
    await inside.define(rgd(database(), cm("b", {"uid": "${db.status.endpoint}"})))
    await inside.create(shop())
    assert inside.state() == "IN_PROGRESS"
    assert inside.condition() == (
        "False",
        "NotReady",
        PENDING
        + 'node "b": failed to evaluate expression: eval "db.status.endpoint": no such key: status (data pending)',
    )


async def test_16_a_value_that_comes_later_is_used_at_once(inside: Inside) -> None:
    await inside.define(rgd(database(), cm("app", {"at": "${db.status.endpoint}"})))
    await inside.create(shop())
    assert (inside.names("Database"), inside.names("ConfigMap")) == (["shop-db"], [])
    assert inside.state() == "IN_PROGRESS"
    assert not inside.retrying
    await set_status(inside, endpoint="db:5432")
    assert inside.data("shop-app") == {"at": "db:5432"}
    assert inside.state() == "ACTIVE"


async def test_17_a_missing_optional_field_is_waited_for_and_never_an_error(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop())
    assert inside.state() == "IN_PROGRESS"
    assert inside.message().endswith("no such key: color (data pending)")
    await inside.edit("WebShop", "shop", {"spec": {"color": "red"}})
    assert (inside.state(), inside.data("shop-cfg")) == ("ACTIVE", {"color": "red"})


async def test_18_a_leaf_that_is_not_ready_keeps_the_instance_in_progress(inside: Inside) -> None:
    await inside.define(rgd(database("gate", readyWhen=["${gate.status.ready == true}"])))
    await inside.create(shop())
    await set_status(inside, ready=False)
    assert inside.state() == "IN_PROGRESS"
    assert inside.message() == (
        FAILED + 'apply results contain errors: waiting for node "gate": readyWhen condition evaluated to false: '
        '"gate.status.ready == true" (waiting for readiness)'
    )
    assert inside.condition(type_="Ready")[:2] == ("False", "NotReady")
    await set_status(inside, ready=True)
    assert inside.state() == "ACTIVE"
    assert inside.condition(type_="Ready") == ("True", "Ready", "")


async def test_19_of_a_waiting_and_a_pending_node_the_waiting_one_is_told(inside: Inside) -> None:
    gate = database("gate", readyWhen=["${gate.status.ready == true}", "${gate.status.n > 1}"])
    await inside.define(rgd(gate, cm("d", {"v": "${string(gate.status.n)}"}), cm("old")))
    await inside.create(shop())
    await set_status(inside, ready=True, n=1)
    assert "shop-d" not in inside.names("ConfigMap")
    assert inside.message() == (
        FAILED + 'apply results contain errors: waiting for node "gate": readyWhen condition evaluated to false: '
        '"gate.status.n > 1" (waiting for readiness)'
    )
    await inside.define(rgd(gate, cm("d", {"v": "${string(gate.status.n)}"})))
    assert "shop-old" in inside.names("ConfigMap")
    await set_status(inside, ready=True, n=2)
    assert inside.names("ConfigMap") == ["shop-d"]


async def test_20_ready_when_on_a_status_that_is_not_there_waits(inside: Inside) -> None:
    await inside.define(rgd(database("gate", readyWhen=["${gate.status.ready}"])))
    await inside.create(shop())
    assert inside.state() == "IN_PROGRESS"
    assert inside.message() == (
        FAILED + 'apply results contain errors: waiting for node "gate": node "gate": '
        'failed to evaluate readyWhen expression: "gate.status.ready" (waiting for readiness)'
    )


async def test_21_ready_when_that_cannot_work_is_an_error_after_the_apply(inside: Inside) -> None:
    await inside.define(rgd(cm("gate", {"k": "v"}, readyWhen=["${1 / (size(gate.data) - 1) == 1}"])))
    await inside.create(shop())
    assert inside.names("ConfigMap") == ["shop-gate"]
    assert inside.state() == "ERROR"
    assert inside.retrying
    assert "division by zero" in inside.message()


async def test_21_with_a_dependent_the_pass_stops_before_any_other_apply(inside: Inside) -> None:
    gate = cm("gate", {"k": "${schema.spec.color}"}, readyWhen=["${1 / (size(gate.data) - 1) == 1}"])
    await inside.define(rgd(gate, cm("d", {"v": "${gate.data.k}"})))
    await inside.create(shop(color="a"))
    assert (inside.state(), inside.names("ConfigMap")) == ("ERROR", ["shop-gate"])
    assert 'failed to check readiness of dependent node "gate"' in inside.message()
    await inside.edit("WebShop", "shop", {"spec": {"color": "b"}})
    assert inside.data("shop-gate") == {"k": "a"}
    assert inside.retrying


async def test_22_a_changed_value_goes_down_the_chain(inside: Inside) -> None:
    await inside.define(rgd(cm("a", {"v": "${schema.spec.color}"}), cm("b", {"v": "${a.data.v}"})))
    await inside.create(shop(color="1"))
    await inside.edit("WebShop", "shop", {"spec": {"color": "2"}})
    assert (inside.data("shop-a"), inside.data("shop-b")) == ({"v": "2"}, {"v": "2"})
    assert inside.state() == "ACTIVE"


async def test_23_the_end_of_a_diamond_waits_for_both_middle_nodes(inside: Inside) -> None:
    left = database("left", readyWhen=["${left.status.ready}"])
    left["template"] = {**DATABASE, "metadata": {"name": "l"}, "spec": {"size": "${top.metadata.name}"}}
    right = database("right", readyWhen=["${right.status.ready}"])
    right["template"] = {**DATABASE, "metadata": {"name": "r"}, "spec": {"size": "${top.metadata.name}"}}
    sink = cm("sink", {"l": "${left.metadata.name}", "r": "${right.metadata.name}"})
    await inside.define(rgd(cm("top"), left, right, sink))
    await inside.create(shop())
    assert inside.names("Database") == ["l", "r"]
    await inside.edit("Database", "r", {"status": {"ready": True}}, status=True)
    assert inside.names("ConfigMap") == ["shop-top"]
    await inside.edit("Database", "l", {"status": {"ready": True}}, status=True)
    assert inside.names("ConfigMap") == ["shop-sink", "shop-top"]


async def test_24_a_lone_node_is_healed_while_others_wait(inside: Inside) -> None:
    await inside.define(rgd(cm("x", {"k": "v"}), database(), cm("app", {"at": "${db.status.endpoint}"})))
    await inside.create(shop())
    await inside.edit("ConfigMap", "shop-x", {"data": {"k": "other"}})
    assert inside.data("shop-x") == {"k": "v"}
    assert inside.state() == "IN_PROGRESS"
