"""Findings for whoever reads them: a person, a script, a code scanner, a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import orjson

from kro_es.api.objects import JsonObject
from kro_es.authoring.findings import CODES, Finding
from kro_es.authoring.validate import Report

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_HINT = " | did you mean"


def as_json(report: Report) -> str:
    """One list; each entry has every member of :class:`Finding`."""
    return orjson.dumps([asdict(finding) for finding in report.findings], option=orjson.OPT_INDENT_2).decode()


def as_text(report: Report, lines: Mapping[str, Sequence[str]]) -> str:
    """``file:line:column: error[code]: message``, the line itself and a caret below; ``lines`` by file."""
    parts = [_shown(finding, lines.get(finding.file, ())) for finding in report.findings]
    warnings = len(report.findings) - report.errors
    told = _counted(report.errors, "error") if report.errors else "no errors"
    told += f", {_counted(warnings, 'warning')}" if warnings else ""
    parts.append(f"{_counted(report.definitions, 'definition')} checked, {told}")
    return "\n".join(parts)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _shown(finding: Finding, lines: Sequence[str]) -> str:
    where = ":".join(str(part) for part in (finding.file, finding.line, finding.column) if part is not None)
    # the excerpts of the expression engine are left out: the line of the file says more
    said = finding.message.split("\n")
    told = "\n".join(line for line in said if line.startswith(_HINT) or not line.startswith(" | "))
    message = told.replace(f"\n{_HINT}", "; did you mean").replace("\n", "\n    ")
    text = f"{where}: {finding.severity}[{finding.code}]: {message}"
    if finding.line is None or finding.column is None or finding.line > len(lines):
        return text
    number = str(finding.line)
    line = lines[finding.line - 1]
    indent = "".join(char if char == "\t" else " " for char in line[: finding.column - 1])
    return f"{text}\n  {number} | {line}\n  {' ' * len(number)} | {indent}^"


def as_github(report: Report) -> str:
    """Workflow commands: each finding becomes an annotation of the changed lines."""
    return "\n".join(_annotation(finding) for finding in report.findings)


def _annotation(finding: Finding) -> str:
    properties = {"file": finding.file, "line": finding.line, "col": finding.column, "title": finding.code}
    given = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value is not None)
    return f"::{finding.severity} {given}::{_data(finding.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_sarif(report: Report, version: str) -> str:
    """SARIF 2.1.0."""
    used = dict.fromkeys(finding.code for finding in report.findings)
    rules = [{"id": code, "shortDescription": {"text": CODES[code]}} for code in used]
    driver = {"name": "kro-es", "semanticVersion": version, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding) for finding in report.findings],
    }
    return orjson.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, option=orjson.OPT_INDENT_2).decode()


def _result(finding: Finding) -> JsonObject:
    place: JsonObject = {"artifactLocation": {"uri": finding.file.replace("\\", "/")}}
    if finding.line is not None:
        place["region"] = {"startLine": finding.line, "startColumn": finding.column}
    return {
        "ruleId": finding.code,
        "level": finding.severity,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
    }
