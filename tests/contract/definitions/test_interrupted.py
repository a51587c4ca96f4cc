"""A pass over a definition that dies, or is refused, at any single step is made up for by the next one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kro_es.errors import ApiError
from tests.contract.definitions.steps import CM, put, state, thing, things
from tests.support.fake_cluster import Call, Fault
from tests.support.inside import Inside, copied
from tests.support.steps import config_map

B = config_map("b", "${schema.metadata.name}-b", {"v": "2"})
FAULTS = {
    "dies before": Fault("before"),
    "dies after": Fault("after"),
    "refused": Fault("before", ApiError(500, "InternalError", "boom")),
    "unanswered": Fault("after", ApiError(0, "Unanswered", "the connection was reset")),
}
Action = Callable[[Inside], Awaitable[None]]


def _arm(inside: Inside, number: int, fault: Fault) -> list[Call]:
    """What happens to the ``number``-th call from now on; returns where it is noted when it was made."""
    assert inside.controller is not None
    connection, struck = inside.controller.connection, list[Call]()
    last = len(connection.calls) + number

    def at_call(call: Call) -> Fault | None:
        if call.number != last:
            return None
        struck.append(call)
        return fault

    connection.fault = at_call
    return struck


async def _struck(template: Path, folder: Path, fault: Fault, number: int, action: Action) -> tuple[Inside, list[Call]]:
    """A definition with an instance, and what the action makes of them with a fault at one call, when all is done."""
    inside = Inside(copied(template, folder / f"{number}.db"))
    await inside.start()
    await put(inside, things(CM))
    await inside.create(thing())
    assert inside.controller is not None
    struck = _arm(inside, number, fault)
    await action(inside)
    if inside.controller.connection.dead:
        await inside.restart()
    for _ in range(2):
        await inside.pass_time()
    return inside, struck


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
async def test_a_new_revision_always_has_its_object_with_its_status(
    database_template: Path, tmp_path: Path, fault: Fault
) -> None:
    async def edit(inside: Inside) -> None:
        await put(inside, things(CM, B))

    for number in range(1, 50):
        inside, struck = await _struck(database_template, tmp_path, fault, number, edit)
        assert (state(inside), inside.names("ConfigMap")) == ("Active", ["one-a", "one-b"])
        revision = inside.get("GraphRevision", "things-r00002")
        assert revision["spec"]["snapshot"]["spec"] == things(CM, B)["spec"], struck
        assert [item["type"] for item in revision["status"]["conditions"]] == ["GraphVerified", "Ready"], struck
        assert (inside.rows("open_writes"), inside.replayed().differences) == ({}, [])
        await inside.end()
        if not struck:
            assert number > 4
            return
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
async def test_a_crd_that_is_deleted_is_made_again_whenever_the_controller_dies(
    database_template: Path, tmp_path: Path, fault: Fault
) -> None:
    async def remove(inside: Inside) -> None:
        await inside.delete("CustomResourceDefinition", "things.kro.run")

    for number in range(1, 50):
        inside, struck = await _struck(database_template, tmp_path, fault, number, remove)
        assert "things.kro.run" in inside.names("CustomResourceDefinition"), struck
        assert (inside.rows("open_writes"), inside.replayed().differences) == ({}, [])
        await inside.end()
        if not struck:
            assert number > 1
            return
    raise AssertionError("it never came to an end")
