"""What people may query in SQL: documented views over the tables, which themselves may change."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kro_es.store.stored import FROM

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class View:
    """``sql`` may use ``@time(x)`` (microseconds to RFC 3339 text), ``@hex(x)`` (bytes to hexadecimal text)
    ``@key(x)`` (a position as a key of the timeline) and ``@each(x)`` (a JSON list as a table ``f`` with the column
    ``value``)."""

    sql: str
    columns: dict[str, str]
    """Column name to what it means."""


_WORDS = FROM.replace(" JOIN ", " LEFT JOIN ")
"""Every event has each of its words: said so, a database leaves out those a query does not ask for."""
EDITOR = (
    "CASE WHEN et.actor_source IN ('audit', 'audit-by-time') THEN et.actor ELSE r.actor END AS actor,"
    " CASE WHEN et.actor_source IN ('audit', 'audit-by-time') THEN et.actor_source ELSE r.actor_source END AS actor_source"
)
"""Who made revision ``r``: the person, where the audit log has named the one behind the edit since."""
EDITED = (
    "LEFT JOIN p_timeline it ON it.key = @key(r.position)"
    " LEFT JOIN p_timeline et ON it.cause > 0 AND et.key = @key(it.cause)"
)
"""The timeline's rows of a revision and of the edit behind it."""

GAPS = (
    "(SELECT kind, selector, since, until, reason, position FROM p_gaps"
    " UNION ALL SELECT kind, selector, since, 0 AS until, reason, position FROM p_lost_watches)"
)
"""Times nobody watched, those that have not ended included: these have no ``until``."""


def _of_the_moved(aggregate: str, column: str) -> str:
    """Of rollouts ``o``: an instance made at the revision, maybe long after, is no part of the move to it."""
    return f"coalesce({aggregate}(CASE WHEN o.born = 0 THEN o.{column} END), {aggregate}(o.{column}))"


STARTED, FINISHED = _of_the_moved("min", "started_at"), _of_the_moved("max", "finished_at")
OVER = f"{_of_the_moved('min', 'finished_at')} > 0"
"""When the rollouts ``o`` of one revision began and ended, microseconds since the epoch, and whether they did end."""

