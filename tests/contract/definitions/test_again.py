"""Decisions about definitions made again from the log: every sort of them, and what another program would do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kro_es.api.objects import JsonObject
from kro_es.decisions import definition, definition_status
from kro_es.history.definitions_again import Decided
from kro_es.history.replay_report import DEFINITIONS
from kro_es.schema.compat import Report, compare
from tests.contract.definitions.steps import CM, put, rgd, thing, things
from tests.support.inside import Inside
from tests.support.steps import config_map, instance

WRONG = config_map("a", "${schema.metadata.name}-a", {"v": "${schema.spec.nope}"})
BREAKING = {"a": "integer"}


async def _life(inside: Inside) -> None:
    """Accepted, extended, refused, breaking, breaking and allowed, deleted."""
    await put(inside, things(CM))
    await inside.create(thing())
    await put(inside, things(CM, spec={"a": "string", "b": "integer | default=1"}))
    await put(inside, things(WRONG))
    await put(inside, things(CM, spec=BREAKING))
    allow = {"metadata": {"annotations": {"kro.run/allow-breaking-changes": "true"}}}
    await inside.edit("ResourceGraphDefinition", "things", allow)
    assert rgd(inside)["status"]["state"] == "Active"
    await inside.delete("ResourceGraphDefinition", "things")


def _recorded(inside: Inside) -> Counter[str]:
    found = (event for event in inside.events() if event.stream.startswith("definition/"))
    return Counter(event.type for event in found if isinstance(event.body, Decided))


async def test_every_sort_of_decision_about_a_definition_is_made_again(inside: Inside) -> None:
    await _life(inside)
    recorded = _recorded(inside)
    assert recorded.keys() == {
        "revision.issued", "revision.rejected", "revision.activated", "crd.applied", "reconcile.decided",
    }  # fmt: skip
    report = inside.replayed()
    assert (report.differences, report.unknown) == ([], [])
    assert report.sorts[DEFINITIONS].equal == recorded.total()


def _other_text(shown: Any, number: int, now: int) -> None:
    shown.set("GraphRevisionsResolved", "True", "Resolved", f"{number}", now)


def _against_another(_: JsonObject, new: JsonObject) -> Report:
    return compare({"spec": {"versions": [{"name": "x"}]}}, new)


@pytest.mark.parametrize(
    ("module", "name", "other", "types"),
    [
        (definition_status, "_resolved", _other_text, {"reconcile.decided"}),
        (definition, "breaks", lambda *_: "no", {"reconcile.decided"}),
        (definition, "tainted", lambda _: {"a": [["data"]]}, {"revision.issued"}),
        (definition, "_fault", lambda fault: {"message": "no"}, {"revision.rejected"}),
        (definition, "compare", _against_another, {"crd.applied", "reconcile.decided"}),
    ],
)  # fmt: skip
async def test_a_program_that_decides_otherwise_is_told(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, other: Any, types: set[str]
) -> None:
    await _life(inside)
    with monkeypatch.context() as patched:
        patched.setattr(module, name, other)
        report = inside.replayed()
    assert {found.type for found in report.differences} == types
    assert report.sorts[DEFINITIONS].different == len(report.differences)
    assert report.equal > 0


async def test_two_kinds_with_one_schema_are_two(inside: Inside) -> None:
    """A revision is compiled again against the schemas kept with it: each says which kind it is of."""
    for name in ("left", "right"):
        await put(inside, things(CM, name=f"{name}s", kind=name.title()))
    nodes = [
        {"id": name, "template": instance(name.title(), f"${{schema.metadata.name}}-{name}", {"a": "x"})}
        for name in ("left", "right")
    ]
    await put(inside, things(*nodes))
    await inside.restart()
    await put(inside, things(WRONG))
    await inside.create(thing())
    assert (inside.names("Left"), inside.names("Right")) == (["one-left"], ["one-right"])
