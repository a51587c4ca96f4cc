"""What can go wrong in the store beyond the database itself, and who acts next."""

from __future__ import annotations

import sys

from kro_es.errors import KroEsError, Retryable, UserError

_HINTS = {
    "25006": "it is a standby, or set to read only: name the primary",
    "42501": (
        "the role of --database has to own what is there already, and at first needs a schema it may create tables in"
        " (GRANT CREATE ON SCHEMA public TO ROLE, or one of its own that is its search_path)"
    ),
    "3F000": "no schema of the search_path is there: CREATE SCHEMA first",
    "57014": "a statement_timeout of the role or the database is shorter than this takes: 0 for this role lifts it",
}
"""What helps, by the SQLSTATE of PostgreSQL."""
_POOLER = "unsupported startup parameter: options"


class ConcurrencyError(Retryable):
    """A stream moved on since it was read: read again, decide again."""

    def __init__(self, stream: str, expected: int, found: int) -> None:
        super().__init__(f"stream {stream} is at version {found}, decided on version {expected}")
        self.stream = stream
        self.expected = expected
        self.found = found


class SchemaError(UserError):
    """The database has another schema than this program needs; the text says what to run."""


class SealedLog(UserError):
    """The log is a copy of another one; the text says how to make it a log of its own."""


class OtherCluster(UserError):
    """The log was begun for another cluster: whoever acted on it would make that one's objects here."""

    def __init__(self, log: str, cluster: str) -> None:
        super().__init__(
            f"this log is of cluster {log}, and this is cluster {cluster} (the uid of namespace kube-system): nothing was"
            " done; name the log of this cluster with --database, or a new one"
        )


class LogDamaged(KroEsError):
    """A stored event cannot be read back as it was written."""


class MirrorError(Retryable):
    """The rows kept on this machine cannot be written; those of the database, and the log, are safe."""


def in_words(error: BaseException) -> str | None:
    """What a database complains of, in one line without values and with what helps; None for any other error."""
    alchemy = sys.modules.get("sqlalchemy.exc")
    if alchemy is None or not isinstance(error, alchemy.DBAPIError):
        return None
    cause = error.orig
    # a detail of the server may quote a row
    said = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause)
    state = getattr(cause, "sqlstate", None) or ""
    hint = "PgBouncer needs ignore_startup_parameters = options" if _POOLER in said else _HINTS.get(state)
    verb = "refused" if state else "does not answer"
    return f"the database {verb}: {' '.join(said.split())}" + (f"; {hint}" if hint else "")
