"""Findings in the forms that people, scripts and code hosts read."""

from __future__ import annotations

import json

import orjson
from texts import THING, checked

from kro_es.authoring import reports
from kro_es.authoring.findings import Finding
from kro_es.authoring.validate import Report

WRONG = THING.replace("${schema.spec.answer}", "${schema.spec.question}")
REPORT = checked(WRONG, "a: [")
MEMBERS = [
    "file", "document", "severity", "code", "message", "resource", "path", "expression", "line", "column",
]  # fmt: skip


def test_json_is_one_list_with_every_member() -> None:
    found = json.loads(reports.as_json(REPORT))
    assert [list(entry) for entry in found] == [MEMBERS, MEMBERS]
    assert [(entry["file"], entry["line"], entry["column"]) for entry in found] == [
        ("b.yaml", 1, 5),
        ("a.yaml", 28, 38),
    ]
    assert json.loads(reports.as_json(checked(THING))) == []


def test_text_shows_the_line_and_a_caret() -> None:
    lines = reports.as_text(checked(WRONG), {"a.yaml": WRONG.splitlines()}).splitlines()
    assert lines[0].startswith("a.yaml:28:38: error[expression-type]: failed to validate resource")
    assert lines[1].startswith('  28 |         data: {answer: "${schema.spec.question}"}')
    assert lines[2].index("^") == lines[1].index(".question")
    assert lines[3] == "1 definition checked, 1 error"


def test_every_fault_of_one_expression_is_shown() -> None:
    text = THING.replace("${schema.spec.answer}", "${schema.spec.one + schema.spec.two}")
    shown = reports.as_text(checked(text), {"a.yaml": text.splitlines()})
    assert "undefined field 'one'" in shown
    assert "\n    ERROR: <input>:1:30: undefined field 'two'\n" in shown


def test_a_tab_keeps_the_caret_in_its_place() -> None:
    finding = Finding("f", 1, "error", "yaml", "m", line=1, column=4)
    text = reports.as_text(Report((finding, finding), 2), {"f": ["\ta\tb"]})
    assert "\n  1 | \ta\tb\n    | \t \t^\n" in text
    assert text.endswith("2 definitions checked, 2 errors")


def test_a_place_outside_the_text_is_only_named() -> None:
    finding = Finding("f", None, "error", "file", "gone")
    assert reports.as_text(Report((finding,), 0), {}) == "f: error[file]: gone\n0 definitions checked, 1 error"


def test_github_annotations_escape_what_ends_them() -> None:
    finding = Finding("a,b:c.yaml", 1, "warning", "yaml", "100%\nof: it", line=3, column=4)
    assert reports.as_github(Report((finding,), 1)) == (
        "::warning file=a%2Cb%3Ac.yaml,line=3,col=4,title=yaml::100%25%0Aof: it"
    )


def test_sarif_names_each_rule_once_and_places_each_result() -> None:
    (run,) = json.loads(reports.as_sarif(checked(WRONG, WRONG), "1.2.3"))["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert sorted(rules) == sorted(set(rules))
    assert {result["ruleId"] for result in run["results"]} == set(rules)
    region = run["results"][0]["locations"][0]["physicalLocation"]
    assert region == {"artifactLocation": {"uri": "a.yaml"}, "region": {"startLine": 28, "startColumn": 38}}


def test_a_report_survives_any_text() -> None:
    finding = Finding("\ud800".encode("utf-8", "replace").decode(), 1, "error", "yaml", "\x00 ü 😀", line=1, column=1)
    assert orjson.loads(reports.as_json(Report((finding,), 1)))[0]["message"] == "\x00 ü 😀"


def test_text_keeps_what_somebody_may_have_meant() -> None:
    text = "undefined field 'imag'\n | schema.imag\n | ......^\n | did you mean 'image'?"
    shown = reports.as_text(Report((Finding("a.yaml", 1, "error", "expression-type", text, line=9, column=1),), 1), {})
    assert shown.splitlines()[0].endswith("undefined field 'imag'; did you mean 'image'?")
