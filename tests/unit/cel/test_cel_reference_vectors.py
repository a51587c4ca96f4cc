"""Every expression that was run against kro itself: what agrees, what differs and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from cel_site import DIFFERS, Case, bindings, cases, same, variables

from kro_es.cel.checker import check
from kro_es.cel.compiler import compile_expression
from kro_es.cel.declarations import KRO
from kro_es.cel.errors import CelCheckError, CelError, CelSyntaxError, DataPending, EvaluationError
from kro_es.cel.omit import is_omit, without_omitted
from kro_es.cel.parser import parse
from kro_es.cel.references import identifiers
from kro_es.cel.types import type_name

CASES = tuple(cases())
_DIFFERENT = frozenset(name for names in DIFFERS.values() for name in names)


def answer(case: Case) -> dict[str, Any]:
    """As kro: what it does not have is not there."""
    types = variables() if case.on_site else {}
    early, hard, pending = ("build", "hard", "pending") if case.on_site else ("check", "error", "error")
    found: dict[str, Any] = {}
    try:
        parsed = parse(case.text, KRO)
        unknown = [name for name in identifiers(parsed) if name not in types]
        if case.on_site and unknown:
            return {"class": early, "text": f"references unknown identifiers: [{' '.join(unknown)}]"}
        checked = check(parsed, types)
        found["type"] = type_name(checked.result_type)
        value = compile_expression(checked).evaluate_json(bindings(case.observed) if case.on_site else {})
        # a field of its own that is left out is null to the one who asks for its value
        found["value"] = None if is_omit(value) else without_omitted(value)
    except (CelSyntaxError, CelCheckError) as error:
        return {"class": early, "text": str(error)}
    except DataPending as error:
        return {**found, "class": pending, "text": str(error)}
    except EvaluationError as error:
        return {**found, "class": hard, "text": str(error)}
    except CelError as error:
        return {"class": early if case.on_site else "program", "text": str(error)}
    return found


def agrees(expected: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    if "type" in expected and expected["type"] != got.get("type"):
        return False
    if "class" in expected:
        return expected["class"] == got.get("class") and expected.get("contains", "") in got["text"]
    return "value" in got and same(expected["value"], got["value"])


def _named(*, different: bool) -> list[Any]:
    return [pytest.param(case, id=case.id) for case in CASES if (case.id in _DIFFERENT) == different]


@pytest.mark.parametrize("case", _named(different=False))
def test_agrees_with_the_reference(case: Case) -> None:
    got = answer(case)
    assert agrees(case.expect, got), got


@pytest.mark.parametrize("case", _named(different=True))
def test_a_difference_is_taken_off_the_list_once_it_is_gone(case: Case) -> None:
    assert not agrees(case.expect, answer(case))


def test_every_listed_difference_is_a_vector() -> None:
    assert {case.id for case in CASES} >= _DIFFERENT
    assert len(CASES) >= 843
