"""Every expression that was run against kro itself: what agrees, what is refused for now, what differs and why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from cel_site import SITE, bindings, same, variables

from kro_es.cel.checker import check
from kro_es.cel.compiler import compile_expression
from kro_es.cel.errors import CelCheckError, CelError, CelSyntaxError, DataPending, EvaluationError
from kro_es.cel.omit import is_omit, without_omitted
from kro_es.cel.parser import parse
from kro_es.cel.references import identifiers
from kro_es.cel.types import type_name

AGREES, REFUSED, DIFFERS = 657, 147, 25
CASES: list[dict[str, Any]] = SITE["cases"]


def answer(case: dict[str, Any]) -> dict[str, Any]:
    site = case.get("site", False)
    types = variables() if site else {}
    early, hard, pending = ("build", "hard", "pending") if site else ("check", "error", "error")
    found: dict[str, Any] = {}
    try:
        parsed = parse(case["expression"])
        unknown = [name for name in identifiers(parsed) if name not in types]
        if site and unknown:
            return {"class": early, "text": f"references unknown identifiers: [{' '.join(unknown)}]"}
        checked = check(parsed, types)
        found["type"] = type_name(checked.result_type)
        value = compile_expression(checked).evaluate_json(bindings(case) if site else {})
        # a field of its own that is left out is null to the one who asks for its value
        found["value"] = None if is_omit(value) else without_omitted(value)
    except (CelSyntaxError, CelCheckError) as error:
        return {"class": early, "text": str(error)}
    except DataPending as error:
        return {**found, "class": pending, "text": str(error)}
    except EvaluationError as error:
        return {**found, "class": hard, "text": str(error)}
    except CelError as error:
        return {"class": early if site else "program", "text": str(error)}
    return found


def agrees(expected: dict[str, Any], got: dict[str, Any]) -> bool:
    if "type" in expected and expected["type"] != got.get("type"):
        return False
    if "class" in expected:
        return expected["class"] == got.get("class") and expected.get("contains", "") in got["text"]
    return "value" in got and same(expected["value"], got["value"])


def cases(outcome: str) -> list[Any]:
    return [pytest.param(case, id=case["expression"]) for case in CASES if case["outcome"] == outcome]


@pytest.mark.parametrize("case", cases("agrees"))
def test_agrees_with_the_reference(case: dict[str, Any]) -> None:
    got = answer(case)
    assert agrees(case["expect"], got), got


@pytest.mark.parametrize("case", cases("refused"))
def test_is_refused_by_name(case: dict[str, Any]) -> None:
    got = answer(case)
    assert got["class"] in ("check", "build")
    assert "is not supported" in got["text"]


@pytest.mark.parametrize("case", cases("differs"))
def test_a_difference_is_taken_off_the_list_once_it_is_gone(case: dict[str, Any]) -> None:
    assert case["why"]
    assert not agrees(case["expect"], answer(case))


def test_the_lists_only_shrink() -> None:
    count = Counter(case["outcome"] for case in CASES)
    assert count["agrees"] >= AGREES
    assert (count["refused"], count["differs"]) == (REFUSED, DIFFERS)
