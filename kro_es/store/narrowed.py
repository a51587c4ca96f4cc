"""The log as far as somebody may see it: every table is hidden behind a view of its rows about what is open to them.

The views are temporary and bear the names of the tables, so every question there is asks them without knowing. A table
nobody has decided about is empty.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from kro_es.api import metadata
from kro_es.events.types import LogPruned
from kro_es.store.file_reader import FileConnection, FileEngine
from kro_es.store.views import VIEWS, spelled

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry


class Scope(NamedTuple):
    """Objects of one kind in one namespace (empty: of a cluster-scoped kind, or of the kind as such)."""

    group: str
    kind: str
    namespace: str


SCOPES = "SELECT DISTINCT api_group, kind, namespace FROM subjects WHERE kind <> ''"
"""Everything the log holds something about."""
_WORDS = (
    "alembic_version", "log_head", "heartbeat", "projection_checkpoints", "dictionaries", "clusters", "types", "actors",
    "correlations", "streams", "p_schemas", "pruned",
    "delegated",
)  # fmt: skip
"""Tables that say nothing about an object: they name what other rows refer to."""
_OWN = "EXISTS (SELECT 1 FROM open_scopes o WHERE o.api_group = t.api_group AND o.kind = t.kind AND o.namespace = t.namespace)"
_SUBJECT = "SELECT 1 FROM {0}.subjects j JOIN open_scopes o USING (api_group, kind, namespace) WHERE"
_OF_UID = f"EXISTS ({_SUBJECT} j.cluster_id IN (SELECT id FROM {{0}}.clusters) AND j.uid = t.{{1}})"  # noqa: S608 our own words
_INSTANCE = _OF_UID.format("{0}", "instance_uid")
_DEFINITION = (
    f"EXISTS (SELECT 1 FROM open_scopes o WHERE o.api_group = '{metadata.GROUP}'"  # noqa: S608 likewise
    f" AND o.kind = '{metadata.DEFINITION_KIND}' AND o.namespace = '')"
)
_PRUNING = f"t.type_id IN (SELECT id FROM {{0}}.types WHERE name = '{LogPruned.TYPE}')"  # noqa: S608 likewise
_DRIFTED = (
    # the group is not in the row: a kind of that name which is closed closes it
    "EXISTS (SELECT 1 FROM open_scopes o WHERE o.kind = t.kind AND o.namespace = t.namespace) AND NOT EXISTS"
    " (SELECT 1 FROM {0}.subjects j WHERE j.kind = t.kind AND j.namespace = t.namespace AND NOT EXISTS (SELECT 1 FROM"
    " open_scopes o WHERE o.api_group = j.api_group AND o.kind = j.kind AND o.namespace = j.namespace))"
)
_OF_KIND = "t.kind = '' OR EXISTS (SELECT 1 FROM open_scopes o WHERE ltrim(o.api_group || '/' || o.kind, '/') = ltrim(t.kind, '/'))"
_SEEN = {
    **dict.fromkeys(_WORDS, ""),
    "subjects": _OWN,
    # that something was pruned belongs to every answer that lacks it
    "events": f"EXISTS ({_SUBJECT} j.id = t.subject_id) OR {_PRUNING}",
    "p_timeline": f"{_OWN} OR t.what = '{LogPruned.TYPE}'",
    "p_instances": _OWN,
    "p_holds": _OWN,
    "p_pins": _OWN,
    "p_open_writes": _OWN,
    # a node without an object yet is the instance's own word
    "p_nodes": f"{_INSTANCE} AND (t.kind = '' OR {_OWN})",
    "p_objects": "EXISTS (SELECT 1 FROM open_scopes o WHERE o.api_group || '/' || o.kind = t.kind_key AND"
    " o.namespace = t.namespace)",
    **dict.fromkeys(("p_gaps", "p_lost_watches"), _OF_KIND),
    "p_drift": f"{_INSTANCE} AND {_DRIFTED}",
    # of which kind the object is stands in the row of its node
    "p_offenders": "EXISTS (SELECT 1 FROM p_nodes n WHERE n.instance_uid = t.instance_uid AND n.node = t.node)",
    "p_rollouts": _INSTANCE,
    "p_definitions": _DEFINITION,
    "p_revisions": _DEFINITION,
}  # fmt: skip
"""Table to the condition its rows ``t`` meet when they may be seen; ``{0}`` is the schema of the tables."""


def _statements(dialect: str, schema: str, tables: Iterable[str]) -> list[str]:
    """What hides the tables, and the documented views anew over what is left."""
    found = [
        "CREATE TEMPORARY TABLE open_scopes (api_group TEXT, kind TEXT, namespace TEXT,"
        " PRIMARY KEY (api_group, kind, namespace))"
    ]
    for name in sorted(set(tables)):
        condition = _SEEN.get(name, "1 = 0").format(schema)
        where = f" WHERE {condition}" if condition else ""
        found.append(f"CREATE TEMPORARY VIEW {name} AS SELECT * FROM {schema}.{name} t{where}")  # noqa: S608 our own words
    return [*found, *(f"CREATE TEMPORARY VIEW {name} AS {spelled(dialect, view.sql)}" for name, view in VIEWS.items())]


class NarrowedFile(FileEngine):
    """A SQLite file seen through such views, over one connection for one thread."""

    def __init__(self, path: str, scopes: Iterable[Scope]) -> None:
        super().__init__(path)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA busy_timeout = 10000")
        connection.execute("PRAGMA temp_store = MEMORY")
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        ours = (name for name in tables if not name.startswith("sqlite_"))
        for statement in _statements("sqlite", "main", ours):
            connection.execute(statement)
        connection.executemany("INSERT INTO open_scopes VALUES (?, ?, ?)", scopes)
        connection.execute("PRAGMA query_only = ON")
        self._shared = _Shared(connection, [])

    def connect(self) -> FileConnection:
        return self._shared

    def dispose(self) -> None:
        """Closes the one connection."""
        self._shared.close()


class _Shared(FileConnection):
    """Stays open after a question: what it was set up with is needed for the next."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


def narrowed_server(engine: Engine, scopes: Sequence[Scope]) -> Engine:
    """The same for PostgreSQL: every connection of the engine is set up so, and reads only from then on."""
    from sqlalchemy import event  # noqa: PLC0415 slow to load; who asks a file does without it

    def set_up(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT quote_ident(current_schema())")
        schema = cursor.fetchone()[0]  # type: ignore[index]
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        for statement in _statements("postgresql", schema, [row[0] for row in cursor.fetchall()]):
            cursor.execute(statement)
        cursor.executemany("INSERT INTO open_scopes VALUES (%s, %s, %s)", scopes)
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        cursor.close()
        connection.commit()

    event.listen(engine, "connect", set_up)
    return engine
