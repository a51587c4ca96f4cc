"""The text of one expression: turns an offset into a line, a column and the excerpt that messages show."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from kro_es.cel.ast import Position
from kro_es.cel.errors import CelIssue, CelSyntaxError

_LONG = 1_000
"""Of a longer line the excerpt shows so many characters around the place."""


@dataclass(frozen=True, slots=True)
class Source:
    """An expression's text with the offsets its lines start at."""

    text: str
    starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0, *(offset + 1 for offset, char in enumerate(self.text) if char == "\n")]
        object.__setattr__(self, "starts", tuple(starts))

    def position(self, offset: int) -> Position:
        line = bisect_right(self.starts, offset)
        return Position(line, offset - self.starts[line - 1] + 1)

    def issue(self, position: Position, message: str, hint: str = "") -> CelIssue:
        start = self.starts[position.line - 1]
        end = self.text.find("\n", start)
        line, column = self.text[start : end if end >= 0 else len(self.text)], position.column
        if len(line) > _LONG:
            cut = max(0, column - _LONG // 2)
            line, column = line[cut : cut + _LONG], column - cut
        excerpt = f" | {line}\n | {'.' * (column - 1)}^"
        return CelIssue(message, position.line, position.column, excerpt, hint and f" | {hint}")

    def syntax_error(self, offset: int, message: str) -> CelSyntaxError:
        return CelSyntaxError(self.issue(self.position(offset), message))
