"""Whatever the text: the parser and the checker end soon, with an expression or with a CelError that names the place."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kro_es.cel.ast import Node, children
from kro_es.cel.checker import check
from kro_es.cel.compiler import compile_expression
from kro_es.cel.errors import MAX_ISSUES, CelCheckError, CelError, CelIssue, CelSyntaxError
from kro_es.cel.estimate import estimate
from kro_es.cel.parser import MAX_SOURCE, parse
from kro_es.cel.references import identifiers, unknown_functions
from kro_es.cel.types import DYN, INT, STRING, ListType, MapType
from tests.property.cel_expressions import NODES, expressions

pytestmark = pytest.mark.filterwarnings("ignore:The recursion limit will not be reset")

VARIABLES = {"x": INT, "s": STRING, "l": ListType(INT), "m": MapType(STRING, DYN), "d": DYN}
SECONDS = 5.0
"""Of processor time, whatever the text; the slowest here takes a third of it."""

_WORDS = (
    *"()[]{}.,:?!-+*/%<>=&|'\"`\\ \n\t0xu9eEbrR_$#@~^;", "&&", "||", "==", "!=", "<=", ">=", '"""', "'''", "//", "in",
    "true", "null", "if", "has(", "cel.bind(", ".map(", ".all(i, ", ".exists(", ".optMap(", ".?", "[?", "{?", "dyn(",
    "b'", "r'", "\\u00e9", "\\U0010ffff", "\\xff", "\\777", "x", "s", "l", "m", "d", "i", "1", "1u", "1.5e9",
    "9223372036854775808", "0x", "1e999", "é", "😀", "\0", "\u2028", "\ufeff", "\ud800", "size(", "lists.range(",
)  # fmt: skip
ANYTHING = st.one_of(
    st.text(max_size=200),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zs", "So"]), max_size=40),
    st.lists(st.sampled_from(_WORDS), max_size=60).map("".join),
    st.lists(st.sampled_from(_WORDS), max_size=40).map(" ".join),
    st.sampled_from(sorted({template for templates in NODES.values() for template in templates})),
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A good expression with a piece cut out, doubled or put in."""
    text = draw(expressions(depth=3))
    start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    middle = draw(st.sampled_from(("", text[start:end] * 2, draw(st.sampled_from(_WORDS)))))
    return text[:start] + middle + text[end:]


def _nodes(root: Node) -> list[Node]:
    found = [root]
    for node in found:
        found.extend(children(node))
    return found


def _require_place(issues: Sequence[CelIssue], lines: list[str]) -> None:
    assert 1 <= len(issues) <= MAX_ISSUES
    for issue in issues:
        assert issue.message
        assert 1 <= issue.line <= len(lines)
        assert 1 <= issue.column <= len(lines[issue.line - 1]) + 1
        assert len(str(issue)) < len(issue.message) + 3_000


def run(text: str) -> str:
    """The stage that refused the text, or ``compiled``; every error says where."""
    lines = text.split("\n")
    try:
        parsed = parse(text)
    except CelSyntaxError as error:
        _require_place(error.issues[:MAX_ISSUES], lines)
        return "parser"
    nodes = _nodes(parsed.root)
    assert len({node.id for node in nodes}) == len(nodes)
    assert all(1 <= node.position.line <= len(lines) for node in nodes)
    identifiers(parsed), unknown_functions(parsed)
    try:
        checked = check(parsed, VARIABLES)
        estimate(checked)
        compile_expression(checked)
    except CelCheckError as error:
        _require_place(error.issues, lines)
        return "checker"
    except CelError:
        return "compiler"
    return "compiled"


@settings(max_examples=5 * settings.default.max_examples)
@given(ANYTHING)
@example("'")
@example("\\")
@example("a.?")
@example("1 ? ")
@example("[?")
@example("has(")
@example("0x")
@example("`")
@example("\ud800")
@example("'\ud800'")
def test_any_text_is_an_expression_or_an_error_with_a_place(text: str) -> None:
    run(text)


@settings(max_examples=5 * settings.default.max_examples)
@given(damaged())
def test_a_damaged_expression_is_an_expression_or_an_error_with_a_place(text: str) -> None:
    run(text)


_MILLION = 1_000_000


_PIECES = (
    "(", "[", "{", "{'a':", "!", "-", "'", '"""', "r'", "b'\\x", "a.", "a[", "a?", "a?b:", "a||", "a&&b||", "1+",
    "has(", "dyn(", "[1].map(i,", "cel.bind(a,", "a.b(", "//", "`", "\\", "x ", "9", "0x", "1e", "é", "😀", "\n",
    "{?", "[?", "a.?", "l.all(i,", "!(", "-(", "x in ", "x==", "x<", "a?(", "'a'", "[],", "1:", ".", "...", ",", ")",
)  # fmt: skip


