"""Rows of projections on their way into the tables and back."""

from __future__ import annotations

import pytest

from kro_es.events.types import Event
from kro_es.projections.projection import Column, Row
from kro_es.store.lru import Lru
from kro_es.store.rows import RowForm


class _Mixed:
    name = "mixed"
    version = 1
    columns = (
        Column("text", "text", "a text", indexed=True),
        Column("count", "int", "a number"),
        Column("more", "json", "whatever"),
        Column("bytes", "blob", "bytes"),
        Column("last", "int", "a number"),
    )
    bodies = ()

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        return row


FORM = RowForm(_Mixed())
ROW: Row = {"text": "t", "count": 1, "more": {"b": [1, 1.0, True, None], "a": "\0"}, "bytes": b"\0x", "last": -(2**63)}


def test_a_row_comes_back_as_it_was():
    assert FORM.row(FORM.values("k", ROW)) == ROW


def test_a_row_read_by_need_is_the_same_however_it_is_looked_at():
    found = FORM.row_by_need(FORM.values("k", ROW))
    assert found == ROW
    assert {**found, "count": 2} == {**ROW, "count": 2}
    assert dict(found.items()) == ROW
    assert found.get("none") is None
    assert len(found) == len(ROW)
    with pytest.raises(KeyError):
        found["none"]


def test_what_a_database_does_not_keep_is_replaced_wherever_it_stands():
    assert FORM.values("k", {**ROW, "text": "a\0b"})[1] == "a\ufffdb"
    assert FORM.values("k", {**ROW, "count": True})[2] == 1
    assert FORM.values("k", {**ROW, "last": None, "text": None})[1::4] == (None, None)


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("count", 2**63, "column count: 9223372036854775808 does not fit"),
        ("last", -(2**63) - 1, "column last: -9223372036854775809 does not fit"),
        ("count", 1.0, "column count is int, not float"),
        ("text", 1, "column text is text, not int"),
        ("bytes", "x", "column bytes is blob, not str"),
    ],
)
def test_a_value_its_column_cannot_hold_is_refused(column, value, error):
    with pytest.raises((ValueError, TypeError), match=error):
        FORM.values("k", {**ROW, column: value})


def test_a_text_that_is_known_is_not_made_again():
    texts = {id(ROW["more"]): b"known"}
    assert FORM.values("k", ROW, texts)[3] == "known"
    assert FORM.values("k", {**ROW, "more": []}, texts)[3] == "[]"


def test_a_row_without_a_column_is_refused():
    with pytest.raises(KeyError, match="more"):
        FORM.values("k", {name: value for name, value in ROW.items() if name != "more"})


def test_what_was_used_last_is_kept_and_the_rest_forgotten_before_it_is_many():
    kept: Lru[int, int] = Lru(32)
    for number in range(1000):
        kept.put(number, number)
        assert kept.get(0) == 0
        kept.trim()
        assert len(kept) <= 34
    assert [number for number in range(1, 1000) if number in kept] == list(range(1000 - len(kept) + 1, 1000))
