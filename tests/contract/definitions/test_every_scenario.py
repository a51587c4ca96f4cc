"""Each scenario of spec/04 §14, each vector of spec/01 §7 and each trap that is mended has a test that says its number."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
FILES = [
    *sorted(Path(__file__).parent.glob("test_*.py")),
    TESTS / "integration" / "test_admission.py",
    TESTS / "integration" / "test_definition_vectors.py",
]
MENDED = {1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 16}


def _said(word: str) -> set[int]:
    """Numbers behind the word in what tests say of themselves: ``Scenarios 1-6, 64``."""
    found: set[int] = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None
            for run in re.findall(rf"\b{word}s? ((?:\d+[a-z]?(?:-|, | and )?)+)", text or "", re.IGNORECASE):
                for first, last in re.findall(r"(\d+)[a-z]?(?:-(\d+))?", run):
                    found |= set(range(int(first), int(last or first) + 1))
    return found


def _vectors(tier: str, sections: str, checks: set[str]) -> set[int]:
    every = json.loads((TESTS / "unit" / tier / "vectors.json").read_text())
    numbers = (
        re.match(r"\d+", vector.get("vector") or "")
        for vector in every
        if vector["section"].startswith(sections) and vector["check"] in checks
    )
    return {int(number[0]) for number in numbers if number}


def test_every_scenario_has_a_test() -> None:
    recorded = _vectors("graph", "14.", {"graph", "apply-rgd"})
    assert sorted(_said("scenario") | recorded) == list(range(1, 68))


def test_every_vector_has_a_test() -> None:
    recorded = _vectors("schema", "7.", {"openapi", "plural", "compat", "crd", "crd-columns", "status-schema"})
    assert sorted(_said("vector") | recorded) == list(range(1, 93))


def test_every_mended_trap_has_a_test() -> None:
    text = "\n".join(file.read_text() for file in FILES)
    assert {int(number) for number in re.findall(r"\bT(\d+)\b", text)} >= MENDED
