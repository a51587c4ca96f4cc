"""Observed JSON is decoded where its type asks for it, and written back unharmed."""

from __future__ import annotations

import pytest
from cel_site import bindings, on_site, variables

from kro_es.cel.checker import check
from kro_es.cel.compiler import compile_expression
from kro_es.cel.errors import EvaluationError
from kro_es.cel.parser import parse


def test_a_secret_is_bytes_inside_and_base64_when_copied_whole() -> None:
    assert on_site("string(sec.data.p)") == "p@ss"
    assert on_site('string(sec.data["p"])') == "p@ss"
    assert on_site("sec.data") == {"p": "cEBzcw=="}
    assert on_site("[sec.data]") == [{"p": "cEBzcw=="}]
    assert on_site("size(dyn(sec).data.p)") == 4
    assert on_site('sec.data.exists(k, v, v == b"p@ss")') is True
    assert on_site("base64.encode(sec.data.?p.orValue(b''))") == "cEBzcw=="
    assert on_site("cel.bind(d, sec.data, string(d.p))") == "p@ss"
    assert on_site("(true ? sec.data : sec2.data).map(k, string(sec.data[k]))") == ["p@ss"]


@pytest.mark.parametrize("text", ["sec.data.p", "sec.data.map(k, sec.data[k])", '{"x": sec.data.p}', "hash.md5('x')"])
def test_bytes_are_never_written(text: str) -> None:
    with pytest.raises(EvaluationError, match="bytes value cannot be used directly"):
        on_site(text)


def test_numbers_follow_the_schema_and_not_their_spelling() -> None:
    src = {"spec": {"int": 5.0, "num": 1, "mapint": {"a": 2.0}}}
    assert repr(on_site("src.spec.int", src=src)) == "5"
    assert repr(on_site("src.spec.num", src=src)) == "1.0"
    assert repr(on_site("src.spec.mapint.a + 1", src=src)) == "3"
    assert repr(on_site("src.spec.num / 2.0", src=src)) == "0.5"


def test_times_are_written_in_whole_seconds() -> None:
    assert on_site("dep.metadata.creationTimestamp") == "2025-03-01T10:20:30Z"
    assert on_site('timestamp("2025-01-02T03:04:05.678+02:00")') == "2025-01-02T01:04:05Z"
    assert on_site('duration("5400s")') == "1h30m0s"


def test_a_bool_is_no_number() -> None:
    assert on_site("[true, 1, 1.0].distinct()") == [True, 1]
    assert on_site("dyn(true) == 1") is False
    assert on_site("dyn(1) in [true]") is False
    assert on_site('{true: "yes", 1: "one"}[1]') == "one"
    assert on_site("dyn(1) == 1.0") is True


def test_a_result_shares_nothing_with_what_was_observed() -> None:
    bound = bindings({})
    code = compile_expression(check(parse("schema.spec"), variables()))
    code.evaluate_json(bound)["ports"][0]["number"] = 1
    assert bound["schema"]["spec"]["ports"] == [{"name": "http", "number": 80}]


def test_maps_are_walked_in_the_order_of_their_keys() -> None:
    assert on_site('{"b": 1, "a": 2}.map(k, k)') == ["a", "b"]


@pytest.mark.parametrize("text", ["1.0 / 0.0", "0.0 / 0.0", "18446744073709551615u", "{1: 2}"])
def test_what_json_cannot_say_is_hard(text: str) -> None:
    with pytest.raises(EvaluationError):
        on_site(text)


def test_declared_sets_and_maps_compare_and_add_as_such() -> None:
    src = {"spec": {"ss": ["a", "b"], "ml": [{"k": "x", "v": 1}], "ls": ["a", "b"]}}
    assert on_site('src.spec.ss == ["b", "a"]', src=src) is True
    assert on_site('src.spec.ls == ["b", "a"]', src=src) is False
    assert on_site('src.spec.ss + ["b", "c"]', src=src) == ["a", "b", "c"]
    assert on_site("src.spec.ml + src.spec.ml", src=src) == [{"k": "x", "v": 1}]


def test_the_same_expression_runs_on_any_objects() -> None:
    code = compile_expression(check(parse("cm.data.map(k, k + '=' + cm.data[k])"), variables()))
    assert code.evaluate({"cm": {"data": {"a": "1"}}}) == ["a=1"]
    assert code.evaluate({"cm": {"data": {"b": "2", "a": "1"}}}) == ["a=1", "b=2"]
