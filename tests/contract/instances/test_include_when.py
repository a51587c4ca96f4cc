"""Spec/03 §17, scenarios 25 to 32: nodes that take part only sometimes."""

from __future__ import annotations

from typing import Any

from tests.contract.instances.shapes import cm, rgd, shop
from tests.contract.instances.test_ordering import database, set_status
from tests.support.inside import Inside

KINDS = "applyset.kubernetes.io/contains-group-kinds"
MON = {
    "id": "mon",
    "includeWhen": ["${schema.spec.mon}"],
    "template": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${schema.metadata.name}-mon"}},
}


def kinds(inside: Inside) -> str:
    found: str = inside.get("WebShop", "shop")["metadata"]["annotations"][KINDS]
    return found


async def test_25_an_excluded_node_is_never_written_and_not_in_the_inventory(inside: Inside) -> None:
    await inside.define(rgd(MON, cm("cfg")))
    await inside.create(shop(mon=False))
    assert (inside.state(), kinds(inside), inside.names("Secret")) == ("ACTIVE", "ConfigMap", [])
    assert {row["node"]: row["state"] for row in inside.rows("nodes").values()} == {"mon": "SKIPPED", "cfg": "SYNCED"}


async def test_26_a_node_that_is_switched_on_and_off_comes_and_goes(inside: Inside) -> None:
    await inside.define(rgd(MON, cm("cfg")))
    await inside.create(shop(mon=False))
    await inside.edit("WebShop", "shop", {"spec": {"mon": True}})
    assert (inside.names("Secret"), kinds(inside)) == (["shop-mon"], "ConfigMap,Secret")
    calls = len(inside.calls)
    await inside.edit("WebShop", "shop", {"spec": {"mon": False}})
    assert (inside.names("Secret"), kinds(inside), inside.state()) == ([], "ConfigMap", "ACTIVE")
    written = [write for write in inside.writes(calls) if write[0] in ("delete", "apply")]
    assert written == [("delete", "Secret", "shop-mon"), ("apply", "WebShop", "shop")]


async def test_27_exclusion_spreads_to_dependents_and_prunes_them_first(inside: Inside) -> None:
    dash = cm("dash", {"m": "${mon.metadata.name}"})
    alert = cm("alert", {"d": "${dash.metadata.name}"})
    await inside.define(rgd(MON, dash, alert))
    await inside.create(shop(mon=True))
    assert inside.names("ConfigMap") == ["shop-alert", "shop-dash"]
    calls = len(inside.calls)
    await inside.edit("WebShop", "shop", {"spec": {"mon": False}})
    deleted = [name for verb, kind, name in inside.writes(calls) if verb == "delete"]
    assert deleted == ["shop-alert", "shop-dash", "shop-mon"]
    states = {row["node"]: row["state"] for row in inside.rows("nodes").values()}
    assert set(states.values()) == {"SKIPPED"}
    assert inside.state() == "ACTIVE"


def _by_replicas() -> dict[str, Any]:
    mon = cm("mon", includeWhen=["${db.status.n > 0}"])
    return rgd(database(), mon)


async def test_28_exclusion_that_is_not_known_yet_keeps_what_is_there(inside: Inside) -> None:
    await inside.define(_by_replicas())
    await inside.create(shop())
    assert (inside.names("ConfigMap"), inside.state()) == ([], "IN_PROGRESS")
    assert inside.message().endswith(
        'includeWhen "db.status.n > 0": eval "db.status.n > 0": no such key: status (data pending)'
    )
    await set_status(inside, n=1)
    assert inside.names("ConfigMap") == ["shop-mon"]
    calls = len(inside.calls)
    inside.server.patch(inside.ref("Database", "shop-db"), {"status": None}, status=True)
    await inside.rest()
    assert (inside.names("ConfigMap"), inside.state()) == (["shop-mon"], "IN_PROGRESS")
    assert [write for write in inside.writes(calls) if write[1] == "ConfigMap"] == []


async def test_29_an_event_of_the_other_resource_switches_at_once(inside: Inside) -> None:
    await inside.define(_by_replicas())
    await inside.create(shop())
    for count, there in ((3, ["shop-mon"]), (0, []), (2, ["shop-mon"])):
        await set_status(inside, n=count)
        assert inside.names("ConfigMap") == there
        assert inside.state() == "ACTIVE"


async def test_30_a_missing_field_of_the_spec_in_include_when_is_an_error(inside: Inside) -> None:
    await inside.define(rgd(cm("mon", includeWhen=["${schema.spec.mon}"]), cm("cfg")))
    await inside.create(shop())
    assert (inside.state(), inside.names("ConfigMap")) == ("ERROR", [])
    assert inside.retrying


async def test_31_exclusion_by_a_resource_waits_until_that_is_ready(inside: Inside) -> None:
    src = database("src", readyWhen=["${src.status.ready}"])
    await inside.define(rgd(src, cm("mon", includeWhen=["${src.status.n > 0}"])))
    await inside.create(shop())
    assert 'waiting for node "src"' in inside.message()
    reports = {row["node"]: row["reason"] for row in inside.rows("nodes").values()}
    assert reports["mon"].startswith('includeWhen dependency "src" not ready: node "src": failed to evaluate readyWhen')
    assert reports["mon"].endswith("(data pending)")
    await set_status(inside, n=1, ready=True)
    assert inside.names("ConfigMap") == ["shop-mon"]


async def test_32_what_left_the_graph_is_pruned_while_a_leaf_is_not_ready(inside: Inside) -> None:
    gate = database("gate", readyWhen=["${gate.status.ready}"])
    await inside.define(rgd(cm("old"), gate))
    await inside.create(shop())
    assert inside.names("ConfigMap") == ["shop-old"]
    await inside.define(rgd(gate))
    assert (inside.names("ConfigMap"), inside.state()) == ([], "IN_PROGRESS")


async def test_32_a_dependent_of_what_is_not_ready_holds_the_prune_back(inside: Inside) -> None:
    gate = database("gate", readyWhen=["${gate.status.ready}"])
    dependent = cm("d", {"n": "${gate.metadata.name}"})
    await inside.define(rgd(cm("old"), gate, dependent))
    await inside.create(shop())
    await inside.define(rgd(gate, dependent))
    assert inside.names("ConfigMap") == ["shop-old"]
    await set_status(inside, ready=True)
    assert inside.names("ConfigMap") == ["shop-d"]
