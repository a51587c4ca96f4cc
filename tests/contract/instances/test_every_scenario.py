"""Each of the 88 scenarios of spec/03 §17 has a test here that carries its number."""

from __future__ import annotations

import ast
import re
from pathlib import Path


def test_every_scenario_has_a_test() -> None:
    found: set[int] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        names = [node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.AsyncFunctionDef)]
        found |= {int(match[1]) for name in names if (match := re.match(r"test_(\d\d)_", name))}
    assert sorted(found) == list(range(1, 89))
