"""Expressions are found, placed and pointed at exactly; paths read back as they were written."""

from __future__ import annotations

import pytest

from kro_es.graph import fieldpath
from kro_es.graph.dag import CycleError, topological_order, waves
from kro_es.graph.template import TemplateError, extract, render, scan, standalone


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("${schema.spec.name}", "schema.spec.name"),
        ("${ a }", " a "),
        ("${a}\n", '(a) + "\\n"'),
        ("a-${x}:${y}", '"a-" + (x) + ":" + (y)'),
        ("${a}${b}", "(a) + (b)"),
        ('${"${HOME}"}/bin', '("${HOME}") + "/bin"'),
        ('${"a\\"}b"}', '"a\\"}b"'),
        ('${{"k": {"z": 1}}}', '{"k": {"z": 1}}'),
        ("x-${'}'}-y", '"x-" + (\') + "\'}-y"'),
        ("${a} and ${b", '(a) + " and ${b"'),
        ("$${x}", '"$" + (x)'),
        ("${}", ""),
        ('${ " ${y}', '"${ \\" " + (y)'),
    ],
)
def test_extraction(text: str, source: str) -> None:
    found = extract(text)
    assert found is not None
    assert found.source == source


@pytest.mark.parametrize("text", ["", "plain", "${open", '${r"\\"}', "$", "{}"])
def test_plain_text(text: str) -> None:
    assert extract(text) is None


@pytest.mark.parametrize("text", ["${a + ${b}}", "${open ${x}"])
def test_nested_expressions_are_refused(text: str) -> None:
    with pytest.raises(TemplateError, match="nested expressions"):
        scan(text)


def test_many_unclosed_expressions_do_not_take_for_ever() -> None:
    with pytest.raises(TemplateError):
        scan('${"' * 100_000)


@pytest.mark.parametrize("text", ["a", "${a} ", "${a}${b}"])
def test_only_standalone(text: str) -> None:
    with pytest.raises(TemplateError):
        standalone(text)


def test_a_column_of_the_source_is_a_place_in_the_users_text() -> None:
    found = extract("a-${x}:${yy}")
    assert found is not None
    assert found.column(1, found.source.index("yy") + 1) == "a-${x}:${yy}".index("yy") + 1
    assert found.column(1, 1) is None


def test_rendering_leaves_the_template_and_the_values_alone() -> None:
    template = {"a": {"b": ["${x}", {"c": "${y}"}]}, "d": "${z}", "e": None}
    value = {"k": ["v"]}
    rendered = render(template, {("a", "b", 0): value, ("a", "b", 1, "c"): None, ("d",): "${still text}"})
    assert rendered == {"a": {"b": [{"k": ["v"]}, {"c": None}]}, "d": "${still text}", "e": None}
    rendered["a"]["b"][0]["k"].append("w")
    assert value == {"k": ["v"]}
    assert template["a"]["b"][1] == {"c": "${y}"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("spec", "containers", 0, "image"), "spec.containers[0].image"),
        (("metadata", "labels", "a.b/c"), 'metadata.labels["a.b/c"]'),
        (("a.b",), '["a.b"]'),
        (("a", "", 3, 4), 'a[""][3][4]'),
    ],
)
def test_paths(path: fieldpath.FieldPath, text: str) -> None:
    assert fieldpath.text(path) == text
    assert fieldpath.parse(text) == path


@pytest.mark.parametrize("text", ['a["x', 'a["x"', "a[1", "a[x]", "a[-1]", "a..b", ".", "a."])
def test_malformed_paths(text: str) -> None:
    with pytest.raises(fieldpath.FieldPathError):
        fieldpath.parse(text)


def test_order_is_the_listed_one_unless_a_dependency_forbids_it() -> None:
    assert topological_order({"a": (), "b": ("a", "c"), "c": (), "d": ("c",)}) == ("a", "c", "b", "d")
    assert topological_order({"z": ("x",), "y": (), "x": ()}) == ("y", "x", "z")


def test_waves_are_counted_from_the_dependents_side() -> None:
    assert waves({"a": (), "b": ("a",), "c": ("b",), "d": ()}) == {"a": 1, "b": 2, "c": 3, "d": 3}
    assert waves({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}) == {"a": 1, "b": 2, "c": 2, "d": 3}
    assert waves({}) == {}


def test_the_shortest_cycle_is_told() -> None:
    with pytest.raises(CycleError) as caught:
        topological_order({"o": ("a",), "a": ("b", "c"), "b": ("c",), "c": ("a",)})
    assert caught.value.cycle == ("a", "c", "a")
