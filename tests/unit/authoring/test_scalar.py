"""Scalars read as kubectl reads them; the expected values were printed by sigs.k8s.io/yaml 1.6.0."""

from __future__ import annotations

import pytest

from kro_es.api.objects import JsonValue
from kro_es.authoring.scalar import ScalarError, key_of, value_of

STANDARD = "tag:yaml.org,2002:"

PLAIN: list[tuple[str, JsonValue]] = [
    ("y", True), ("n", False), ("on", True), ("off", False), ("Yes", True), ("NO", False), ("TRUE", True),
    ("yEs", "yEs"), ("tRue", "tRue"), ("", None), ("~", None), ("Null", None), ("nULL", "nULL"),
    ("1_000", 1000), ("1__0", 10), ("_1", "_1"), ("010", 8), ("0_7", 7), ("0o17", 15), ("0O7", 7), ("08", 8),
    ("0o8", "0o8"), ("-010", -8), ("0x1F", 31), ("-0x1F", -31), ("0xG", "0xG"), ("0x", "0x"), ("0b11", 3),
    ("-0b1", -1), ("+1", 1), ("1e3", 1000), ("1E3", 1000), ("3.0", 3), ("1.", 1), (".5", 0.5), ("-.5", -0.5),
    (".5_0", 0.5), ("._5", "._5"), ("1_0.5", 10.5), ("08.5", 8.5), ("1e-7", 1e-7), (".", "."), ("-", "-"), ("e3", "e3"),
    ("1:20", "1:20"), ("2024-01-01", "2024-01-01"), ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
    ("9223372036854775807", 9223372036854775807), ("9223372036854775808", 9223372036854775808),
    ("99999999999999999999", 1e20), ("9e18", 9000000000000000000), ("1e21", 1e21), ("1e400", "1e400"), ("NaN", "NaN"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_a_plain_scalar_is_what_go_makes_of_it(text: str, value: JsonValue) -> None:
    found = value_of(text, None, plain=True)
    assert (type(found), found) == (type(value), value)


def test_quotes_make_a_text_of_anything() -> None:
    assert value_of("y", None, plain=False) == "y"
    assert key_of("010", None, plain=False) == "010"


@pytest.mark.parametrize(
    ("text", "key"),
    [("y", "true"), ("off", "false"), ("010", "8"), ("1.5", "1.5"), ("3.0", "3"), ("0.1", "0.1"), ("1e10", "1e+10"),
     ("1e-7", "1e-07"), ("123456789.5", "1.2345679e+08"), (".inf", ".inf"), (".nan", ".nan"), ("-1e99", "-.inf")],
)  # fmt: skip
def test_a_key_is_the_text_of_its_value(text: str, key: str) -> None:
    assert key_of(text, None, plain=True) == key


@pytest.mark.parametrize(
    ("text", "tag", "value"),
    [("1", "str", "1"), ("y", "str", "y"), ("1", "int", 1), ("1", "float", 1), ("yes", "bool", True), ("", "null", None),
     ("aGVs\n bG8=", "binary", "hello"), ("2001-01-01", "timestamp", "2001-01-01")],
)  # fmt: skip
def test_a_tag_chooses_the_type(text: str, tag: str, value: JsonValue) -> None:
    assert value_of(text, STANDARD + tag, plain=False) == value


@pytest.mark.parametrize(
    ("text", "tag", "plain"),
    [("x", "int", True), ("1.5", "int", True), ("1", "bool", True), ("y", "int", True), ("*", "binary", True)],
)
def test_a_tag_the_text_does_not_fit_is_refused(text: str, tag: str, plain: bool) -> None:
    for read in (value_of, key_of):
        with pytest.raises(ScalarError):
            read(text, STANDARD + tag, plain=plain)


@pytest.mark.parametrize("text", [".nan", ".inf", "-.INF"])
def test_what_json_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(ScalarError, match="no place in JSON"):
        value_of(text, None, plain=True)


@pytest.mark.parametrize("text", ["", "~", "null", "9223372036854775808"])
def test_null_and_huge_numbers_are_no_keys(text: str) -> None:
    with pytest.raises(ScalarError, match="quote it"):
        key_of(text, None, plain=True)