VIEWS: dict[str, View] = {
    "v_events": View(
        sql=(
            "SELECT e.position AS position, @hex(e.event_id) AS event_id, s.name AS stream,"
            " e.stream_version AS stream_version, t.name AS type, e.type_version AS type_version, k.uid AS cluster,"
            " j.api_group AS api_group, j.kind AS kind, j.namespace AS namespace, j.name AS name, j.uid AS uid,"
            " e.resource_version AS resource_version, @time(e.occurred_at) AS occurred_at,"
            " @time(e.recorded_at) AS recorded_at, a.name AS actor, a.source AS actor_source, e.cause AS cause,"
            f" c.text AS correlation, @hex(e.leaf) AS leaf {_WORDS}"
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
            "actor_source": "how it was known then: manager (a program), cli, controller or unknown",
            "cause": "position of the event that led to this one; 0 when none is known",
            "correlation": "rollout or command it belongs to",
            "leaf": "digest of the whole event; the chain of the log is taken over it",
        },
    ),
    "v_revisions": View(
        sql=(
            "SELECT r.definition AS definition, r.number AS revision, CASE WHEN r.state = 'active' AND"  # noqa: S608 our own words
            " d.active <> r.number THEN 'superseded' ELSE r.state END AS state, @time(r.issued_at) AS issued_at,"
            " CASE WHEN r.activated_at > 0 THEN @time(r.activated_at) END AS activated_at,"
            f" {EDITOR}, r.reason AS reason, r.rolled_back_to AS rolled_back_to,"
            " r.spec_hash AS spec_hash, r.generation AS generation, r.faults AS faults, r.spec AS spec,"
            " r.position AS position, r.definition_uid AS definition_uid"
            f" FROM p_revisions r JOIN p_definitions d ON d.key = r.definition_uid {EDITED}"
        ),
        columns={
            "definition": "name of the definition",
            "revision": "number; 0 for an edit that was refused",
            "state": "issued, active, superseded or rejected",
            "issued_at": "when it was issued or refused, UTC",
            "activated_at": "when instances began to follow it, UTC; null when never",
            "actor": "who edited the definition",
            "actor_source": "how that is known: audit (a user), manager (a program), cli, unknown",
            "reason": "why, when a person said so",
            "rolled_back_to": "the revision whose content this one repeats; 0 when it is no rollback",
            "spec_hash": "hash of the spec, equal for equal content",
            "generation": "metadata.generation of the definition",
            "faults": "JSON list of why it was refused",
            "spec": "the spec as JSON",
            "position": "position of the event",
            "definition_uid": "uid of the definition",
        },
    ),
    "v_rollouts": View(
        sql=(
            f"SELECT r.definition AS definition, r.number AS revision, @time({STARTED}) AS started_at,"  # noqa: S608
            f" CASE WHEN {OVER} THEN @time({FINISHED}) END AS finished_at,"
            f" CASE WHEN {OVER} THEN ({FINISHED} - {STARTED}) / 1000000.0 END AS seconds,"
            " count(*) AS instances, sum(CASE WHEN o.state = 'done' THEN 1 ELSE 0 END) AS done,"
            " sum(CASE WHEN o.state = 'failed' THEN 1 ELSE 0 END) AS failed,"
            " sum(CASE WHEN o.state = 'rolling' THEN 1 ELSE 0 END) AS rolling,"
            " max(CASE WHEN et.actor_source IN ('audit', 'audit-by-time') THEN et.actor ELSE r.actor END) AS actor,"
            " max(r.reason) AS reason, r.definition_uid AS definition_uid"
            " FROM p_rollouts o JOIN p_revisions r ON r.definition_uid = o.definition_uid AND r.number = o.number"
            f" {EDITED}"
            " GROUP BY r.definition_uid, r.definition, r.number"
        ),
        columns={
            "definition": "name of the definition",
            "revision": "number of the revision",
            "started_at": "first decision at this revision about an instance that came from an earlier one, UTC",
            "finished_at": "when the last of these settled, UTC; null while one has not. All count where none came from another",
            "seconds": "from start to finish",
            "instances": "instances that began to follow it",
            "done": "of these: settled and ready",
            "failed": "of these: in an error",
            "rolling": "of these: neither yet",
            "actor": "who edited the definition",
            "reason": "why, when a person said so",
            "definition_uid": "uid of the definition",
        },
    ),
    "v_instances": View(
        sql=(
            "SELECT i.namespace AS namespace, i.name AS name, i.kind AS kind, i.api_group AS api_group,"
            " d.definition AS definition, i.revision AS revision, i.state AS state, i.ready AS ready,"
            " @time(i.since) AS since, i.message AS message, i.key AS uid"
            " FROM p_instances i LEFT JOIN p_definitions d ON d.key = i.definition_uid"
        ),
        columns={
            "namespace": "namespace; empty for cluster-scoped kinds",
            "name": "name",
            "kind": "kind",
            "api_group": "API group",
            "definition": "definition it is an instance of",
            "revision": "revision the last decision followed",
            "state": "IN_PROGRESS, ACTIVE, ERROR or DELETING",
            "ready": "1 when it settled as ready",
            "since": "when it reached this state, UTC",
            "message": "why it is not ready",
            "uid": "its uid",
        },
    ),
    "v_instance_nodes": View(
        sql=(
            "SELECT d.definition AS definition, i.namespace AS instance_namespace, i.kind AS instance_kind,"
            " i.name AS instance, n.node AS node, n.kind AS kind, n.namespace AS namespace, n.name AS name,"
            " n.state AS state, n.reason AS reason, @time(n.since) AS since, n.revision AS revision,"
            " n.applied_position AS applied_position, n.uid AS uid, n.instance_uid AS instance_uid"
            " FROM p_nodes n JOIN p_instances i ON i.key = n.instance_uid"
            " LEFT JOIN p_definitions d ON d.key = i.definition_uid"
        ),
        columns={
            "definition": "definition the instance is one of",
            "instance_namespace": "namespace of the instance",
            "instance_kind": "kind of the instance",
            "instance": "name of the instance",
            "node": "node id in the resource graph; of a collection also the item",
            "kind": "kind of the object",
            "namespace": "its namespace",
            "name": "its name; empty while it was never applied",
            "state": "SYNCED, IN_PROGRESS, WAITING_FOR_READINESS, SKIPPED, ERROR …",
            "reason": "what it waits for, or the error",
            "since": "when it reached this state, UTC",
            "revision": "revision it was last decided at",
            "applied_position": "position of the last apply; 0 when there was none",
            "uid": "uid of the object last applied",
            "instance_uid": "uid of the instance",
        },
    ),
    "v_drift": View(
        sql=(
            "SELECT @time(coalesce(e.occurred_at, g.found_at)) AS occurred_at, d.definition AS definition,"
            " g.instance_kind AS instance_kind, g.instance_name AS instance, g.node AS node, g.kind AS kind,"
            " g.namespace AS namespace, g.name AS name, CAST(f.value ->> 'path' AS TEXT) AS path,"
            " CAST(f.value ->> 'from' AS TEXT) AS wanted, CAST(f.value ->> 'to' AS TEXT) AS found, e.actor AS actor,"
            " e.actor_source AS actor_source, CASE WHEN g.healed_at > 0 THEN @time(g.healed_at) END AS healed_at,"
            " CASE WHEN g.healed_at > 0 THEN (g.healed_at - coalesce(e.occurred_at, g.found_at)) / 1000000.0 END"
            " AS seconds, g.ended AS ended, g.revision AS revision, g.position AS position, g.instance_uid AS instance_uid"
            " FROM p_drift g CROSS JOIN @each(g.fields) LEFT JOIN p_timeline e ON e.key = @key(g.cause)"
            " LEFT JOIN p_definitions d ON d.key = g.definition_uid"
        ),
        columns={
            "occurred_at": "when it was seen, UTC",
            "definition": "definition the instance is one of",
            "instance_kind": "kind of the instance",
            "instance": "name of the instance",
            "node": "node id in the resource graph",
            "kind": "kind of the object",
            "namespace": "its namespace",
            "name": "its name",
            "path": "field that was changed",
            "wanted": "what it is meant to be",
            "found": "what it was changed to",
            "actor": "who changed it",
            "actor_source": "how that is known",
            "healed_at": "when it was put back, UTC; null while it is not",
            "seconds": "from the change to that",
            "ended": "healed; accepted: wanted by now; resumed: found again after a suspension; replaced: another change "
            "took its place; empty while it is there",
            "revision": "revision whose content was put back",
            "position": "position of the decision that found it",
            "instance_uid": "uid of the instance",
        },
    ),
    "v_offenders": View(
        sql=(
            "SELECT o.manager AS manager, i.kind AS instance_kind, i.namespace AS namespace, i.name AS instance,"
            " o.node AS node, o.times AS times, o.streak AS streak, @time(o.first_at) AS first_at,"
            " @time(o.last_at) AS last_at, o.instance_uid AS instance_uid"
            " FROM p_offenders o LEFT JOIN p_instances i ON i.key = o.instance_uid"
        ),
        columns={
            "manager": "field manager that changes what is ours; empty when it is not known",
            "instance_kind": "kind of the instance",
            "namespace": "its namespace",
            "instance": "its name",
            "node": "node id in the resource graph; of an item id/namespace/name",
            "times": "how often",
            "streak": "how often in a row; from five on the repairs wait longer and longer",
            "first_at": "when first, UTC",
            "last_at": "when last, UTC",
            "instance_uid": "uid of the instance",
        },
    ),
    "v_timeline": View(
        sql=(
            "SELECT t.position AS position, @time(t.occurred_at) AS occurred_at, t.what AS what, t.kind AS kind,"
            " t.namespace AS namespace, t.name AS name, t.summary AS summary, t.actor AS actor,"
            " t.actor_source AS actor_source, t.cause AS cause, t.correlation AS correlation,"
            " t.instance_uid AS instance_uid, t.definition_uid AS definition_uid FROM p_timeline t"
        ),
        columns={
            "position": "place in the log",
            "occurred_at": "when it happened, UTC",
            "what": "type of the event",
            "kind": "kind of the object concerned",
            "namespace": "its namespace",
            "name": "its name",
            "summary": "what happened, in words",
            "actor": "who; a user where the audit log has named one",
            "actor_source": "how that is known: audit, audit-by-time, manager (a program), cli, controller, unknown",
            "cause": "position of the event that led to this one; 0 when unknown",
            "correlation": "rollout or command it belongs to",
            "instance_uid": "instance it belongs to",
            "definition_uid": "definition it belongs to",
        },
    ),
    "v_gaps": View(
        sql=(
            "SELECT g.kind AS kind, g.selector AS selector, @time(g.since) AS since,"  # noqa: S608
            " CASE WHEN g.until > 0 THEN @time(g.until) END AS until,"
            " CASE WHEN g.until > 0 THEN (g.until - g.since) / 1000000.0 END AS seconds, g.reason AS reason,"
            f" g.position AS position FROM {GAPS} g"
        ),
        columns={
            "kind": "group/Kind nobody watched",
            "selector": "label selector of the watch",
            "since": "from, UTC",
            "until": "to, UTC; null while it lasts",
            "seconds": "how long; null while it lasts",
            "reason": "restart, expired, disconnect …",
            "position": "position of the event",
        },
    ),
}

