"""What people may query in SQL: documented views over the tables, which themselves may change."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Connection

from kro_es.store.stored import FROM


@dataclass(frozen=True, slots=True)
class View:
    """``sql`` may use ``@time(x)`` (microseconds to RFC 3339 text) and ``@hex(x)`` (bytes to hexadecimal text)."""

    sql: str
    columns: dict[str, str]
    """Column name to what it means."""


VIEWS: dict[str, View] = {
    "v_events": View(
        sql=(
            "SELECT e.position AS position, @hex(e.event_id) AS event_id, s.name AS stream,"
            " e.stream_version AS stream_version, t.name AS type, e.type_version AS type_version, k.uid AS cluster,"
            " j.api_group AS api_group, j.kind AS kind, j.namespace AS namespace, j.name AS name, j.uid AS uid,"
            " e.resource_version AS resource_version, @time(e.occurred_at) AS occurred_at,"
            " @time(e.recorded_at) AS recorded_at, a.name AS actor, a.source AS actor_source, e.cause AS cause,"
            f" c.text AS correlation, @hex(e.leaf) AS leaf {FROM}"
        ),
        columns={
            "position": "place in the log; grows by one with every event",
            "event_id": "identity of the fact",
            "stream": "what the event belongs to: object/…, definition/…, instance/…",
            "stream_version": "place in the stream; grows by one",
            "type": "what happened: object.observed, revision.issued, resource.applied …",
            "type_version": "version of the type's fields",
            "cluster": "uid of the cluster's kube-system namespace",
            "api_group": "API group of the object concerned",
            "kind": "its kind",
            "namespace": "its namespace; empty for cluster-scoped kinds",
            "name": "its name",
            "uid": "its uid",
            "resource_version": "its resourceVersion as a number; 0 when the event has none",
            "occurred_at": "when it happened, UTC, by the clock of where it happened",
            "recorded_at": "when it was written to the log, UTC; never goes back",
            "actor": "who: a field manager, a person, a program",
            "actor_source": "how that is known: manager, audit, cli, controller or unknown",
            "cause": "position of the event that led to this one; 0 when none is known",
            "correlation": "rollout or command it belongs to",
            "leaf": "digest of the whole event; the chain of the log is taken over it",
        },
    ),
}

_MACRO = re.compile(r"@(time|hex)\(([^()]*)\)")
_SPELLED = {
    ("sqlite", "time"): r"strftime('%Y-%m-%dT%H:%M:%fZ', \2 / 1000000.0, 'unixepoch')",
    ("sqlite", "hex"): r"lower(hex(\2))",
    (
        "postgresql",
        "time",
    ): r"""to_char(to_timestamp(\2 / 1000000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
    ("postgresql", "hex"): r"encode(\2, 'hex')",
}


def create_views(connection: Connection) -> None:
    """Every view as this program documents it; one of an older program is replaced."""
    drop_views(connection)
    for name, view in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {spelled(connection.dialect.name, view.sql)}")


def drop_views(connection: Connection) -> None:
    for name in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")


def spelled(dialect: str, sql: str) -> str:
    """The statement with its macros in the words of one database."""
    return _MACRO.sub(lambda found: found.expand(_SPELLED[dialect, found[1]]), sql)
