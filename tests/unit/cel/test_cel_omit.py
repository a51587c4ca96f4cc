"""omit() marks what is to be left out; nothing else may be done with the mark."""

from __future__ import annotations

import copy

import pytest
from cel_site import value_of

from kro_es.cel.errors import DataPending, EvaluationError
from kro_es.cel.omit import OMIT, is_omit, without_omitted


def test_the_marker_is_the_value() -> None:
    assert is_omit(value_of("omit()"))
    assert value_of("[1, omit()]") == [1, OMIT]
    assert value_of('{"a": true ? omit() : 1}') == {"a": OMIT}


def test_a_copy_holds_the_same_marker() -> None:
    assert is_omit(copy.deepcopy([OMIT])[0])


def test_marked_fields_and_elements_are_left_out_and_empty_parents_stay() -> None:
    written = {"a": OMIT, "b": [1, OMIT, {"c": OMIT}], "d": None}
    assert without_omitted(written) == {"b": [1, {}], "d": None}
    assert written["a"] is OMIT


@pytest.mark.parametrize("text", ["'a' + omit()", "size(omit())", "string(omit())", "dyn(1) + omit()"])
def test_the_marker_has_no_operations(text: str) -> None:
    with pytest.raises(EvaluationError, match="no such overload"):
        value_of(text)


def test_comparing_the_marker_itself_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="omit\\(\\) is a field-removal sentinel and cannot be compared"):
        value_of("omit() == 1")
    assert value_of("1 == omit()") is False
    assert value_of("omit() != omit()") is True


def test_a_field_of_the_marker_is_missing() -> None:
    with pytest.raises(DataPending, match="no such key: x"):
        value_of("omit().x")
    assert value_of("has(omit().x)") is False