_MACRO = re.compile(r"@(time|hex|each|key)\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)")
"""What it is put round may itself have parentheses, and these once more."""
_PROJECTED = re.compile(r"\bp_[a-z_]+\b")
_SPELLED = {
    ("sqlite", "time"): r"strftime('%Y-%m-%dT%H:%M:%fZ', \2 / 1000000.0, 'unixepoch')",
    ("sqlite", "hex"): r"lower(hex(\2))",
    ("sqlite", "key"): r"printf('%020d', \2)",
    ("postgresql", "key"): r"lpad(CAST(\2 AS TEXT), 20, '0')",
    ("sqlite", "each"): r"json_each(\2) f",
    (
        "postgresql",
        "time",
    ): r"""to_char(to_timestamp(\2 / 1000000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
    ("postgresql", "hex"): r"encode(\2, 'hex')",
    ("postgresql", "each"): r"jsonb_array_elements(replace(\2, '\\u0000', '\\ufffd')::jsonb) AS f(value)",
}


def create_views(connection: Connection) -> None:
    """Every view as this program documents it; one of an older program is replaced.

    A view needs the tables of its projections: a store opened without them has the view of the events only.
    """
    from sqlalchemy import inspect  # noqa: PLC0415 who only asks the views does without it

    drop_views(connection)
    there = set(inspect(connection).get_table_names())
    for name, view in VIEWS.items():
        if not there.issuperset(_PROJECTED.findall(view.sql)):
            continue
        connection.exec_driver_sql(_made(connection, name))
        if connection.dialect.name == "postgresql":
            # the server keeps what it understood, not what it was told
            connection.exec_driver_sql(f"COMMENT ON VIEW {name} IS '{_mark(connection, name)}'")


def views_fit(connection: Connection) -> bool:
    """Whether every view is there as this program documents it."""
    if connection.dialect.name == "postgresql":
        sql = (
            "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class"
            " WHERE relkind = 'v' AND pg_table_is_visible(oid)"
        )
        wanted = {name: _mark(connection, name) for name in VIEWS}
    else:
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
        wanted = {name: _made(connection, name) for name in VIEWS}
    found = {str(name): text for name, text in connection.exec_driver_sql(sql)}
    return all(found.get(name) == text for name, text in wanted.items())


def _made(connection: Connection, name: str) -> str:
    return f"CREATE VIEW {name} AS {spelled(connection.dialect.name, VIEWS[name].sql)}"


def _mark(connection: Connection, name: str) -> str:
    return f"kro-es {hashlib.sha256(_made(connection, name).encode()).hexdigest()}"


def drop_views(connection: Connection) -> None:
    for name in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")


def spelled(dialect: str, sql: str) -> str:
    """The statement with its macros in the words of one database."""
    return _MACRO.sub(lambda found: found.expand(_SPELLED[dialect, found[1]]), sql)


def columns_markdown() -> str:
    """The views and their columns as the tables of the README."""
    parts = []
    for name, view in VIEWS.items():
        rows = "\n".join(f"| `{column}` | {text} |" for column, text in view.columns.items())
        parts.append(f"### `{name}`\n\n| column | meaning |\n| --- | --- |\n{rows}\n")
    return "\n".join(parts)
