"""YAML text to documents: values, places, and errors with the place they are at."""

from __future__ import annotations

import pytest

from kro_es.api.objects import JsonValue
from kro_es.authoring.tree import Place, follow
from kro_es.authoring.yaml_reader import Document, YamlError, read


def only(text: str) -> Document:
    (found,) = read(text)
    assert isinstance(found, Document), found
    return found


def error(text: str) -> YamlError:
    (found,) = (item for item in read(text) if isinstance(item, YamlError))
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{y: n, 'y': 1_000}", {"true": False, "y": 1000}),
        ("a: &x {b: 1}\nc: {b: 2, <<: *x, d: 3}", {"a": {"b": 1}, "c": {"b": 1, "d": 3}}),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2}", {"a": {"b": 1}, "c": {"b": 2}}),
        ("a: &x {b: 1}\ne: &y {b: 5, q: 1}\nc: {<<: [*x, *y]}", {"a": {"b": 1}, "e": {"b": 5, "q": 1}, "c": {"b": 1, "q": 1}}),
        ("a: {'<<': 1}", {"a": {"<<": 1}}),
        ("&k a: 1\nb: *k", {"a": 1, "b": "a"}),
        ("x: &a [1]\n*a : 2", None),
        ("a: |\n x\n  y\nb: >-\n x\n y", {"a": "x\n y\n", "b": "x y"}),
        ('{"a": [1,\t2.0, null]}', {"a": [1, 2, None]}),
        ("%YAML 1.1\n---\na: 1", {"a": 1}),
    ],
)  # fmt: skip
def test_values_are_those_kubectl_sends(text: str, value: JsonValue) -> None:
    if value is None:
        assert isinstance(next(read(text)), YamlError)
    else:
        assert only(text).root.value == value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", Place(4, 3), "duplicate key 'c': it is already in line 3"),
        ("y: 1\ntrue: 2", Place(2, 1), "duplicate key 'true'"),
        ("a: [1\nb: 2", Place(2, 2), "flow sequence"),
        ("a: *x", Place(1, 4), "no anchor &x"),
        ("a: &x [*x]", Place(1, 8), "no anchor &x"),
        ("a: &x 1\nb: {<<: *x}", Place(2, 5), "<< merges a map"),
        ("a: .nan", Place(1, 4), "no place in JSON"),
        ("[a]: 1", Place(1, 1), "a key must be"),
        ("a: b\n\tc: d", Place(2, 1), "tab character"),
        ("a: b\nc: \x01", Place(2, 4), "cannot be in YAML"),
        ("a: " + "[" * 200 + "]" * 200, Place(1, 104), "nested deeper than 100 levels"),
    ],
)
def test_an_error_says_where(text: str, place: Place, message: str) -> None:
    found = error(text)
    assert message in found.message
    assert found.place == place


@pytest.mark.parametrize("text", ["a: {{ .Values.a }}", "a: 1\n{{- if .Values.b }}\nb: 2\n{{- end }}", "a: {{ b }}: c"])
def test_a_template_is_called_one(text: str) -> None:
    assert "is a template and no YAML yet: render it first" in str(error(text))


def test_a_tab_is_called_one() -> None:
    found = error("a:\n\tb: 1\n")
    assert (found.place, str(found).partition(": ")[2]) == (
        Place(2, 1),
        "it is a tab, and YAML is indented with spaces",
    )


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases make more than" in error("\n".join(rows)).message


def test_a_broken_document_does_not_hide_the_others() -> None:
    found = list(read("\ufeff# first\n---\na: 1\n---\nb: [\n--- # c\n---\nc: *x\n---\nd: 4\n"))
    assert [item.number if isinstance(item, Document) else item.place.line for item in found] == [1, 6, 8, 2]
    assert isinstance(found[-1], Document)
    assert found[-1].root.members["d"].start == Place(10, 4)


def test_a_path_is_followed_by_what_the_document_has() -> None:
    root = only("a:\n  b.c:\n    - x: 1\n  b: {c: 2}\n  'q\"]': [7]\n").root
    places = {path: follow(root, path).place for path in ('a["b.c"][0].x', "a.b.c", 'a.q"][0]', 'a["b.c"]')}
    assert list(places.values()) == [Place(3, 10), Place(4, 10), Place(5, 11), Place(2, 3)]
    short = follow(root, "a.b.nope.deeper")
    assert (short.path, short.complete, short.place) == (("a", "b"), False, Place(4, 3))
