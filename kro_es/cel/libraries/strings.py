"""Strings: positions count code points, and only ASCII letters change their case."""

from __future__ import annotations

from kro_es.cel.errors import EvaluationError
from kro_es.cel.overloads import K, Overload, T, V, function, member
from kro_es.cel.types import BOOL, BYTES, INT, STRING, ListType, MapType
from kro_es.cel.values import CelValue, checked_size

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}
# Go's unicode.IsSpace; Python's strip() also takes the separators 0x1c to 0x1f
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


def _out_of_range(index: int) -> EvaluationError:
    return EvaluationError(f"index out of range: {index}")


def _char_at(text: str, index: int) -> str:
    if 0 <= index <= len(text):
        return text[index : index + 1]
    raise _out_of_range(index)


def _index_of(text: str, wanted: str, start: int = 0) -> int:
    if start < 0:
        raise _out_of_range(start)
    if not wanted:
        return min(start, len(text))
    return text.find(wanted, start)


def _last_index_of(text: str, wanted: str) -> int:
    return text.rfind(wanted)


def _last_index_before(text: str, wanted: str, last: int) -> int:
    if last < 0:
        raise _out_of_range(last)
    if not wanted:
        return min(last, len(text))
    return -1 if last >= len(text) else text.rfind(wanted, 0, last + len(wanted))


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    times = text.count(old) if limit < 0 else min(limit, text.count(old))
    checked_size(len(text) + times * max(0, len(new) - len(old)))
    return text.replace(old, new, limit)


def _split(text: str, separator: str, limit: int = -1) -> list[CelValue]:
    if limit == 0:
        return []
    if separator:
        return list(text.split(separator, limit - 1 if limit > 0 else -1))
    if limit < 0 or limit >= len(text):
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


def _substring(text: str, start: int) -> str:
    if 0 <= start <= len(text):
        return text[start:]
    raise _out_of_range(start)


def _substring_until(text: str, start: int, end: int) -> str:
    if start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, end):
        if not 0 <= index <= len(text):
            raise _out_of_range(index)
    return text[start:end]


def _join(items: list[CelValue], separator: str = "") -> str:
    for item in items:
        if type(item) is not str:
            raise EvaluationError(f"join: invalid input: {item}")
    checked_size(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


_STRINGS = ListType(STRING)
_TWO = (STRING, STRING)

OVERLOADS: tuple[Overload, ...] = (
    *(
        make("size", (of,), INT, len)
        for make in (function, member)
        for of in (STRING, BYTES, ListType(T), MapType(K, V))
    ),
    member("contains", _TWO, BOOL, str.__contains__),
    member("startsWith", _TWO, BOOL, str.startswith),
    member("endsWith", _TWO, BOOL, str.endswith),
    member("charAt", (STRING, INT), STRING, _char_at),
    member("indexOf", _TWO, INT, _index_of),
    member("indexOf", (*_TWO, INT), INT, _index_of),
    member("lastIndexOf", _TWO, INT, _last_index_of),
    member("lastIndexOf", (*_TWO, INT), INT, _last_index_before),
    member("lowerAscii", (STRING,), STRING, lambda text: text.translate(_LOWER)),
    member("upperAscii", (STRING,), STRING, lambda text: text.translate(_UPPER)),
    member("replace", (STRING, STRING, STRING), STRING, _replace),
    member("replace", (STRING, STRING, STRING, INT), STRING, _replace),
    member("split", _TWO, _STRINGS, _split),
    member("split", (*_TWO, INT), _STRINGS, _split),
    member("substring", (STRING, INT), STRING, _substring),
    member("substring", (STRING, INT, INT), STRING, _substring_until),
    member("trim", (STRING,), STRING, lambda text: text.strip(_SPACE)),
    member("reverse", (STRING,), STRING, lambda text: text[::-1]),
    member("join", (_STRINGS,), STRING, _join),
    member("join", (_STRINGS, STRING), STRING, _join),
)
