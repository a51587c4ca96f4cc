"""The schema of the status block: what every value of a list fits, whatever the order it is written in."""

from __future__ import annotations

from itertools import permutations

import pytest

from kro_es.cel.types import DYN, INT, STRING, CelType
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.status_schema import infer

ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}


def items(*fields: tuple[FieldPath, CelType]) -> object:
    return infer(fields)["properties"]["list"]["items"]


@pytest.mark.parametrize("types", [*permutations([STRING, DYN]), *permutations([STRING, INT, STRING])])
def test_values_of_several_types_in_a_list_may_be_anything(types: tuple[CelType, ...]) -> None:
    assert items(*((("list", index), of) for index, of in enumerate(types))) == ANYTHING


def test_values_of_one_type_keep_it() -> None:
    assert items((("list", 0), STRING), (("list", 1), STRING)) == {"type": "string"}


def test_objects_in_a_list_have_the_fields_of_all_of_them() -> None:
    found = items((("list", 0, "a"), STRING), (("list", 1, "b"), INT), (("list", 2, "a"), STRING))
    assert found == {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
