"""Faults are found before evaluation, all at once, each with its place."""

from __future__ import annotations

import sys

import pytest
from cel_site import value_of, variables

from kro_es.cel.checker import check
from kro_es.cel.errors import (
    MAX_ISSUES,
    BadQuantity,
    BadRegex,
    CelCheckError,
    CelError,
    CelSyntaxError,
    ConversionError,
    CostExceeded,
    DataPending,
    DivisionByZero,
    EvaluationError,
    KeyNotJson,
    KeyNotString,
    NoJson,
    NoSuchOverload,
    Overflow,
)
from kro_es.cel.parser import MAX_NESTING, MAX_SOURCE, parse
from kro_es.cel.types import STRING


def test_every_fault_is_reported_in_source_order() -> None:
    with pytest.raises(CelCheckError) as caught:
        check(parse('1 + "a" == foo(x)\n|| y.z'), {})
    assert [(issue.line, issue.column, issue.message) for issue in caught.value.issues] == [
        (1, 3, "found no matching overload for '_+_' applied to '(int, string)'"),
        (1, 15, "undeclared reference to 'foo' (in container '')"),
        (1, 16, "undeclared reference to 'x' (in container '')"),
        (2, 4, "undeclared reference to 'y' (in container '')"),
    ]


def test_the_excerpt_points_at_the_operator() -> None:
    with pytest.raises(CelCheckError) as caught:
        check(parse("schema.spec.tags + [1]"), variables())
    assert str(caught.value) == (
        "ERROR: <input>:1:18: found no matching overload for '_+_' applied to '(list(string), list(int))'\n"
        " | schema.spec.tags + [1]\n"
        " | .................^"
    )


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("'%t'.format([true])", 12, 'could not parse formatting clause: unrecognized formatting clause "t"'),
        ("'%s'.format([1, 2])", 12, "too many arguments supplied to string.format (expected 1, got 2)"),
        ("'%s-%s'.format([1])", 15, "index 1 out of range"),
        ("'%s-%d'.format([1, 'a'])", 20, "error during formatting: decimal clause can only be used on"),
    ],
)
def test_a_format_string_is_at_fault_at_its_call_and_an_argument_where_it_stands(
    text: str, column: int, said: str
) -> None:
    with pytest.raises(CelCheckError) as caught:
        check(parse(text), {})
    (issue,) = caught.value.issues
    assert (issue.column, issue.message[: len(said)]) == (column, said)


def test_an_undeclared_field_is_a_fault_even_when_optional() -> None:
    for text in ("schema.spec.nope", "schema.spec.?nope", "has(schema.spec.nope)"):
        with pytest.raises(CelCheckError, match="undefined field 'nope'"):
            check(parse(text), variables())


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "1 +", "(1", "[1", '{"a" 1}', "a.", "a..b", "1 2", "f(1,)", "as", "in", "!-1", "a.`b"),
        *('"open', "'a\nb'", '"\\q"', 'b"\\u0041"', '"\\ud800"'),
        *("0x", "1e400", "99999999999999999999", "9223372036854775808", "18446744073709551616u"),
        *("T{a: 1}", "has(a)", "x.all(1, true)", "[1].all(i, i, true)"),
    ],
)
def test_text_that_is_no_expression_is_a_syntax_error(text: str) -> None:
    with pytest.raises(CelSyntaxError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * MAX_NESTING + "1" + ")" * MAX_NESTING,
        "[" * 5000 + "]" * 5000,
        "f(" * 5000 + ")" * 5000,
        "true ? 1 : " * 5000 + "1",
        "+".join(["1"] * 5000),
        "a" + ".b" * 5000,
        "a" + "[0]" * 5000,
        "x" * (MAX_SOURCE + 1),
        "9" * 5000,
    ],
    ids=["brackets", "lists", "calls", "ternaries", "sum", "fields", "indices", "source", "digits"],
)
def test_too_large_an_expression_is_refused(text: str) -> None:
    with pytest.raises(CelSyntaxError):
        parse(text)


def test_a_long_chain_within_the_limits_is_evaluated() -> None:
    assert value_of("+".join(["1"] * 900)) == 900
    assert value_of("+".join(['"ab"'] * 900)) == "ab" * 900
    assert value_of("[" * 240 + "]" * 240 + " == []") is False


def test_text_runs_out_of_size_before_it_is_built() -> None:
    with pytest.raises(EvaluationError, match="exceeds maximum"):
        value_of("[x, x].join('-')", {"x": STRING}, {"x": "x" * 9_000_000})


