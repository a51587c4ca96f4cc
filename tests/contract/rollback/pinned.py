"""What tests of pins do again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kro_es.history import pinning, rollback, selecting
from kro_es.history.progress import Progress, progress
from kro_es.history.whole import Rollback
from tests.contract.rollback.conftest import Desk
from tests.support.inside import Inside, copied

MARK, LABEL = "kro.run/pinned", "kro.run/pinned-revision"


async def change(desk: Desk, target: str, number: int | None) -> Progress:
    history = desk.history
    found = pinning.chosen(history, target, "team-a")
    made = await rollback.planned_pins(history, desk._connected(), (found,), number)
    return progress(desk.history, made, await desk.carry_out(made))


async def pin(desk: Desk, target: str = "webshop/shop-03", *, to: int) -> Progress:
    return await change(desk, target, to)


async def unpin(desk: Desk, target: str = "webshop/shop-03") -> Progress:
    return await change(desk, target, None)


async def plan_labels(desk: Desk, selector: str, to: int | None, namespace: str | None = None) -> Rollback:
    history = desk.history
    chosen = selecting.selected(history, "webshop", namespace, selector)
    made = await rollback.planned_labels(history, desk._connected(), chosen, to)
    assert made is not None
    return made


async def pin_labels(desk: Desk, selector: str, *, to: int | None, namespace: str | None = None) -> Progress:
    """``to`` None: unpin."""
    made = await plan_labels(desk, selector, to, namespace)
    return progress(desk.history, made, await desk.carry_out(made))


def color(desk: Desk, name: str) -> str:
    return desk.inside.data(f"{name}-cfg")["color"]


def condition(desk: Desk, name: str = "shop-03") -> dict[str, Any]:
    obj = desk.inside.get("WebShop", name)
    found = {item["type"]: item for item in obj["status"]["conditions"]}
    return found.get("Pinned", {})


async def lost_log(desk: Desk, template: Path, folder: Path) -> None:
    """The controller starts with an empty log on the same cluster."""
    await desk.inside.end()
    other = Inside(copied(template, folder / "other.db"))
    other.server = desk.inside.server
    desk.inside = other
    await other.start()
