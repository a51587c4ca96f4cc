"""The errors of the expression language: each stage has its own, all carry a position or a path."""

from __future__ import annotations

from dataclasses import dataclass

from kro_es.errors import UserError


class CelError(UserError):
    """One expression is wrong or cannot be evaluated."""


MAX_ISSUES = 100
"""Faults of one expression that are told; hardly anybody reads more."""


@dataclass(frozen=True, slots=True)
class CelIssue:
    """One fault found before evaluation; line and column are 1-based."""

    message: str
    line: int
    column: int
    excerpt: str = ""
    """The source line and a caret below it, as cel-go prints them (spec/02 §9)."""
    hint: str = ""
    """What may have been meant."""

    def __str__(self) -> str:
        lines = (f"ERROR: <input>:{self.line}:{self.column}: {self.message}", self.excerpt, self.hint)
        return "\n".join(line for line in lines if line)


class CelSyntaxError(CelError):
    """The text is not an expression: the faults that do not follow from each other, in source order."""

    def __init__(self, *issues: CelIssue) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = issues

    @property
    def issue(self) -> CelIssue:
        return self.issues[0]


class CelCheckError(CelError):
    """The expression is well-formed but not well-typed: every fault, in source order."""

    def __init__(self, issues: tuple[CelIssue, ...]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = issues


class EvaluationError(CelError):
    """A hard error at run time (spec/02 §13): division by zero, overload, overflow, conversion, cost exceeded."""


class Overflow(EvaluationError):
    """A number, a time or a length of time does not fit its type."""


class DivisionByZero(EvaluationError):
    """``/`` or ``%`` by the integer zero."""


class NoSuchOverload(EvaluationError):
    """A function got values none of its overloads takes; only dyn lets that happen at run time."""


class ConversionError(EvaluationError):
    """A text or number does not convert to the type asked for."""


class BadRegex(EvaluationError):
    """A pattern is not in RE2's language."""


class BadQuantity(EvaluationError):
    """A text is no Kubernetes quantity, or the quantity is no integer where one is needed."""


class KeyNotString(EvaluationError):
    """A map is to become JSON and has keys that are no strings."""


class NoJson(EvaluationError):
    """What was computed has no place in an object, as bytes have none."""


class KeyNotJson(KeyNotString, NoJson):
    """A computed map has a key that no object can have."""


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


def verb(error: CelError) -> str:
    """What failed, in kro's words before the text of the expression: it was computed and does not fit, or it was not."""
    return "convert" if isinstance(error, NoJson) else "eval"
