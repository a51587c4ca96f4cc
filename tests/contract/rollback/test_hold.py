"""A hold: the log says what counts, later edits are recorded and wait, nobody is fought, and a lost log does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kro_es.errors import UserError
from kro_es.events.types import Actor, CommandHold, NewEvent, ObjectObserved, Subject
from kro_es.history import holds, rollback, targets
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.mirror import Mirror
from kro_es.store.reader import ReaderPool
from tests.contract.instances.shapes import cm
from tests.contract.rollback.conftest import MANY, NAMES, Desk, web
from tests.support.inside import Inside, copied
from tests.support.steps import faults

HELD = "kro.run/held"


def _held(obj: dict[str, Any]) -> dict[str, Any]:
    found = {item["type"]: item for item in obj["status"]["conditions"]}
    assert found["Ready"]["observedGeneration"] == obj["metadata"]["generation"]
    return found.get("Held", {})


async def _release(desk: Desk, name: str) -> None:
    history = desk.history
    target = targets.find(history, name, "team-a")
    await rollback.release(history, desk._connected(), target, "mended")
    await desk.inside.rest()


async def test_a_held_definition_stays_while_gitops_applies_the_new_one_again_and_again(twenty: Desk) -> None:
    before = twenty.graph()
    await twenty.inside.define(web("blue", cm("extra")))
    end = await twenty.roll_back(to="1", hold=True)
    assert (end.done, end.verdict) == (MANY, "done")
    spec = web("blue", cm("extra"))["spec"]
    await twenty.inside.pass_time()
    for _ in range(3):
        await twenty.inside.edit("ResourceGraphDefinition", "webshop-rgd", {"spec": spec}, manager="argocd")
    await twenty.inside.restart()
    assert twenty.graph() == before
    live = twenty.inside.get("ResourceGraphDefinition", "webshop-rgd")
    assert live["spec"] == spec
    assert live["status"]["state"] == "Active"
    assert "held at revision 1@" in _held(live)["message"]
    assert "by dana: it was better" in _held(live)["message"]
    assert live["metadata"]["annotations"][HELD].startswith("revision 1@")
    (row,) = holds.holds(twenty.history).rows
    assert (row["object"], row["actor"], row["edited_by"]) == ("resourcegraphdefinition/webshop-rgd", "dana", "argocd")
    assert row["waiting"] >= 1
    assert faults(twenty.inside.url) == []


async def test_a_release_applies_what_waited(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    blue = twenty.graph()
    await twenty.roll_back(to="1", hold=True)
    spec = web("blue")["spec"]
    await twenty.inside.edit("ResourceGraphDefinition", "webshop-rgd", {"spec": spec}, manager="argocd")
    assert twenty.graph() != blue
    await _release(twenty, "webshop-rgd")
    assert twenty.graph() == blue
    live = twenty.inside.get("ResourceGraphDefinition", "webshop-rgd")
    assert _held(live) == {}
    assert HELD not in live["metadata"]["annotations"]
    with pytest.raises(UserError, match="webshop-rgd is not held"):
        await _release(twenty, "webshop-rgd")


async def test_a_held_instance_keeps_its_spec_and_the_others_go_on(twenty: Desk) -> None:
    position = twenty.position()
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    end = await twenty.roll_back("webshop/shop-03", to=position, hold=True)
    assert end.verdict == "done"
    calls = len(twenty.inside.calls)
    for key in ("three", "four"):
        await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": key}}, manager="argocd")
        await twenty.inside.edit("WebShop", "shop-04", {"spec": {"key": key}}, manager="argocd")
    assert twenty.inside.data("shop-03-cfg")["key"] == "one"
    assert twenty.inside.data("shop-04-cfg")["key"] == "four"
    written = [(verb, name) for verb, kind, name in twenty.inside.writes(calls) if name.startswith("shop-03")]
    assert set(written) <= {("put", "shop-03")}, "only the status says that it has seen the edit"
    assert "held at position" in _held(twenty.inside.get("WebShop", "shop-03"))["message"]
    await _release(twenty, "webshop/shop-03")
    assert twenty.inside.data("shop-03-cfg")["key"] == "four"
    assert faults(twenty.inside.url) == []


async def test_a_hold_survives_a_restart_and_the_loss_of_its_mark(twenty: Desk) -> None:
    position = twenty.position()
    await twenty.roll_back("webshop/shop-03", to=position, hold=True)
    await twenty.inside.restart()
    no_mark = {"metadata": {"annotations": {HELD: None}}, "spec": {"key": "two"}}
    await twenty.inside.edit("WebShop", "shop-03", no_mark, manager="argocd")
    assert twenty.inside.data("shop-03-cfg")["key"] == "one"
    await _release(twenty, "webshop/shop-03")
    assert twenty.inside.data("shop-03-cfg")["key"] == "two"


async def test_a_held_instance_can_be_deleted(twenty: Desk) -> None:
    await twenty.roll_back("webshop/shop-03", to=twenty.position(), hold=True)
    await twenty.inside.delete("WebShop", "shop-03")
    assert "shop-03-cfg" not in twenty.inside.names("ConfigMap")
    assert holds.holds(twenty.history).rows == []


async def test_without_the_log_nothing_is_done_to_what_is_held(
    twenty: Desk, database_template: Path, tmp_path: Path
) -> None:
    await twenty.roll_back("webshop/shop-03", to=twenty.position(), hold=True)
    await twenty.inside.edit("WebShop", "shop-03", {"spec": {"key": "two"}})
    await twenty.inside.end()
    other = Inside(copied(database_template, tmp_path / "other.db"))
    other.server = twenty.inside.server
    twenty.inside = other
    await other.start()
    assert other.data("shop-03-cfg")["key"] == "one"
    ready = other.condition("shop-03", "Ready")
    assert ready[:2] == ("False", "HeldUnknown")
    await other.edit("WebShop", "shop-04", {"spec": {"key": "two"}})
    assert other.data("shop-04-cfg")["key"] == "two"
    await _release(twenty, "webshop/shop-03")
    assert other.data("shop-03-cfg")["key"] == "two"


async def test_without_the_log_a_held_definition_changes_nothing(
    twenty: Desk, database_template: Path, tmp_path: Path
) -> None:
    await twenty.inside.define(web("blue"))
    await twenty.roll_back(to="1", hold=True)
    before = twenty.graph()
    await twenty.inside.edit("ResourceGraphDefinition", "webshop-rgd", {"spec": web("green")["spec"]})
    await twenty.inside.end()
    other = Inside(copied(database_template, tmp_path / "other.db"))
    other.server = twenty.inside.server
    twenty.inside = other
    await other.start()
    assert twenty.graph() == before
    live = other.get("ResourceGraphDefinition", "webshop-rgd")
    assert "which this log does not know" in _held(live)["message"]
    await _release(twenty, "webshop-rgd")
    assert other.data("shop-03-cfg")["color"] == "green"


async def test_the_whole_graph_can_be_held(twenty: Desk) -> None:
    before, position = twenty.graph(), twenty.position()
    await twenty.inside.delete("WebShop", "shop-07")
    end = await twenty.roll_back(to=position, whole=True, hold=True)
    assert (end.done, end.verdict) == (MANY, "done")
    for name in NAMES:
        await twenty.inside.edit("WebShop", name, {"spec": {"key": "two"}}, manager="argocd")
    await twenty.inside.edit("ResourceGraphDefinition", "webshop-rgd", {"spec": web("blue")["spec"]}, manager="argocd")
    assert {key: value for key, value in twenty.graph().items() if "WebShop" not in key} == {
        key: value for key, value in before.items() if "WebShop" not in key
    }
    assert len(holds.holds(twenty.history).rows) == MANY + 1


async def test_another_rollback_of_what_is_held_has_to_hold_too(twenty: Desk) -> None:
    await twenty.inside.define(web("blue"))
    await twenty.roll_back(to="1", hold=True)
    with pytest.raises(UserError, match="is held: release it first"):
        await twenty.roll_back(to="2")
    await twenty.roll_back(to="2", hold=True)
    assert twenty.inside.data("shop-03-cfg")["color"] == "blue"


def test_a_controller_that_reads_a_mirror_of_its_rows_sees_what_the_command_line_asked_for(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    migrate(engine)
    mirror = Mirror(PROJECTIONS, tmp_path)
    controller = EventLog(engine, PROJECTIONS, cluster="c", mirror=mirror)
    controller.issue_fence()
    controller.append([_seen(1)], now=1)
    hold = CommandHold("u1", {"key": "one"}, "position 1@abc", "it was better")
    subject = Subject("kro.run", "WebShop", "team-a", "shop", "u1")
    EventLog(engine).append([NewEvent("instance/u1", hold, subject, Actor("dana", "cli"), 2)], now=2)
    controller.append([_seen(2)], now=3)
    with ReaderPool(mirror.engine, PROJECTIONS).open() as reader:
        row = reader.row("holds", "u1")
        assert row is not None
        assert (row["spec"], row["actor"], reader.position) == ({"key": "one"}, "dana", 3)
    mirror.close()
    engine.dispose()
    assert faults(f"sqlite:///{tmp_path}/log.db") == []


def _seen(version: int) -> NewEvent:
    meta = {"name": "shop", "namespace": "team-a", "uid": "u1", "resourceVersion": str(version)}
    obj = {"apiVersion": "kro.run/v1alpha1", "kind": "WebShop", "metadata": meta, "spec": {"n": version}}
    subject = Subject("kro.run", "WebShop", "team-a", "shop", "u1")
    return NewEvent(
        "object/kro.run/WebShop/team-a/shop", ObjectObserved(obj), subject, Actor("kubectl", "manager"), version,
        resource_version=version, event_id=f"{version:032x}",
    )  # fmt: skip
