"""The shapes a delta may have, and that it tells values apart that Python does not."""

from __future__ import annotations

import pytest

from kro_es.api.objects import JsonValue
from kro_es.events.delta import apply, canonical, canonical_around, diff

CASES: dict[str, tuple[JsonValue, JsonValue, JsonValue]] = {
    "nothing": ({"a": [1, None]}, {"a": [1, None]}, {}),
    "set, change, remove": (
        {"a": 1, "b": {"c": 1, "d": 2}, "e": 0},
        {"a": 2, "b": {"c": 1, "d": 3}},
        {"s": {"a": 2}, "c": {"b": {"s": {"d": 3}}}, "d": ["e"]},
    ),
    "null is a value": ({"a": 1}, {"a": None}, {"s": {"a": None}}),
    "list grows": ([1, 2], [1, 3, 4], {"c": {"1": {"v": 3}}, "a": [4]}),
    "list shrinks": ([1, 2, 3], [1], {"n": 1}),
    "list empties": ([1, 2, 3], [], {"n": 0}),
    "another kind of value": ({"a": 1}, [1], {"v": [1]}),
    "true is not 1": ({"a": True}, {"a": 1}, {"s": {"a": 1}}),
    "1 is not 1.0": ([1], [1.0], {"c": {"0": {"v": 1.0}}}),
    "0.0 is not -0.0": ({"a": {"b": 0.0}}, {"a": {"b": -0.0}}, {"c": {"a": {"s": {"b": -0.0}}}}),
    "names that look like a delta's": ({"v": 1, "s": 2}, {"v": {"c": 1}, "s": 2}, {"s": {"v": {"c": 1}}}),
}


@pytest.mark.parametrize("case", CASES)
def test_delta(case: str) -> None:
    old, new, expected = CASES[case]
    before = canonical(old)
    delta = diff(old, new)
    assert canonical(delta) == canonical(expected)
    assert canonical(apply(old, delta)) == canonical(new)
    assert canonical(old) == before


@pytest.mark.parametrize("part", [{"b": [1, 1.0, True, None, -0.0], "a": 'é"\\\0\u2028'}, {}, None, "text", 2**63])
def test_a_text_made_around_that_of_a_member_is_the_one_text(part: JsonValue) -> None:
    value = {"z": part, "object": part, "a": {"y": 1, "x": part}}
    assert canonical_around(value, "object") == (canonical(value), canonical(part))
