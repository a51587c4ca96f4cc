"""Expressions inside texts: finds every ``${...}``, says what it compiles to, and puts values in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.graph.fieldpath import FieldPath
from kro_es.schema.gotext import quote

NOT_STANDALONE = "only standalone expressions are allowed"
_MOST_UNCLOSED = 16
"""Each unclosed ``${`` costs one reading of the rest of the text."""


class TemplateError(UserError):
    """A text whose expressions cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Match:
    """One ``${...}``: its offsets in the text, and what stands between the braces."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Where an expression is in the compiled source and in the user's text."""

    source: int
    user: int
    length: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A text with expressions, as one CEL expression."""

    text: str
    """What messages show: the expression itself when it stands alone, else the whole text."""
    source: str
    standalone: bool
    pieces: tuple[Piece, ...]

    def column(self, line: int, column: int) -> int | None:
        """1-based place inside ``text`` of a place in ``source``; None when it is in a literal part."""
        lines = self.source.split("\n")
        offset = sum(len(part) + 1 for part in lines[: line - 1]) + column - 1
        for piece in self.pieces:
            if piece.source <= offset <= piece.source + piece.length:
                return piece.user + offset - piece.source + 1
        return None


@dataclass(frozen=True, slots=True)
class Field:
    """A leaf of a template that holds expressions."""

    path: FieldPath
    expression: Expression


# -- scanning


def scan(text: str) -> tuple[Match, ...]:
    """Every ``${...}``, braces counted outside double quotes; raises TemplateError for nested ones (spec/02 §1.1)."""
    found: list[Match] = []
    unclosed = 0
    position = text.find("${")
    while position >= 0:
        end = _closing(text, position)
        if end is None:
            unclosed += 1
            if unclosed > _MOST_UNCLOSED:
                raise TemplateError(f"more than {_MOST_UNCLOSED} expressions are not closed")
            position = text.find("${", position + 1)
            continue
        found.append(Match(position, end + 1, text[position + 2 : end]))
        position = text.find("${", end + 1)
    return tuple(found)


def _closing(text: str, start: int) -> int | None:
    """Offset of the brace that closes the expression at ``start``."""
    depth, in_string, index = 1, False, start + 2
    while index < len(text):
        char = text[index]
        if in_string and char == "\\":
            index += 2
            continue
        if char == '"':
            in_string = not in_string
        elif not in_string:
            if char == "$" and text.startswith("{", index + 1) and text[index - 1] != '"':
                raise TemplateError("nested expressions are not allowed unless inside string literals")
            depth += (char == "{") - (char == "}")
            if not depth:
                return index
        index += 1
    return None


def extract(text: str) -> Expression | None:
    """The expression a text compiles to; None for a plain text."""
    matches = scan(text)
    if not matches:
        return None
    first = matches[0]
    if len(matches) == 1 and first.end - first.start == len(text):
        return Expression(first.text, first.text, True, (Piece(0, 0, len(first.text)),))
    parts: list[str] = []
    pieces: list[Piece] = []
    length = position = 0
    for match in matches:
        literal = [quote(text[position : match.start])] if match.start > position else []
        for part in (*literal, f"({match.text})"):
            length += len(part) + (3 if parts else 0)
            parts.append(part)
        pieces.append(Piece(length - len(match.text) - 1, match.start + 2, len(match.text)))
        position = match.end
    if position < len(text):
        parts.append(quote(text[position:]))
    return Expression(text, " + ".join(parts), False, tuple(pieces))


def standalone(text: str) -> Expression:
    """The one expression a text consists of; raises TemplateError when it is anything else."""
    found = extract(text)
    if found is None or not found.standalone:
        raise TemplateError(NOT_STANDALONE)
    return found


# -- placement


def render(template: JsonObject, values: Mapping[FieldPath, JsonValue]) -> JsonObject:
    """A deep copy of ``template`` with a value in place of each leaf of ``values``."""
    rendered: JsonObject = _copied(template, (), values)
    return rendered


def _copied(node: JsonValue, path: FieldPath, values: Mapping[FieldPath, JsonValue]) -> JsonValue:
    if isinstance(node, dict):
        return {name: _copied(value, (*path, name), values) for name, value in node.items()}
    if isinstance(node, list):
        return [_copied(value, (*path, index), values) for index, value in enumerate(node)]
    # a text may be both a leaf with a value and equal to one, so only the path decides
    return _copied(values[path], path, {}) if path in values else node
