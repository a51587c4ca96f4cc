"""The place of one character of a scalar's value in the text: through quotes, escapes, folding and indentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kro_es.authoring.tree import Node, Place

_BLANK = " \t\r\n\x85\u2028\u2029"
_PROPERTIES = re.compile(r"[ \t]*[&!][^ \t]*")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_NAMED = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


def place_in(node: Node, offset: int, lines: Sequence[str]) -> Place:
    """Where the character at ``offset`` of the value is written; the start of the scalar when that cannot be told.

    Folding only ever changes blanks, so the n-th character that is no blank is the n-th one in the text as well.
    """
    value = node.value
    if not isinstance(value, str) or not 0 <= offset <= len(value):
        return node.start
    written = _written(node, lines)
    last = node.start
    for position, char in enumerate(value):
        if char in _BLANK:
            if position == offset:
                return _after(last)
            last = _after(last)
            continue
        found, place = next(written, ("", last))
        if found != char:
            return node.start
        if position == offset:
            return place
        last = place
    return _after(last)


def _after(place: Place) -> Place:
    return Place(place.line, place.column + 1)


def _written(node: Node, lines: Sequence[str]) -> Iterator[tuple[str, Place]]:
    """The characters the scalar stands for, blanks left out, each with its place."""
    style = node.style
    first, column = _opening(node, lines)
    if style in ("|", ">"):
        first, column = first + 1, 0  # behind the header line
    elif style is not None:
        column += 1  # behind the quote
    for number in range(first, min(node.end.line, len(lines)) + 1):
        line = lines[number - 1]
        end = node.end.column - 1 if number == node.end.line else len(line)
        text = line[: end - 1] if style in ("'", '"') and number == node.end.line else line[:end]
        for char, at in _units(text, column, style):
            if char not in _BLANK:
                yield char, Place(number, at + 1)
        column = 0


def _opening(node: Node, lines: Sequence[str]) -> tuple[int, int]:
    """Line and 0-based column of the scalar itself, behind its anchor and tag."""
    line, column = node.start.line, node.start.column - 1
    while line < node.end.line or column < node.end.column - 1:
        text = lines[line - 1]
        found = _PROPERTIES.match(text, column)
        if found:
            column = found.end()
        elif column < len(text) and text[column] not in _BLANK and text[column] != "#":
            break
        elif column < len(text) and text[column] in _BLANK:
            column += 1
        else:
            line, column = line + 1, 0
    return line, column


def _units(text: str, column: int, style: str | None) -> Iterator[tuple[str, int]]:
    """Character and 0-based column, escapes resolved."""
    while column < len(text):
        char, start = text[column], column
        if style == "'" and char == "'":
            column += 2
        elif style == '"' and char == "\\":
            found = _ESCAPE.match(text, column)
            if found is None:  # a backslash at the end of the line continues it
                return
            code, column = found[1], found.end()
            char = chr(int(code[1:], 16)) if code[0] in "xuU" and len(code) > 1 else _NAMED.get(code, code)
        else:
            column += 1
        yield char, start
