"""``strings.quote`` and ``string.format``: text from values, the same on every machine and in every locale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kro_es.cel.errors import EvaluationError
from kro_es.cel.overloads import Overload, function, member
from kro_es.cel.text import double_fixed, seconds_text
from kro_es.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    ListType,
    MapType,
    StructType,
    TypeOf,
    TypeParam,
    type_name,
)
from kro_es.cel.values import (
    CelValue,
    Duration,
    Timestamp,
    TypeValue,
    Uint,
    checked_size,
    key_value,
    type_of,
)

MAX_PRECISION = 100
_DEFAULT_PRECISION = 6
_QUOTED = str.maketrans(
    {
        "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
        "\\": "\\\\", '"': '\\"',
    }
)  # fmt: skip
_INTEGERS: tuple[CelType, ...] = (INT, UINT)
_NUMBERS: tuple[CelType, ...] = (INT, UINT, DOUBLE)
_TAKES: dict[str, tuple[tuple[CelType, ...], str]] = {
    "s": (
        (STRING, BOOL, BYTES, INT, UINT, DOUBLE, NULL, TIMESTAMP, DURATION),
        "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, "
        "and timestamps",
    ),
    "d": (_NUMBERS, "decimal clause can only be used on ints, uints, and doubles"),
    "f": (_NUMBERS, "fixed-point clause can only be used on ints, uints, and doubles"),
    "e": (_NUMBERS, "scientific clause can only be used on ints, uints, and doubles"),
    "b": ((INT, UINT, BOOL), "only ints, uints, and bools can be formatted as binary"),
    "o": (_INTEGERS, "octal clause can only be used on ints and uints"),
    "x": ((INT, UINT, STRING, BYTES), "only ints, uints, bytes, and strings can be formatted as hex"),
}
"""Each clause with the types it takes, and what is said of others."""


def _quote(text: str) -> str:
    return f'"{text.translate(_QUOTED)}"'


def _refusal(clause: str, given: str) -> EvaluationError:
    return EvaluationError(f"error during formatting: {_TAKES[clause.lower()][1]}, was given {given}")


# -- the format string


def _pieces(text: str) -> Iterator[tuple[str, str, int]]:
    """Literal text, the clause after it (empty at the end), and its precision."""
    start = at = 0
    while (at := text.find("%", at)) >= 0:
        if text.startswith("%%", at):
            yield text[start:at] + "%", "", 0
            start = at = at + 2
            continue
        literal = text[start:at]
        precision, at = _precision(text, at + 1)
        clause = text[at : at + 1]
        if clause.lower() not in _TAKES or clause not in "sdfeboxX":
            what = f'unrecognized formatting clause "{clause}"' if clause else "unexpected end of string"
            raise EvaluationError(f"could not parse formatting clause: {what}")
        yield literal, clause, precision
        start = at = at + 1
    yield text[start:], "", 0


def _precision(text: str, at: int) -> tuple[int, int]:
    if not text.startswith(".", at):
        return _DEFAULT_PRECISION, at
    end = at + 1
    while end < len(text) and text[end] in "0123456789":
        end += 1
    digits = text[at + 1 : end] or "0"
    if len(digits) > 9 or int(digits) > MAX_PRECISION:
        raise EvaluationError(
            "could not parse formatting clause: error while parsing precision: "
            f"precision {digits} exceeds maximum allowed precision {MAX_PRECISION}"
        )
    return int(digits), end


def _too_many(expected: int, got: int) -> EvaluationError:
    return EvaluationError(f"too many arguments supplied to string.format (expected {expected}, got {got})")


def _format(text: str, values: list[CelValue]) -> str:
    found: list[str] = []
    used = 0
    for literal, clause, precision in _pieces(text):
        found.append(literal)
        if not clause:
            continue
        if used >= len(values):
            raise EvaluationError(f"index {used} out of range")
        found.append(_FORMATTERS[clause](values[used], precision))
        used += 1
    if used < len(values):
        raise _too_many(used, len(values))
    checked_size(sum(map(len, found)))
    return "".join(found)


def format_fault(text: str, given: Sequence[CelType]) -> tuple[int | None, str] | None:
    """What is wrong with a literal format string for arguments of these types, and with which of them if with one."""
    used = 0
    try:
        for _, clause, _ in _pieces(text):
            if clause:
                if used >= len(given):
                    return None, f"index {used} out of range"
                if not _takes(clause, given[used]):
                    return used, str(_refusal(clause, type_name(given[used])))
                used += 1
    except EvaluationError as error:
        return None, str(error)
    return (None, str(_too_many(used, len(given)))) if used < len(given) else None


def _takes(clause: str, of: CelType) -> bool:
    if of == DYN or isinstance(of, TypeParam):
        return True
    if clause == "s":
        match of:
            case ListType():
                return _takes(clause, of.element)
            case MapType():
                return _takes(clause, of.key) and _takes(clause, of.value)
            case TypeOf() | StructType():
                return True
    return of in _TAKES[clause.lower()][0]


# -- the values


def _text(value: CelValue, _: int = 0) -> str:
    if isinstance(value, str):
        return value
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return _number(value)
    match value:
        case bytes():
            return value.decode(errors="replace")
        case TypeValue():
            return value.name
        case Timestamp():
            return value.text()
        case Duration():
            return seconds_text(value)
        case list():
            return f"[{', '.join([_text(item) for item in value])}]"
        case dict():
            entries = sorted((_text(key_value(key)), _text(item)) for key, item in value.items())
            return "{" + ", ".join(f"{key}: {item}" for key, item in entries) + "}"
    raise _refusal("s", type_of(value))


def _number(value: float) -> str:
    return (_special(value) or double_fixed(value)) if isinstance(value, float) else str(int(value))


def _special(value: float) -> str | None:
    if value != value:  # NaN
        return "NaN"
    return {float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(value)


def _decimal(value: CelValue, _: int) -> str:
    if type(value) in (int, Uint, float):
        return _text(value)
    raise _refusal("d", type_of(value))


def _float(clause: str) -> Callable[[CelValue, int], str]:
    def write(value: CelValue, precision: int) -> str:
        if type(value) not in (int, Uint, float):
            raise _refusal(clause, type_of(value))
        number = float(value)
        return _special(number) or format(number, f".{precision}{clause}")

    return write


def _binary(value: CelValue, _: int) -> str:
    if type(value) in (int, Uint, bool):
        return format(int(value), "b")
    raise _refusal("b", type_of(value))


def _octal(value: CelValue, _: int) -> str:
    if type(value) in (int, Uint):
        return format(int(value), "o")
    raise _refusal("o", type_of(value))


def _hex(value: CelValue, _: int) -> str:
    if type(value) in (int, Uint):
        return format(int(value), "x")
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, bytes):
        return value.hex()
    raise _refusal("x", type_of(value))


_FORMATTERS: dict[str, Callable[[CelValue, int], str]] = {
    "s": _text, "d": _decimal, "f": _float("f"), "e": _float("e"), "b": _binary, "o": _octal, "x": _hex,
    "X": lambda value, precision: _hex(value, precision).upper(),
}  # fmt: skip

OVERLOADS: tuple[Overload, ...] = (
    function("strings.quote", (STRING,), STRING, _quote),
    member("format", (STRING, ListType(DYN)), STRING, _format),
)
