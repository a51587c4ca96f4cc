"""Layout changes and nothing else does; written YAML reads back as what was written."""

from __future__ import annotations

import pytest
from texts import ROOT

from kro_es.api.objects import JsonValue
from kro_es.authoring.formatting import FormatError, formatted
from kro_es.authoring.yaml_reader import Document, YamlError, read
from kro_es.authoring.yaml_writer import scalar, write


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a:   1\nb:\n- c:  2\n  d: [1,2]", "a: 1\nb:\n  - c: 2\n    d: [1, 2]\n"),
        ("# head\na: # why\n    b: 1   # c\n    # below\n", "# head\na: # why\n  b: 1     # c\n    # below\n"),
        ("# c\n---\na:  1\n---   \n# d\nb: 2\n---\n# end\n", "# c\n---\na: 1\n---\n# d\nb: 2\n---\n# end\n"),
        ("y: yes\n'n': \"no\"\no: 010\nd: 2001-01-01\ne: ~\n", "y: yes\n'n': \"no\"\no: 010\nd: 2001-01-01\ne:\n"),
        ("a: |\n    x  \n     y\n\nb: >-\n   z\n   ${1}\n", "a: |\n  x  \n   y\n\nb: >-\n  z\n  ${1}\n"),
        ("x: &a {b: 1}\nz:\n    <<: *a\n", "x: &a {b: 1}\nz:\n  <<: *a\n"),
        ("", ""),
    ],
)
def test_the_layout_is_the_projects(text: str, result: str) -> None:
    assert formatted(text) == result
    assert formatted(result) == result


@pytest.mark.parametrize("file", sorted((ROOT / "deploy").rglob("*.yaml")), ids=lambda file: file.name)
def test_manifests_keep_their_values_and_comments(file: object) -> None:
    text = file.read_text()  # type: ignore[attr-defined]
    again = formatted(formatted(text))
    assert again == formatted(text)
    assert again.count("#") == text.count("#")


def test_what_cannot_be_read_or_kept_is_refused() -> None:
    with pytest.raises(YamlError):
        formatted("a: [")
    with pytest.raises(FormatError, match="duplicate key"):
        formatted("y: 1\n'y': 2\n")  # two keys, of which the library sees one


VALUES: list[JsonValue] = [
    {"y": "y", "on": "off", "1": "1", "a": "~", "": "", "0x1": "1_0", "b": True, "c": None, "d": 1.5, "e": "null"},
    ["a\nb", "a\nb\n", "\n", " lead", "trail ", "a: b", "# c", "- x", "${a ? \"b\" : 'c'}", "é", "\t", "\u2028", "x" * 300],
    {"list": [[], {}, [{"a": [1]}]], "date": "2001-01-01", "time": "1:20", "octal": "010", "float": "1e3", "nan": ".nan"},
    "text", 1, None, [], {},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_what_is_written_reads_back(value: JsonValue) -> None:
    (found,) = read(write(value))
    assert isinstance(found, Document)
    assert found.root.value == value


@pytest.mark.parametrize("value", ["y", "a\nb", "", "x: y", "plain", 1, True, None, [], {}])
def test_a_scalar_stays_on_its_line(value: JsonValue) -> None:
    text = f"key: {scalar(value)}  # comment\n"
    assert text.count("\n") == 1
    (found,) = read(text)
    assert isinstance(found, Document)
    assert found.root.value == {"key": value}