def test_doubling_text_runs_out_of_size() -> None:
    doubled = "cel.bind(a, a + a, " * 40 + "a" + ")" * 40
    with pytest.raises(EvaluationError, match="exceeds maximum"):
        value_of(f'cel.bind(a, "0123456789", {doubled})')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cel.bind(a, 1 / 0, 3)", 3),
        ("cel.bind(a, 1 / 0, a > 0 || true)", True),
        ("cel.bind(a, 1 / 0, [1, 2].exists(i, a > i || i == 2))", True),
        ("cel.bind(a, [1, 2].map(i, i), [3].map(i, a.map(j, i + j)))", [[4, 5]]),
    ],
)
def test_what_is_bound_is_evaluated_when_it_is_asked_for(text: str, value: object) -> None:
    assert value_of(text) == value


def test_a_bound_value_that_fails_fails_where_it_is_asked_for() -> None:
    with pytest.raises(EvaluationError, match="division by zero"):
        value_of("cel.bind(a, 1 / 0, [a])")


def test_an_expression_full_of_faults_is_reported_in_bounded_space() -> None:
    with pytest.raises(CelCheckError) as caught:
        check(parse("[" + ",".join(["unknown"] * 5_000) + "]"), {})
    assert len(caught.value.issues) == MAX_ISSUES
    assert len(str(caught.value)) < 250_000


def test_the_excerpt_of_a_long_line_is_what_stands_around_the_place() -> None:
    with pytest.raises(CelCheckError) as caught:
        check(parse("[" + "1," * 4_000 + "unknown]"), {})
    line, caret = caught.value.issues[0].excerpt.split("\n")
    assert caught.value.issues[0].column == 8_002
    assert line[caret.index("^") :] == "unknown]"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("9223372036854775807 + 1", Overflow),
        ("uint(-1)", Overflow),
        ('timestamp("9999-12-31T00:00:00Z") + duration("48h")', Overflow),
        ("1 / 0", DivisionByZero),
        ("1 % 0", DivisionByZero),
        ("dyn(1) + dyn('a')", NoSuchOverload),
        ("dyn([1])[dyn('a')]", NoSuchOverload),
        ("int('x')", ConversionError),
        ('timestamp("yesterday")', ConversionError),
        ("string(b'\\xff')", ConversionError),
        ("'a'.matches('[')", BadRegex),
        ("quantity('1GiB')", BadQuantity),
        ("quantity('0.5').asInteger()", BadQuantity),
        ("{1: 'a'}", KeyNotJson),
        ("b'a'", NoJson),
        ("json.marshal({1: 'a'})", KeyNotString),
        ("lists.range(1000000).all(x, lists.range(1000000).all(y, true))", CostExceeded),
        ("{'a': 1}['b']", DataPending),
        ("[1][1]", DataPending),
    ],
)
def test_each_fault_of_an_evaluation_has_a_class_of_its_own(text: str, error: type[CelError]) -> None:
    with pytest.raises(CelError) as caught:
        value_of(text)
    assert type(caught.value) is error
    assert isinstance(caught.value, EvaluationError) is (error is not DataPending)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("[1 +, (2 2), {'a': *}, 3]", [(1, 5), (1, 10), (1, 20)]),
        ("f(has(1), [1].all(2, true),\n x.)", [(1, 6), (1, 19), (2, 4)]),
        ("(1 + ) || (] )", [(1, 6), (1, 12)]),
        ("[if, as]", [(1, 2), (1, 6)]),
        ("f(1 2, 3", [(1, 5), (1, 9)]),
        ("('a' 'b) + (", [(1, 6)]),
    ],
)
def test_faults_of_the_text_in_separate_places_are_reported_together(text: str, places: list[tuple[int, int]]) -> None:
    with pytest.raises(CelSyntaxError) as caught:
        parse(text)
    assert [(issue.line, issue.column) for issue in caught.value.issues] == places
    assert str(caught.value).count("ERROR:") == len(places)


def test_only_a_deep_expression_asks_the_interpreter_for_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(sys, "getrecursionlimit", lambda: 1_000)
    monkeypatch.setattr(sys, "setrecursionlimit", asked.append)
    assert value_of('[1, 2].map(i, {"a": i + 1}).filter(m, m.a > 2 && (m.a < 9 || false)).size()') == 1
    assert asked == []
    value_of("(" * 61 + "1" + ")" * 61)
    assert asked != []
