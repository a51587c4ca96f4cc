"""A writer that hangs in the middle of a transaction does not keep the head of the log from its successor."""

from __future__ import annotations

import structlog
from sqlalchemy import Engine, exc

from kro_es.store.batch import Head
from kro_es.store.sql import run

PATIENCE = 5.0
"""Seconds for which a session that has the head may wait for its program: an append's statements follow each other."""
_LOCK_NOT_AVAILABLE = "55P03"
_END_HUNG = (
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Client'"
    " AND state_change < clock_timestamp() - ? * interval '1 second' AND pid IN (SELECT pid FROM pg_locks"
    " WHERE granted AND relation = CAST('log_head' AS regclass) AND mode IN ('RowShareLock', 'RowExclusiveLock')"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)
logger = structlog.get_logger(__name__)


def free_head(engine: Engine) -> None:
    """Returns when nobody has the head of the log; a session that waits for a program that stopped is ended.

    To be called by who may act in its place. The server's own time-outs do not end a session in the middle of COPY
    or of several statements sent at once, however long its program is frozen; one at work is waited for.
    """
    if engine.dialect.name != "postgresql":
        return
    while not _free(engine):
        with engine.connect() as connection, connection.begin():
            for pid, _ in run(connection, _END_HUNG, (PATIENCE,)).all():
                logger.warning("ended the session of a writer that hangs", pid=pid)


def _free(engine: Engine) -> bool:
    with engine.connect() as connection:
        try:
            with connection.begin():
                run(connection, "SELECT set_config('lock_timeout', ?, true)", (f"{int(PATIENCE * 200)}ms",))
                Head.locked(connection)
        except exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                return False
            raise
    return True
