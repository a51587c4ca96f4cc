"""A start takes definitions up from the log: it asks the server only about what may have changed, and later about the rest."""

from __future__ import annotations

import pytest

from kro_es.api import metadata
from kro_es.events.types import ObjectObserved, RevisionIssued
from tests.contract.definitions.steps import CM, bodies, condition, put, state, thing, things
from tests.support.fake_cluster import Connection
from tests.support.inside import Inside


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Questions about kinds, which the fake does not count as calls."""
    found: list[str] = []
    for name in ("kinds", "resource_for_group_kind", "wait_established"):
        real = getattr(Connection, name)

        def asking(self: Connection, *args: object, name: str = name, real: object = real) -> object:
            found.append(name)
            return real(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(Connection, name, asking)
    return found


async def test_a_restart_at_rest_asks_for_nothing(inside: Inside, asked: list[str]) -> None:
    await put(inside, things(CM))
    await inside.create(thing())
    before = inside.versions()
    asked.clear()
    await inside.restart()
    assert (inside.calls, asked) == ([], [])
    await inside.create(thing("two"))
    assert "two-a" in inside.names("ConfigMap")
    assert asked == []
    assert inside.versions().items() >= before.items()


def passes(inside: Inside) -> float:
    """Over instances, in this run of the controller."""
    assert inside.controller is not None
    return inside.controller.metrics.reconciles.labels("instance")._value.get()


async def test_a_restart_gives_each_instance_one_pass_and_records_nothing_it_knows(inside: Inside) -> None:
    await put(inside, things(CM))
    await inside.create(*(thing(f"t{number}") for number in range(5)))
    before = len(inside.events())
    await inside.restart()
    assert passes(inside) == 5
    assert not [event for event in inside.events()[before:] if isinstance(event.body, ObjectObserved)]


async def test_instances_of_a_definition_that_serves_nothing_after_a_start_get_their_pass_too(inside: Inside) -> None:
    await put(inside, things(CM))
    await inside.create(thing(), thing("two"))
    await inside.end()
    live = inside.get("ResourceGraphDefinition", "things")
    inside.server.update({**live, "metadata": {**live["metadata"], "annotations": {metadata.HELD: "elsewhere"}}})
    await inside.start()
    assert condition(inside, "GraphAccepted")[1] == "HeldUnknown"
    assert passes(inside) == 2


async def test_what_is_to_go_goes_although_its_definition_serves_nothing(inside: Inside) -> None:
    await put(inside, things(CM))
    await inside.create(thing())
    await inside.end()
    inside.server.delete(inside.ref("Thing", "one"))
    await inside.start()
    assert (inside.names("Thing"), inside.names("ConfigMap")) == ([], [])


async def test_the_kinds_of_the_server_are_looked_at_later(inside: Inside, asked: list[str]) -> None:
    await put(inside, things(CM))
    await inside.create(thing())
    await inside.restart()
    asked.clear()
    assert inside.controller is not None
    inside.controller.assembled.loop.look_again()
    await inside.rest()
    assert asked == ["kinds"]
    inside.controller.assembled.loop.look_again()
    await inside.rest()
    assert asked == ["kinds"]
    assert {verb for verb, _, _ in inside.writes(0)} == set()
    assert len(bodies(inside, RevisionIssued)) == 1


async def test_what_was_done_to_the_crd_meanwhile_is_put_right_at_the_start(inside: Inside) -> None:
    await put(inside, things(CM))
    await inside.end()
    live = inside.get("CustomResourceDefinition", "things.kro.run")
    (version,) = live["spec"]["versions"]
    cut = {**version, "schema": {"openAPIV3Schema": {"type": "object"}}}
    inside.server.update({**live, "spec": {**live["spec"], "versions": [cut]}})
    await inside.start()
    (version,) = inside.get("CustomResourceDefinition", "things.kro.run")["spec"]["versions"]
    assert "spec" in version["schema"]["openAPIV3Schema"]["properties"]
    assert state(inside) == "Active"


async def test_an_edit_made_meanwhile_is_issued_at_the_start(inside: Inside) -> None:
    await put(inside, things(CM))
    await inside.create(thing())
    await inside.end()
    edited = things({**CM, "template": {**CM["template"], "data": {"more": "new"}}})
    inside.server.update({**inside.get("ResourceGraphDefinition", "things"), "spec": edited["spec"]})
    await inside.start()
    assert [body.number for body in bodies(inside, RevisionIssued)] == [1, 2]
    assert inside.data("one-a")["more"] == "new"