@pytest.mark.parametrize(
    ("piece", "size"),
    [
        *((piece, size) for piece in _PIECES for size in (2_000, _MILLION)),
        *(
            (piece, MAX_SOURCE)
            for piece in ("1+", "a||", "a.", "a[", "a?b:", "[1].map(i,", "'", '"""', "{", "9", "!", "\n")
        ),
    ],
)
def test_endless_pieces_end_soon(piece: str, size: int) -> None:
    began = time.process_time()
    outcome = run(piece * (size // len(piece)))
    assert time.process_time() - began < SECONDS
    assert size <= MAX_SOURCE or outcome == "parser"


@pytest.mark.parametrize(
    ("piece", "core", "end"),
    [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{'a':", "1", "}"),
        ("dyn(", "1", ")"),
        ("[1].map(i,", "1", ")"),
        ("l.all(i,", "true", ")"),
        ("cel.bind(a,1,", "a", ")"),
        ("true?1:", "1", ""),
        ("1+(", "1", ")"),
        ("true&&(", "true", ")"),
        ("m.?a.optMap(i,", "i", ")"),
    ],
)
@pytest.mark.parametrize("depth", [10, 100, 249, 251, 1_000, 10_000])
def test_nesting_is_bounded(piece: str, core: str, end: str, depth: int) -> None:
    began = time.process_time()
    outcome = run(piece * depth + core + end * depth)
    assert time.process_time() - began < SECONDS
    assert outcome == ("parser" if depth > 250 else "compiled")


@pytest.mark.parametrize(
    "text",
    [
        "+".join(["1"] * 20_000),
        "||".join(["d"] * 20_000),
        "[" + ",".join(["1"] * 40_000) + "]",
        "{" + ",".join(f"{number}:1" for number in range(10_000)) + "}",
        "d" + ".a" * 40_000,
        "d" + "[0]" * 30_000,
        "dyn(" + ",".join(["1"] * 40_000) + ")",
        "'" + "a" * 99_000 + "'",
        "'" + "\\n" * 49_000 + "'",
        "[" + ",".join(["[]"] * 30_000) + "]",
        "[" + ",".join(["{'a': 1}", "{'a': 'b'}"] * 4_000) + "]",
        " " * 99_000 + "1",
        "1 //" + "x" * 99_000,
        "\n" * 99_000 + "1",
        "\n".join(["d ||"] * 900) + "d",
        " || ".join(["unknown"] * 900),
        "[" + ",".join(["unknown"] * 12_000) + "]",
    ],
    ids=lambda text: text[:12],
)
def test_wide_texts_end_soon(text: str) -> None:
    began = time.process_time()
    run(text)
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("plane", [*range(0, 0x30000, 0x1000), 0xE0000, 0x10F000])
def test_every_character_may_stand_in_a_string_and_some_elsewhere(plane: int) -> None:
    characters = [chr(code) for code in range(plane, min(plane + 0x1000, 0x110000), 37)]
    for character in characters:
        run(character)
        run(f"x {character} 1")
        plain = character not in "\\'\n\r"
        assert (run(f"s == '{character}'") == "compiled") is plain
