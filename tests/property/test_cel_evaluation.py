"""For any well-typed expression: the cost lies within its estimate, a run changes nothing and can be repeated."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kro_es.cel.blame import blame
from kro_es.cel.checker import CheckedExpression, check
from kro_es.cel.compiler import CompiledExpression, compile_expression
from kro_es.cel.cost import COST_LIMIT
from kro_es.cel.errors import CelCheckError, CelError, CostExceeded
from kro_es.cel.estimate import estimate
from kro_es.cel.parser import parse
from tests.property.cel_expressions import expressions
from tests.property.test_cel_differential import INPUTS, OURS, as_json, normal

OBSERVED = INPUTS.map(lambda inputs: {name: as_json(value) for name, value in inputs.items()})


def _units(checked: CheckedExpression, observed: dict[str, Any], limit: int = COST_LIMIT) -> int | CelError:
    """What an evaluation costs, or why it fails."""
    try:
        return compile_expression(checked, cost_limit=limit).measure(observed)[1]
    except CelError as error:
        return error


@given(expressions(), OBSERVED)
def test_the_cost_lies_within_the_estimate(text: str, observed: dict[str, Any]) -> None:
    checked = check(parse(text), OURS)
    units, expected = _units(checked, observed), estimate(checked)
    assert isinstance(units, CelError) or expected.least <= units <= expected.most


@given(expressions(), OBSERVED, st.integers(0, 60))
def test_an_evaluation_ends_where_its_budget_does(text: str, observed: dict[str, Any], limit: int) -> None:
    checked = check(parse(text), OURS)
    units, found = _units(checked, observed), _units(checked, observed, limit)
    if isinstance(units, CelError):
        return
    if isinstance(found, CelCheckError):
        assert units >= estimate(checked).least > limit
    elif isinstance(found, CostExceeded):
        # a loop that would end early still has to be affordable in whole
        assert estimate(checked).most > found.limit == limit
    else:
        assert found == units


@given(expressions(), OBSERVED)
def test_an_evaluation_changes_nothing_and_can_be_repeated(text: str, observed: dict[str, Any]) -> None:
    program = compile_expression(check(parse(text), OURS))
    before = copy.deepcopy(observed)
    results = [_outcome(program, observed) for _ in range(2)]
    assert results[0] == results[1]
    assert normal(observed) == normal(before)


def _outcome(program: CompiledExpression, observed: dict[str, Any]) -> Any:
    try:
        return normal(program.evaluate(observed))
    except CelError as error:
        return (type(error), str(error))


@given(expressions(), OBSERVED)
def test_every_failure_has_a_place(text: str, observed: dict[str, Any]) -> None:
    checked = check(parse(text), OURS)
    failure = _units(checked, observed)
    if isinstance(failure, CelError):
        issue = blame(checked, observed, failure)
        assert 1 <= issue.column <= len(text)
        assert issue.message == str(failure)
