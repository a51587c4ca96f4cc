"""For any value: a delta gives back exactly the new one, and a body survives being stored."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import orjson
from hypothesis import given
from hypothesis import strategies as st

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.events.codec import decode, encode
from kro_es.events.delta import apply, canonical, diff
from kro_es.events.types import Body
from kro_es.store.packing import Packer, shipped_dictionary

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
INT = st.integers(-(2**63), 2**63 - 1)
# Few different leaves, so that equal places and look-alikes (True, 1, 1.0, 0, -0.0) are common.
ALIKE = st.sampled_from([None, True, False, 1, 1.0, 0, 0.0, -0.0, ""])
LEAF = st.one_of(ALIKE, INT, TEXT, st.floats(allow_nan=False, allow_infinity=False))
KEY = st.one_of(st.sampled_from(["a", "b", "v", "s", "c", "d", "n", "0"]), TEXT)
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4))
OBJECT = st.dictionaries(KEY, JSON, max_size=4)

PACKER = Packer({1: shipped_dictionary()})


def _bodies(cls: type) -> st.SearchStrategy[Body]:
    """Any body of a type, by the types of its fields."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: _values(hints[field.name]) for field in fields(cls)})


def _values(hint: JsonValue) -> st.SearchStrategy[JsonValue]:
    if hint == JsonObject:
        return OBJECT
    if hint == JsonObject | None:
        return st.none() | OBJECT
    if isinstance(hint, type) and is_dataclass(hint):
        return _bodies(hint)
    origin: object = get_origin(hint)
    if origin is tuple:
        return st.lists(_values(get_args(hint)[0]), max_size=3).map(tuple)
    if origin is list:
        return st.lists(_values(get_args(hint)[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(TEXT, _values(get_args(hint)[1]), max_size=3)
    if origin is UnionType:
        return st.one_of([_values(part) for part in get_args(hint)])
    simple = {int: INT, str: TEXT}
    return simple[hint] if hint in simple else st.from_type(hint)


@st.composite
def edited(draw: st.DrawFn) -> tuple[JsonValue, JsonValue]:
    """A value and one that shares much of it."""
    old = draw(OBJECT)
    new = orjson.loads(orjson.dumps(old))
    for name in draw(st.lists(st.sampled_from(sorted(old)), max_size=3)) if old else ():
        new[name] = draw(JSON)
    return old, new


@given(JSON, JSON)
def test_any_delta_is_exact(old: JsonValue, new: JsonValue) -> None:
    _exact(old, new)


@given(edited())
def test_the_delta_of_an_edit_is_exact(pair: tuple[JsonValue, JsonValue]) -> None:
    _exact(*pair)


def _exact(old: JsonValue, new: JsonValue) -> None:
    before = canonical(old)
    stored = orjson.loads(canonical(diff(old, new)))
    assert canonical(apply(old, stored)) == canonical(new)
    assert canonical(old) == before
    if canonical(old) == canonical(new):
        assert stored == {}


@given(st.one_of([_bodies(cls) for cls in get_args(Body)]))
def test_a_body_survives_being_stored(body: Body) -> None:
    name, version, payload = encode(body)
    plain = canonical(payload)
    encoding, stored = PACKER.pack(plain, 0)
    assert PACKER.unpack(encoding, stored) == plain
    assert len(stored) <= len(plain)
    back = decode(name, version, orjson.loads(plain))
    assert type(back) is type(body)
    assert canonical(encode(back)[2]) == plain
    assert back == body
