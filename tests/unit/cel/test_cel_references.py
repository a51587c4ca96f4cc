"""What an expression touches is known without its types."""

from __future__ import annotations

import pytest

from kro_es.cel.declarations import KRO
from kro_es.cel.parser import parse
from kro_es.cel.references import Read, identifiers, reads, unknown_functions


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("b.x + a + b", ("b", "a")),
        ("pods.filter(pods, pods.x == y)", ("pods", "y")),
        ("l.map(x, x + z).size() + x", ("l", "z", "x")),
        ("json.marshal(a) + base64.encode(b) + random.seededString(3, c)", ("a", "b", "c")),
        ("cel.bind(v, a, v + w)", ("a", "w")),
        ("optional.of(a).optMap(v, v + b)", ("a", "b")),
        ("true ? a : has(b.c) ? d : {e: f}", ("a", "b", "d", "e", "f")),
        ("math.greatest(1, a)", ("a",)),
        ("maths.greatest(1, 2)", ("maths",)),
        ('runtime.condition(dep, "Ready")', ("runtime", "dep")),
    ],
)
def test_free_identifiers_come_in_source_order(text: str, names: tuple[str, ...]) -> None:
    assert identifiers(parse(text)) == names


def test_unknown_global_functions_are_named() -> None:
    assert unknown_functions(parse("foo(bar(1)) + size(a) + a.baz() + json.encode(2)")) == ("foo", "bar")


def test_a_method_called_without_its_receiver_is_left_to_the_checker_as_kro_does() -> None:
    parsed = parse("merge(a, b).size() + upperAscii(c)", KRO)
    assert unknown_functions(parsed) == ()


def test_names_of_libraries_kro_lacks_are_variables_to_it() -> None:
    assert identifiers(parse("math.greatest(1, 2)", KRO)) == ("math",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.data.x", {Read("a", ("data", "x"))}),
        ('a["k"].y', {Read("a", ("k", "y"))}),
        ("a.items[0].y", {Read("a", ("items",))}),
        ("a.items[b.i].y", {Read("a", ("items",)), Read("b", ("i",))}),
        ("a.items.map(i, i.q + c.d)", {Read("a", ("items",)), Read("c", ("d",))}),
        ("has(a.b.c) && a.?d.e.orValue(1) > 0", {Read("a", ("b", "c")), Read("a", ("d", "e"))}),
        ("dyn(a).b", {Read("a", ())}),
    ],
)
def test_a_computed_key_ends_the_path_that_is_read(text: str, expected: set[Read]) -> None:
    assert reads(parse(text).root) == expected
