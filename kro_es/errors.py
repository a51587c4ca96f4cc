"""The whole error tree of kro-es: what went wrong decides who acts next.

KroEsError
├── UserError              the input is wrong; only its author can mend it
│   ├── DefinitionErrors   every fault of one definition, in document order
│   └── CelError           one expression (subclasses in ``kro_es.cel.errors``)
├── Interrupted            a person stopped it in the middle; the text says what was done by then
├── CompilerFailed         a bug of ours on one definition; an edit or a new version may avoid it
├── Retryable              the same call may succeed later
└── ApiError               the API server refused; ``retryable`` says whether waiting helps
"""

from __future__ import annotations

from dataclasses import dataclass


class KroEsError(Exception):
    """Base of every error this package raises on purpose."""


class UserError(KroEsError):
    """The input is wrong; retrying without an edit cannot help."""


class Interrupted(KroEsError):
    """A person stopped it in the middle; the text says what was done by then."""


class Retryable(KroEsError):
    """The same call may succeed later without anybody's edit."""


@dataclass(frozen=True, slots=True)
class DefinitionFault:
    """One fault of a definition and the place it is at."""

    message: str
    """The full text as kro words it (spec/04 §3)."""
    resource: str | None = None
    path: str | None = None
    expression: str | None = None
    column: int | None = None
    """1-based column inside ``expression``."""

    def __str__(self) -> str:
        return self.message


class DefinitionErrors(UserError):
    """All faults of one definition, in document order."""

    def __init__(self, faults: tuple[DefinitionFault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class CompilerFailed(KroEsError):
    """The compiler crashed or did not end; the text has the traceback."""


class KindNotFound(UserError):
    """A kind or group-version the API server does not serve (yet)."""

    def __init__(self, api_version: str, kind: str, *, group_known: bool) -> None:
        what = f'group version kind "{api_version}, Kind={kind}"' if group_known else f'group version "{api_version}"'
        super().__init__(f"cannot resolve {what}: schema not found")
        self.api_version = api_version
        self.kind = kind


class ApiError(KroEsError):
    """An answer of the API server that is not a success."""

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 when no answer came."""
        self.reason = reason
        """``reason`` of the Kubernetes Status object, e.g. ``AlreadyExists``."""
        self.message = message
        self.retry_after = retry_after
        """Seconds, from ``Retry-After``."""

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        return self.status == 409

    @property
    def outcome_unknown(self) -> bool:
        """The request may have been carried out although no answer came."""
        return self.status == 0 or self.status >= 500

    @property
    def passing(self) -> bool:
        """Nobody answered, or not now: the same question gets an answer later."""
        return self.outcome_unknown or self.status == 429


class FenceLost(KroEsError):
    """Another controller owns the log: this one must stop acting at once."""
