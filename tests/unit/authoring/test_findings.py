"""Every message the compile has for the vectors of kro gets a code of its own, and a place in the text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kro_es.api.definition import parse
from kro_es.api.objects import JsonObject
from kro_es.authoring.findings import _TEXTS, CODES, code_of
from kro_es.authoring.kinds import shipped
from kro_es.authoring.locate import locate
from kro_es.authoring.tree import follow
from kro_es.authoring.yaml_reader import Document, read
from kro_es.authoring.yaml_writer import write
from kro_es.errors import DefinitionErrors, DefinitionFault
from kro_es.graph.compile import compile_graph

UNIT = Path(__file__).resolve().parents[1]
VECTORS = [
    pytest.param(vector["input"], id=f"{vector['section']}-{index}")
    for file in ("graph", "schema")
    for index, vector in enumerate(json.loads((UNIT / file / "vectors.json").read_text()))
    if vector["check"] in ("graph", "apply-rgd", "status-schema")
]


def faults(obj: JsonObject) -> tuple[DefinitionFault, ...]:
    try:
        compile_graph(parse(obj), shipped().kinds)
    except DefinitionErrors as error:
        return error.faults
    return ()


@pytest.mark.parametrize("text", VECTORS)
def test_a_fault_has_a_code_and_a_place(text: str) -> None:
    obj = json.loads(text)
    (document,) = read(write(obj))
    assert isinstance(document, Document)
    for fault in faults(obj):
        code = code_of(fault.message)
        assert code in CODES
        assert code != "definition", fault.message
        located = locate(fault, document, code)
        assert follow(document.root, located.path).complete, (fault, located)


def test_a_message_nobody_knows_still_has_a_code() -> None:
    assert code_of("something new") == "definition"


def test_every_code_that_is_told_apart_is_documented() -> None:
    assert {code for _, code in _TEXTS} <= set(CODES)


def test_the_readme_lists_every_code() -> None:
    readme = (UNIT.parents[1] / "README.md").read_text()
    (listed,) = re.findall(r"A code of `validate` keeps its meaning.*?:\n(.*?)\n\n", readme, re.DOTALL)
    assert set(re.findall(r"`([a-z-]+)`", listed)) == set(CODES)
