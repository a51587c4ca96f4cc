"""validate, fmt and the reader take any text: they answer, and their places lie inside it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kro_es.authoring import reports
from kro_es.authoring.formatting import FormatError, formatted
from kro_es.authoring.inside import place_in
from kro_es.authoring.kinds import shipped
from kro_es.authoring.project import load
from kro_es.authoring.sources import Source
from kro_es.authoring.tree import Node
from kro_es.authoring.validate import validate
from kro_es.authoring.yaml_reader import Document, YamlError, read
from kro_es.authoring.yaml_writer import write

ROOT = Path(__file__).resolve().parents[2]
SEEDS = [file.read_text() for file in sorted((ROOT / "deploy" / "examples").glob("*/definition.yaml"))]
PIECES = (
    "", " ", "  ", "\n", "\t", "-", "- ", ":", ": ", "?", "#", "&a", "*a", "!!int", "|", ">", "'", '"', "[", "]", "{", "}",
    ",", "~", "y", "${", "${}", "${${", "}", "---\n", "...\n", "<<: *a", "\x00", "\x85", "\ufeff", "\u2028", "é", "😀", "9" * 40,
    "1e999", ".nan", "%YAML 1.1\n", "spec:", "null", "forEach: [{x: '${[1]}'}]", "externalRef: {}", "omit()",
    "resources:", "${schema.spec}",
)  # fmt: skip
FEW = settings(max_examples=120, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A definition with some pieces cut out, doubled or replaced."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 1, 3, 20])))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.just(text[start:end] * 2), st.text(max_size=3)))
        text = text[:start] + piece + text[end:]
    return text


@FEW
@given(mutated())
@example("")
@example("apiVersion: kro.run/v1\nkind: ResourceGraphDefinition\n")
@example(
    "apiVersion: kro.run/v1\nkind: ResourceGraphDefinition\nspec: {schema: {kind: A, apiVersion: v1}, resources: [~, 1, {}]}\n"
)
def test_validate_answers_whatever_it_is_given(text: str) -> None:
    report = validate(load([Source("x", text)]), shipped().kinds)
    lines = text.removeprefix("\ufeff").count("\n") + sum(text.count(char) for char in "\r\x85\u2028\u2029") + 1
    for finding in report.findings:
        if finding.line is not None:
            assert 1 <= finding.line <= lines
            assert finding.column is not None
            assert finding.column >= 1
    again = validate(load([Source("x", text)]), shipped().kinds)
    assert again == report
    assert reports.as_text(report, {"x": text.split("\n")})
    assert reports.as_json(report)
    assert reports.as_sarif(report, "1")
    reports.as_github(report)


@FEW
@given(mutated())
def test_fmt_keeps_what_a_text_says_or_leaves_it_alone(text: str) -> None:
    try:
        result = formatted(text)
    except (FormatError, YamlError):
        return
    assert [item.root.value for item in read(result) if isinstance(item, Document)] == [
        item.root.value for item in read(text) if isinstance(item, Document)
    ]


SCALARS = st.text(
    st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=12
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | SCALARS
    | st.sampled_from(["a\nb", "\n", "x \n y", "no", "010"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(SCALARS, below, max_size=3),
    max_leaves=8,
)


@FEW
@given(st.dictionaries(SCALARS, JSON, min_size=1, max_size=3))
def test_what_is_written_reads_back(value: dict[str, object]) -> None:
    (found,) = read(write(value))
    assert isinstance(found, Document)
    assert found.root.value == value


def _scalars(node: Node) -> list[Node]:
    below = [*node.members.values(), *node.items]
    return [found for child in below for found in _scalars(child)] if below else [node]


@FEW
@given(mutated())
def test_a_character_of_a_scalar_is_where_its_place_says(text: str) -> None:
    for document in read(text):
        if not isinstance(document, Document):
            continue
        for node in _scalars(document.root):
            if not isinstance(node.value, str) or node.style == '"':
                continue  # in double quotes a character may be an escape
            for offset, char in enumerate(node.value):
                place = place_in(node, offset, document.lines)
                if not char.isspace() and place != node.start:
                    assert document.lines[place.line - 1][place.column - 1] == char
