"""The place of a character inside a scalar, whatever way the scalar is written in."""

from __future__ import annotations

import pytest

from kro_es.authoring.inside import place_in
from kro_es.authoring.tree import Node, Place
from kro_es.authoring.yaml_reader import Document, read

TEXTS = {
    "plain": "a: pre MARK post\n",
    "plain over lines": "a: pre\n   text\n\n   x MARK post\n",
    "single": "a: 'it''s MARK'\n",
    "single over lines": "a: 'it''s\n  a\n\n    MARK x'\n",
    "double": 'a: "\\t\\x41\\u00e9\\"\\\\ MARK"\n',
    "double continued": 'a: "one\\\n   \\ two\n\n  MARK"\n',
    "literal": "a: |\n    one\n      two\n\n    MARK\n",
    "literal with indicator": "a: |2-  # comment\n      one\n    MARK\n",
    "folded": "a: >+\n  one\n  two\n\n    more\n  MARK x\n\n",
    "tagged": "a: &anchor !!str\n  # comment with MORE\n  'x MARK'\n",
    "in flow": "[{a: MARK}, \"MORE\"]\n",
    "after a separator": "---\na: b\n---\n# c\nx: y MARK\n",
    "wide characters": "a: 'ü😀 MARK'\n",
}  # fmt: skip


def scalars(node: Node) -> list[Node]:
    below = [*node.members.values(), *node.items]
    return [found for child in below for found in scalars(child)] if below else [node]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_place_of_a_word_is_where_it_is_written(text: str) -> None:
    *_, document = read(text)
    assert isinstance(document, Document)
    node = next(node for node in scalars(document.root) if "MARK" in str(node.value))
    for shift, letter in enumerate("MARK"):
        place = place_in(node, node.value.index("MARK") + shift, document.lines)
        assert document.lines[place.line - 1][place.column - 1] == letter


def test_an_offset_beyond_the_value_is_the_scalar_itself() -> None:
    (document,) = read("a: text\n")
    assert isinstance(document, Document)
    node = document.root.members["a"]
    assert place_in(node, 99, document.lines) == Place(1, 4)
    assert place_in(node, 4, document.lines) == Place(1, 8)
    assert place_in(document.root, 0, document.lines) == Place(1, 1)
