"""Where a value is in an object, as a tuple of names and indices, and the text form messages use (spec/02 §2)."""

from __future__ import annotations

from typing import TypeAlias

from kro_es.errors import UserError

FieldPath: TypeAlias = tuple[str | int, ...]


class FieldPathError(UserError):
    """A text is not a field path."""


def join(parent: str, step: str | int) -> str:
    """``parent`` with one more name or index."""
    if isinstance(step, int):
        return f"{parent}[{step}]"
    if not step or "." in step:
        # names are not escaped: quotes and brackets in them stay as they are
        return f'{parent}["{step}"]'
    return f"{parent}.{step}" if parent else step


def text(path: FieldPath) -> str:
    """``spec.containers[0].image``, ``metadata.labels["a.b/c"]``."""
    found = ""
    for step in path:
        found = join(found, step)
    return found


def parse(given: str) -> FieldPath:
    """Inverse of :func:`text` for names without quotes and brackets; raises FieldPathError."""
    steps: list[str | int] = []
    position = 0
    step: str | int
    while position < len(given):
        if given.startswith('["', position):
            step, position = _quoted(given, position)
        elif given[position] == "[":
            step, position = _index(given, position)
        else:
            step, position = _plain(given, position, first=not steps)
        steps.append(step)
    return tuple(steps)


def _quoted(given: str, start: int) -> tuple[str, int]:
    end = given.find('"', start + 2)
    if end < 0:
        raise FieldPathError(f"unterminated quoted string starting at position {start}")
    if not given.startswith("]", end + 1):
        raise FieldPathError(f"expected closing bracket after quote at position {end + 1}")
    return given[start + 2 : end], end + 2


def _index(given: str, start: int) -> tuple[int, int]:
    end = given.find("]", start)
    if end < 0:
        raise FieldPathError(f"unterminated array index at position {start}")
    digits = given[start + 1 : end]
    if not (digits.isascii() and digits.isdigit()):
        raise FieldPathError(f"invalid array index '{digits}' at position {start}")
    return int(digits), end + 1


def _plain(given: str, start: int, *, first: bool) -> tuple[str, int]:
    begin = start if first or given[start] != "." else start + 1
    end = begin
    while end < len(given) and given[end] not in ".[":
        end += 1
    if end == begin:
        raise FieldPathError(f"empty field name at position {begin}")
    return given[begin:end], end
