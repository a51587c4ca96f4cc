"""A YAML scalar as kubectl reads it: the value go-yaml v2 resolves, in the JSON form the API server then gets."""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from decimal import Decimal

from kro_es.api.objects import JsonValue
from kro_es.errors import UserError

_STANDARD = "tag:yaml.org,2002:"
_INT, _FLOAT, _NULL, _BOOL, _BINARY = (_STANDARD + name for name in ("int", "float", "null", "bool", "binary"))
_RESOLVED: dict[str, tuple[type, ...]] = {
    _INT: (int,), _FLOAT: (float, int), _NULL: (type(None),), _BOOL: (bool,),
}  # fmt: skip
_WORDS: dict[str, JsonValue] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))\Z")
_FRACTION = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_DOTTED = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?\Z")
_LOWEST, _HIGHEST, _UNSIGNED = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
_INTEGRAL = 1e21
"""From here on doubles are sent with an exponent."""


class ScalarError(UserError):
    """A scalar that has no JSON value, or not the one its tag asks for."""


def value_of(text: str, tag: str | None, *, plain: bool) -> JsonValue:
    """``plain``: written without quotes; ``tag`` as the parser expands it. Raises ScalarError."""
    found = _read(text, tag, plain=plain)
    return _json_number(text, found) if isinstance(found, float) else found


def key_of(text: str, tag: str | None, *, plain: bool) -> str:
    """The member name a scalar key becomes: a bare ``y`` is ``"true"``, ``010`` is ``"8"``. Raises ScalarError."""
    found = _read(text, tag, plain=plain)
    if found is None:
        raise ScalarError("null cannot be a key: quote it, or give it a name")
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return _float_key(found)
    if isinstance(found, int) and found > _HIGHEST:
        raise ScalarError(f"{text} is too large for a key: quote it")
    return str(found)


def _read(text: str, tag: str | None, *, plain: bool) -> JsonValue:
    if tag == _BINARY:
        return _binary(text)
    if tag is None and plain:
        return _resolved(text)
    if tag is None or tag not in _RESOLVED:
        return text
    found = _resolved(text)
    kinds = _RESOLVED[tag]
    if not isinstance(found, kinds) or (isinstance(found, bool) and tag != _BOOL):
        raise ScalarError(f"cannot read {text!r} as !!{tag.removeprefix(_STANDARD)}")
    return found


def _resolved(text: str) -> JsonValue:
    """By the form of the text alone; an integer may exceed 64 bits by no more than the sign."""
    if text in _WORDS:
        return _WORDS[text]
    head = text[0]
    if head == ".":
        return _fraction(text.replace("_", ""), text) if _DOTTED.match(text) else text
    if not (head.isascii() and (head.isdigit() or head in "+-")):
        return text
    bare = text.replace("_", "")
    found = _INTEGER.match(bare)
    if found:
        sign, *digits = found.groups()
        base, number = next((base, part) for base, part in zip((16, 2, 8, 10), digits, strict=True) if part)
        whole = int(number, base) * (-1 if sign == "-" else 1)
        if _LOWEST <= whole <= _HIGHEST or (not sign and whole <= _UNSIGNED):
            return whole
    return _fraction(bare, text)


def _fraction(bare: str, text: str) -> JsonValue:
    if not _FRACTION.match(bare):
        return text
    found = float(bare)
    # a number too large for a double stays the text it is
    return text if math.isinf(found) else found


def _json_number(text: str, found: float) -> JsonValue:
    """An integral double is an integer in JSON, and comes back as one."""
    if math.isnan(found) or math.isinf(found):
        raise ScalarError(f"{text} has no place in JSON; quote it if a text is meant")
    if not found.is_integer() or abs(found) >= _INTEGRAL:
        return found
    # the digits that are sent are the shortest ones that mean this double
    whole = int(Decimal(repr(found)))
    return whole if _LOWEST <= whole <= _HIGHEST else found


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
    except binascii.Error as error:
        raise ScalarError(f"!!binary value is not base64: {error}") from None


def _float_key(found: float) -> str:
    """Go's shortest form of the value as a 32-bit float."""
    if math.isnan(found):
        return ".nan"
    try:
        packed = struct.pack("f", found)
    except OverflowError:
        packed = struct.pack("f", math.copysign(math.inf, found))
    single: float = struct.unpack("f", packed)[0]
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    digits = next(text for text in (f"{single:.{n}e}" for n in range(10)) if struct.pack("f", float(text)) == packed)
    mantissa, _, exponent = digits.partition("e")
    if -4 <= int(exponent) < 6:
        places = max(len(mantissa.lstrip("-").replace(".", "")) - 1 - int(exponent), 0)
        return f"{float(digits):.{places}f}"
    return f"{mantissa}e{int(exponent):+03d}"
