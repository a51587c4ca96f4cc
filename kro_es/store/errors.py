"""What can go wrong in the store beyond the database itself, and who acts next."""

from __future__ import annotations

from kro_es.errors import KroEsError, Retryable, UserError


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
