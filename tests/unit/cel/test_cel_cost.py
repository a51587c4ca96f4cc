"""Evaluation is paid for in cel-go's units, within what the text lets one expect, and ends when the budget is spent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from cel_site import bindings, cases, variables

from kro_es.cel.checker import check
from kro_es.cel.compiler import CompiledExpression, compile_expression
from kro_es.cel.cost import COST_LIMIT
from kro_es.cel.errors import CelCheckError, CelError, CostExceeded
from kro_es.cel.estimate import estimate
from kro_es.cel.parser import parse
from kro_es.cel.types import BOOL, BYTES, DYN, INT, STRING, CelType, ListType, MapType

_TEXT, _LIST, _MAP = {"x": STRING}, {"x": ListType(INT)}, {"x": MapType(STRING, DYN)}


def _compiled(text: str, types: Mapping[str, CelType], limit: int = COST_LIMIT) -> CompiledExpression:
    return compile_expression(check(parse(text), types), cost_limit=limit)


@pytest.mark.parametrize(
    ("text", "types", "bound", "units"),
    [
        ('"Hello World!"', {}, {}, 0),
        ("x", _LIST, {"x": [1, 2]}, 1),
        ("x['key']", _MAP, {"x": {"key": "v"}}, 2),
        ("x['ke' + 'y']", _MAP, {"x": {"key": "v"}}, 3),
        ("x[3 - 3]", _LIST, {"x": [1]}, 3),
        ("has(x.a.b)", _MAP, {"x": {"a": {"b": 1}}}, 3),
        ("[1, 2, 3]", {}, {}, 10),
        ('{"a": 1, "b": 2}', {}, {}, 30),
        ("x.all(y, true)", _LIST, {"x": []}, 2),
        ("[1, 2, 3].all(x, true)", {}, {}, 20),
        ("[{'k1': 1}, {'k2': 2}].all(x, true)", {}, {}, 77),
        ("x.matches('[0-9]')", _TEXT, {"x": "x" * 500}, 103),
        ("'123'.matches('[0-9]')", {}, {}, 2),
        ("a && b && c", dict.fromkeys("abc", BOOL), dict.fromkeys("abc", True), 3),
        ("1 <= 2", {}, {}, 1),
        ("2 in [1, 2, 3]", {}, {}, 13),
        ("true ? 1 : 2", {}, {}, 0),
        ("(1 > 2 || 2 > 1) == true", {}, {}, 3),
        ("'12345678901234567890' == '123456789012345678901234567890'", {}, {}, 2),
        ("string(x)", {"x": BYTES}, {"x": "eHh4" * 125}, 39),
        ("x.contains(x)", _TEXT, {"x": "x" * 500}, 2502),
        ("x.startsWith(x + x)", _TEXT, {"x": "idc"}, 5),
        ("'abcdefg'.contains(x + 'l2222222')", _TEXT, {"x": "val1va"}, 5),
        ("(x + x).all(y, true)", _LIST, {"x": []}, 4),
        ("size(x)", _TEXT, {"x": "500"}, 2),
    ],
)
def test_units_are_those_of_cel_go(text: str, types: dict[str, CelType], bound: dict[str, Any], units: int) -> None:
    assert _compiled(text, types).measure(bound)[1] == units


def test_the_cost_of_every_reference_expression_is_within_its_estimate() -> None:
    seen = 0
    for case in cases():
        try:
            checked = check(parse(case.text), variables())
            spent = compile_expression(checked).measure(bindings(case.observed))[1]
        except CelError:
            continue
        expected = estimate(checked)
        assert expected.least <= spent <= expected.most, case.text
        seen += 1
    assert seen > 300


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("1 + 2", 1, 1),
        ("[1, 2].map(i, i + 1)", 10 + 11 + 2 * 14, 10 + 11 + 2 * 14),
        ("[1, 2].exists(i, i > 1)", 10 + 1 + 6, 10 + 1 + 2 * 6),
        ("b ? 1 + 1 : 0", 1, 2),
        ("cel.bind(a, 'x', a + a)", 10 + 3, 10 + 3),
        ("lists.range(100).filter(i, i > 0).map(i, i)", None, None),
    ],
)
def test_the_estimate_follows_sizes_that_the_text_gives(text: str, least: int | None, most: int | None) -> None:
    found = estimate(check(parse(text), {"b": BOOL}))
    assert found.bounded
    if least is not None:
        assert (found.least, found.most) == (least, most)


def test_the_estimate_of_observed_lists_grows_with_the_data() -> None:
    found = estimate(check(parse("x.map(y, y)"), _LIST))
    assert (found.least, found.bounded, str(found)) == (12, False, "at least 12, growing with the data")


@pytest.mark.parametrize(
    "text",
    [
        "lists.range(1000).map(x, lists.range(1000).map(y, y)).size()",
        "lists.range(1000000).map(x, lists.range(1000000).all(y, true))",
    ],
)
def test_what_must_cost_too_much_is_refused_before_it_is_evaluated(text: str) -> None:
    with pytest.raises(CelCheckError, match=r"estimated cost is .* may spend 10000000 units") as caught:
        _compiled(text, {})
    assert caught.value.issues[0].line == 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x.all(a, x.all(b, x.all(c, true)))", (1, 24)),
        ("x.map(a, x + x).size() > 0", (1, 12)),
        ("x.size() > 0\n&& x.map(a, x.distinct()).size() > 0", (2, 23)),
        ("x.map(a, ['a', 'b'].map(b, b + b)).map(a, x.map(b, x)).size() > 0", (1, 48)),
    ],
)
def test_a_spent_budget_ends_the_evaluation_and_names_the_place(text: str, place: tuple[int, int]) -> None:
    bound = {"x": list(range(1_000))}
    with pytest.raises(CostExceeded, match="actual cost limit exceeded") as caught:
        _compiled(text, _LIST, limit=300_000).evaluate(bound)
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize("text", ["t.all(i, t.all(j, true)) || true", "x.exists(y, t.all(i, t.all(j, true))) || true"])
def test_nothing_absorbs_a_spent_budget(text: str) -> None:
    types = {**_LIST, "t": ListType(INT)}
    with pytest.raises(CostExceeded):
        _compiled(text, types, limit=10_000).evaluate({"x": [1], "t": list(range(1_000))})


def test_a_loop_that_ends_early_pays_for_what_it_looked_at() -> None:
    found = _compiled("x.exists(y, y == 0)", _LIST)
    assert [found.measure({"x": [0] * count})[1] for count in (1, 1_000)] == [8, 8]
    assert found.measure({"x": [1] * 1_000})[1] == 2 + 6 * 1_000


@pytest.mark.parametrize(
    "text",
    [
        "x.map(i, x).flatten()",
        "lists.range(x.size() * 200)",
        "x.map(i, s).join(s)",
        "s.replace('x', s)",
        "x.map(i, s + s + string(i))",
        "x.map(i, s.split(''))",
        "x.map(i, s.matches('(a|b|c)*' + s))",
        "x.map(i, x.sort())",
    ],
)
def test_what_builds_large_values_pays_for_them(text: str) -> None:
    types = {**_LIST, "s": STRING}
    bound = {"x": list(range(300)), "s": "x" * 3_000}
    with pytest.raises(CostExceeded):
        _compiled(text, types, limit=20_000).evaluate(bound)


def test_the_limit_is_generous_to_what_people_write() -> None:
    pods = [{"name": f"pod-{number}", "ready": "True"} for number in range(5_000)]
    text = 'x.filter(p, p.ready == "True").map(p, p.name + "." + p.ready).sort().distinct().size()'
    value, units = _compiled(text, {"x": ListType(DYN)}).measure({"x": json.loads(json.dumps(pods))})
    assert (value, units < COST_LIMIT) == (5_000, True)
