"""The errors of the expression language: each stage has its own, all carry a position or a path."""

from __future__ import annotations

from dataclasses import dataclass

from kro_es.errors import UserError


class CelError(UserError):
    """One expression is wrong or cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class CelIssue:
    """One fault found before evaluation; line and column are 1-based."""

    message: str
    line: int
    column: int
    excerpt: str = ""
    """The source line and a caret below it, as cel-go prints them (spec/02 §9)."""

    def __str__(self) -> str:
        return f"ERROR: <input>:{self.line}:{self.column}: {self.message}" + (
            f"\n{self.excerpt}" if self.excerpt else ""
        )


class CelSyntaxError(CelError):
    """The text is not an expression."""

    def __init__(self, issue: CelIssue) -> None:
        super().__init__(str(issue))
        self.issue = issue


class CelCheckError(CelError):
    """The expression is well-formed but not well-typed: every fault, in source order."""

    def __init__(self, issues: tuple[CelIssue, ...]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = issues


class EvaluationError(CelError):
    """A hard error at run time (spec/02 §13): division by zero, overload, overflow, conversion, cost exceeded."""


class CostExceeded(EvaluationError):
    """The evaluation did more than it may; unlike other errors, ``||`` and ``&&`` never absorb it.

    Line and column are those of the macro or call that could not be paid for.
    """

    def __init__(self, limit: int, line: int, column: int) -> None:
        super().__init__(
            f"operation cancelled: actual cost limit exceeded at {line}:{column}: an evaluation may spend {limit} units"
        )
        self.limit = limit
        self.line = line
        self.column = column


class DataPending(CelError):
    """Observed data is not there yet: missing key or field, index out of bounds, unobserved resource (spec/02 §13)."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path
