"""The text of one expression: turns an offset into a line, a column and the excerpt that messages show."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from kro_es.cel.ast import Position
from kro_es.cel.errors import CelIssue, CelSyntaxError

_MAX_EXCERPT = 1_000


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
        line, before = self.text[start : end if end >= 0 else len(self.text)], position.column - 1
        if len(line) > _MAX_EXCERPT:
            # of a line nobody can read, what stands around the place
            cut = max(0, before - _MAX_EXCERPT // 2)
            line, before = line[cut : cut + _MAX_EXCERPT], before - cut
        excerpt = f" | {line}\n | {'.' * before}^"
        return CelIssue(message, position.line, position.column, excerpt, hint and f" | {hint}")

    def syntax_error(self, offset: int, message: str) -> CelSyntaxError:
        return CelSyntaxError(self.issue(self.position(offset), message))
