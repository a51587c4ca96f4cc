"""The controller dies at each single await of a pass; the next one, on the same log and cluster, ends where it should."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kro_es.events.types import OutcomeUnknown, ReconcileDecided
from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.fake_cluster import Call, Fault
from tests.support.inside import Inside, copied

Action = Callable[[Inside], Awaitable[None]]
PIECES = cm("pieces", {"n": "${n}"}, name="${schema.metadata.name}-${n}", forEach=[{"n": "${schema.spec.names}"}])
GRAPH = rgd(cm("a", {"c": "${schema.spec.color}"}), cm("b", {"v": "${a.data.c}"}), PIECES)
DIE = (Fault("before"), Fault("after"))


async def _create(inside: Inside) -> None:
    await inside.create(shop(color="1", names=["x", "y"]))


async def _edit(inside: Inside) -> None:
    await inside.edit("WebShop", "shop", {"spec": {"color": "2", "names": ["y", "z"]}})


async def _delete(inside: Inside) -> None:
    await inside.delete("WebShop", "shop")


def _children(inside: Inside) -> dict[str, dict[str, str]]:
    return {name: inside.data(name) for name in inside.names("ConfigMap")}


CREATED = {"shop-a": {"c": "1"}, "shop-b": {"v": "1"}, "shop-x": {"n": "x"}, "shop-y": {"n": "y"}}
EDITED = {"shop-a": {"c": "2"}, "shop-b": {"v": "2"}, "shop-y": {"n": "y"}, "shop-z": {"n": "z"}}
ACTIONS: dict[str, tuple[tuple[Action, ...], Action, dict[str, dict[str, str]]]] = {
    "create": ((), _create, CREATED),
    "edit": ((_create,), _edit, EDITED),
    "delete": ((_create,), _delete, {}),
}


def _arm(inside: Inside, where: str, number: int, fault: Fault) -> None:
    """The ``number``-th call or append from now on is the last."""
    assert inside.controller is not None
    connection, appends = inside.controller.connection, inside.controller.appends
    if where == "call":
        last = len(connection.calls) + number

        def at_call(call: Call) -> Fault | None:
            return fault if call.number == last else None

        connection.fault = at_call
    else:
        end = appends.count + number
        appends.fault = lambda count: fault if count == end else None


@pytest.mark.parametrize("fault", DIE, ids=["before", "after"])
@pytest.mark.parametrize("where", ["call", "append"])
@pytest.mark.parametrize("what", ACTIONS)
async def test_a_controller_that_dies_anywhere_is_followed_by_one_that_finishes(
    database_template: Path, tmp_path: Path, what: str, where: str, fault: Fault
) -> None:
    before, action, wanted = ACTIONS[what]
    for number in range(1, 100):
        inside = Inside(copied(database_template, tmp_path / f"{number}.db"))
        await inside.start()
        await inside.define(GRAPH)
        for step in before:
            await step(inside)
        made = set(inside.names("ConfigMap"))
        _arm(inside, where, number, fault)
        await action(inside)
        assert inside.controller is not None
        died = inside.controller.connection.dead
        calls = list(inside.calls)
        await inside.restart()
        await inside.pass_time()
        _check(inside, wanted, f"{where} {number}")
        _check_intents(inside, [*calls, *inside.calls])
        _check_made_once(inside, made)
        await inside.end()
        if not died:
            assert number > 4
            return
    raise AssertionError("it never came to an end")


def _check(inside: Inside, wanted: dict[str, dict[str, str]], where: str) -> None:
    assert _children(inside) == wanted, where
    assert inside.names("WebShop") == (["shop"] if wanted else []), where
    if wanted:
        assert inside.state() == "ACTIVE", where
    assert inside.rows("open_writes") == {}, where


def _check_intents(inside: Inside, calls: list[Call]) -> None:
    """Whatever was sent had been announced, and each announcement has an end."""
    announced: dict[tuple[str, str], int] = {}
    for event in inside.events():
        if isinstance(event.body, ReconcileDecided):
            for write in event.body.writes:
                key = (write.verb, write.name)
                announced[key] = announced.get(key, 0) + 1
    sent: dict[tuple[str, str], int] = {}
    for call in calls:
        # a refused or conflicting write may be sent again under the same intent
        if call.verb not in ("get", "list", "put") and call.force and call.ref.kind != "Event":
            key = (call.verb, call.ref.name)
            sent[key] = sent.get(key, 0) + 1
    assert {key: count for key, count in sent.items() if count > announced.get(key, 0)} == {}
    unknown = [event.body for event in inside.events() if isinstance(event.body, OutcomeUnknown)]
    assert all(body.found for body in unknown)


def _check_made_once(inside: Inside, before: set[str]) -> None:
    """No child was deleted to be made again: a name has one uid in the history of the cluster."""
    uids: dict[str, set[str]] = {}
    for entry in inside.server.since(0):
        obj = entry.after
        if obj is not None and obj["kind"] == "ConfigMap":
            uids.setdefault(obj["metadata"]["name"], set()).add(obj["metadata"]["uid"])
    assert all(len(found) == 1 for found in uids.values())
