"""Regular expressions: RE2's language and its linear time; a match may lie anywhere in the text."""

from __future__ import annotations

from functools import lru_cache

import re2

from kro_es.api.objects import JsonValue
from kro_es.cel.errors import BadRegex, EvaluationError
from kro_es.cel.overloads import Overload, function, member
from kro_es.cel.types import BOOL, INT, STRING, ListType, OptionalType
from kro_es.cel.values import NONE, CelValue, Optional, checked_size

# RE2 in C++ and in Go accept the same language and word a few faults differently
_GO_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
}


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> JsonValue:
    """Raises BadRegex."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        text = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        what, _, where = text.partition(": ")
        raise BadRegex(f"error parsing regexp: {_GO_WORDS.get(what, what)}: `{where}`") from None


def _matches(text: str, pattern: str) -> bool:
    return compile_pattern(pattern).search(text) is not None


def _find(text: str, pattern: str) -> str:
    found = compile_pattern(pattern).search(text)
    return found.group(0) if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[CelValue]:
    found = [match.group(0) for match in compile_pattern(pattern).finditer(text)] if limit else []
    return found if limit < 0 else found[:limit]


def _group(match: JsonValue, pattern: JsonValue) -> CelValue:
    """The first group where there is one, else the whole match; None for a group that took no part."""
    if pattern.groups > 1:
        raise EvaluationError(f"regular expression has more than one capturing group: {pattern.pattern!r}")
    return match.group(pattern.groups)


def _extract(text: str, pattern: str) -> Optional:
    compiled = compile_pattern(pattern)
    match = compiled.search(text)
    value = _group(match, compiled) if match else None
    return NONE if value is None else Optional(value, True)


def _extract_all(text: str, pattern: str) -> list[CelValue]:
    compiled = compile_pattern(pattern)
    found = (_group(match, compiled) for match in compiled.finditer(text))
    return [value for value in found if value]


def _replace(text: str, pattern: str, replacement: str, limit: int = -1) -> str:
    compiled = compile_pattern(pattern)
    _check_replacement(replacement, compiled.groups)
    parts, end = [], 0
    for count, match in enumerate(compiled.finditer(text)):
        if 0 <= limit <= count:
            break
        parts += [text[end : match.start()], _expanded(replacement, match)]
        end = match.end()
        checked_size(sum(map(len, parts[-2:])) + end)
    found = "".join([*parts, text[end:]])
    checked_size(len(found))
    return found


def _check_replacement(replacement: str, groups: int) -> None:
    pieces = replacement.replace("\\\\", "").split("\\")[1:]
    for piece in pieces:
        if not piece[:1].isdigit():
            raise EvaluationError("invalid replacement string: \\ must be followed by a digit or \\")
        if int(piece[0]) > groups:
            raise EvaluationError(
                f"replacement string references group {piece[0]} but regex has only {groups} group(s)"
            )


def _expanded(replacement: str, match: JsonValue) -> str:
    found, at = [], 0
    while at < len(replacement):
        char = replacement[at]
        if char == "\\":
            at += 1
            char = replacement[at]
            char = (match.group(int(char)) or "") if char.isdigit() else char
        found.append(char)
        at += 1
    return "".join(found)


_TWO = (STRING, STRING)
_STRINGS = ListType(STRING)

OVERLOADS: tuple[Overload, ...] = (
    member("matches", _TWO, BOOL, _matches),
    function("matches", _TWO, BOOL, _matches),
    member("find", _TWO, STRING, _find),
    member("findAll", _TWO, _STRINGS, _find_all),
    member("findAll", (*_TWO, INT), _STRINGS, _find_all),
)

EXTENSION: tuple[Overload, ...] = (
    function("regex.extract", _TWO, OptionalType(STRING), _extract),
    function("regex.extractAll", _TWO, _STRINGS, _extract_all),
    function("regex.replace", (*_TWO, STRING), STRING, _replace),
    function("regex.replace", (*_TWO, STRING, INT), STRING, _replace),
)
"""cel-go has them, kro leaves them out."""
