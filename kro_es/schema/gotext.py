"""Go's reading and printing of scalars, where its results or its error texts are part of what users see."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from kro_es.api.objects import JsonValue

SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""``unicode.IsSpace``; ``str.isspace`` also takes the separators U+001C to U+001F."""

_INT = re.compile(r"[+-]?[0-9]+\Z")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_HEX = re.compile(r"[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+\Z")
_SPECIAL = re.compile(r"([+-]?inf(inity)?|nan)\Z", re.IGNORECASE)
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def _syntax(function: str, text: str) -> ValueError:
    return ValueError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")


def _range(function: str, text: str) -> ValueError:
    return ValueError(f"strconv.{function}: parsing {quote(text)}: value out of range")


def parse_bool(text: str) -> bool:
    """``strconv.ParseBool``; ValueError carries Go's text."""
    if text not in _BOOLS:
        raise _syntax("ParseBool", text)
    return _BOOLS[text]


def parse_int(text: str) -> int:
    """``strconv.ParseInt(text, 10, 64)``."""
    if not _INT.match(text):
        raise _syntax("ParseInt", text)
    # int() refuses very long texts, which are out of range anyway
    value = int(text) if len(text) < 100 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:
        raise _range("ParseInt", text)
    return value


def parse_float(text: str) -> float:
    """``strconv.ParseFloat(text, 64)``."""
    if _SPECIAL.match(text):
        return float(text)
    try:
        if _HEX.match(text):
            return float.fromhex(text)
        if not _DECIMAL.match(text):
            raise _syntax("ParseFloat", text)
        value = float(text)
    except OverflowError:
        raise _range("ParseFloat", text) from None
    if math.isinf(value):
        raise _range("ParseFloat", text)
    return value


def quote(text: str) -> str:
    """``strconv.Quote``: how Go prints ``%q``."""
    return '"' + "".join(_quoted(char) for char in text) + '"'


def _quoted(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char == " " or char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def type_name(value: JsonValue) -> str:
    """``%T`` of a decoded JSON value."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int64"
        case float():
            return "float64"
        case str():
            return "string"
        case list():
            return "[]interface {}"
        case _:
            return "map[string]interface {}"


def fixed(value: float) -> str:
    """Shortest decimal without an exponent."""
    if value == int(value):
        return str(int(value))
    return format(Decimal(repr(value)), "f")
