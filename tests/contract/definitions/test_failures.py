"""A definition the compiler fails on stands alone: it is told why, and the others go on (spec/04 §2, T3-T4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from kro_es.controller import compiling
from kro_es.events.types import RevisionRejected
from kro_es.graph.compile import compile_graph
from tests.contract.definitions.steps import CM, bodies, condition, put, state, thing, things
from tests.support.inside import Inside
from tests.support.steps import config_map

Compile = Callable[..., Any]
B = config_map("b", "${schema.metadata.name}-b", {"v": "2"})


def _failing(monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None]) -> None:
    """The compiler has a bug that definitions with a resource ``b`` meet."""

    def compile_with_bug(definition: Any, *given: Any, **more: Any) -> Any:
        if any(resource.id == "b" for resource in definition.resources):
            fail()
        return compile_graph(definition, *given, **more)

    monkeypatch.setattr(compiling, "compile_graph", compile_with_bug)


def _crash() -> None:
    raise ZeroDivisionError("a bug")


async def test_a_crash_of_the_compiler_is_told_and_stops_nobody(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(inside, things(CM))
    await inside.create(thing())
    _failing(monkeypatch, _crash)
    await put(inside, things(CM, B))
    await put(inside, things(CM, name="other", kind="Other1"))
    status, reason, text = condition(inside, "GraphAccepted")
    assert (status, reason) == ("False", "CompilerFailed")
    assert "the compiler failed, which is a bug of kro-es" in text
    assert "in _crash" in text
    assert "ZeroDivisionError: a bug" in text
    assert condition(inside, "GraphRevisionsResolved")[2] == "revision 1 compiled and active"
    assert (state(inside), state(inside, "other")) == ("Inactive", "Active")
    assert "ZeroDivisionError" in bodies(inside, RevisionRejected)[-1].faults[0]["message"]
    assert not inside.retrying
    await inside.create(thing("two"))
    assert inside.state("two", "Thing") == "ACTIVE"
    await put(inside, things(CM))
    assert state(inside) == "Active"


async def test_a_compile_that_never_ends_is_ended(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "LONGEST_SECONDS", 0.3)

    def forever() -> None:
        while True:
            time.sleep(0.001)  # a loop that never ends, and leaves the processor to the rest of the test

    _failing(monkeypatch, forever)
    await put(inside, things(CM, B))
    status, reason, text = condition(inside, "GraphAccepted")
    assert (status, reason) == ("False", "CompilerFailed")
    assert "did not end within 0.3 s" in text
    assert "in forever" in text
    for thread in threading.enumerate():
        if thread.name == "compile things":
            thread.join(10)
            assert not thread.is_alive()
    await put(inside, things(CM, name="other", kind="Other1"))
    assert state(inside, "other") == "Active"


async def test_a_crash_while_reading_a_definition_is_told_too(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kro_es.controller.definition_reconciler.spec_hash", lambda definition: _crash())
    await put(inside, things(CM))
    assert condition(inside, "GraphAccepted")[1] == "CompilerFailed"
    assert not inside.retrying


async def test_every_fault_is_told_at_once_in_the_order_it_is_written(inside: Inside) -> None:
    """T3; T4: a name nobody has is told with the resource and the field it is in."""
    wrong = [
        config_map("a", "x", {"k": "${schema.spec.nope}"}),
        config_map("b", "x", {"k": "${databse.status.host}"}),
        {"id": "c", "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dta": {}}},
    ]
    await put(inside, things(*wrong, status={"s": "${a.nope}"}))
    faults = bodies(inside, RevisionRejected)[-1].faults
    assert [(fault["resource"], fault["path"]) for fault in faults] == [
        ("a", "data.k"),
        ("b", "data.k"),
        ("c", "dta"),
        (None, "status.s"),
    ]
    unknown = next(line for line in condition(inside, "GraphAccepted")[2].split("\n") if "databse" in line)
    assert "references unknown identifiers: [databse]" in unknown
    assert '"b"' in unknown
    assert "data.k" in unknown
