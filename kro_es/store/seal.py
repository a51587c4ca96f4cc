"""A restored or imported log is a copy: nobody acts on it before somebody says that it is the one."""

from __future__ import annotations

from sqlalchemy import Connection

from kro_es.store.errors import SealedLog
from kro_es.store.sql import run


def seal(connection: Connection, reason: str, now: int) -> None:
    run(connection, "DELETE FROM seals")
    run(connection, "INSERT INTO seals (id, reason, at) VALUES (1, ?, ?)", (reason, now))


def sealed(connection: Connection) -> str | None:
    """Why the log must not be acted upon; None when it may."""
    found: str | None = run(connection, "SELECT reason FROM seals").scalar()
    return found


def unseal(connection: Connection) -> None:
    run(connection, "DELETE FROM seals")


def refuse_sealed(connection: Connection) -> None:
    reason = sealed(connection)
    if reason is not None:
        raise SealedLog(
            f"this log is a copy ({reason}) and may be behind the cluster: see to it that no controller runs on the"
            " original, then run `kro-es db adopt`"
        )
