"""Questions to the log and its projections, answered as plain rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import Engine

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.projections.instances import Nodes
from kro_es.projections.projection import Row
from kro_es.store.log_reader import LogReader
from kro_es.store.sql import run

Table: TypeAlias = list[dict[str, object]]


def named(found: Iterable[str], wanted: str, what: str) -> str:
    """``wanted`` when it is one of ``found``; raises UserError with the nearest names otherwise."""
    names = sorted(set(found))
    if wanted in names:
        return wanted
    near = difflib.get_close_matches(wanted, names, 3)
    raise UserError(f"no {what} {wanted!r} in this log" + (f"; did you mean {', '.join(near)}?" if near else ""))


def table(engine: Engine, sql: str, values: Sequence[object] = ()) -> Table:
    with engine.connect() as connection:
        found = run(connection, sql, tuple(values))
        return [dict(row) for row in found.mappings()]


def revisions(engine: Engine, definition: str) -> Table:
    _known_definition(engine, definition)
    sql = (
        "SELECT revision, state, issued_at, actor, actor_source, reason, rolled_back_to, spec_hash, position"
        " FROM v_revisions WHERE definition = ? ORDER BY position"
    )
    return table(engine, sql, (definition,))


def _known_definition(engine: Engine, definition: str) -> None:
    named(
        (str(row["definition"]) for row in table(engine, "SELECT definition FROM p_definitions")),
        definition,
        "definition",
    )


@dataclass(frozen=True, slots=True)
class RevisionName:
    """``RGD@N``."""

    definition: str
    number: int

    @classmethod
    def parse(cls, text: str) -> RevisionName:
        name, _, number = text.rpartition("@")
        if not name or not number.isdigit():
            raise UserError(f"{text!r} is no revision: write it as NAME@NUMBER, e.g. webapp@2")
        return cls(name, int(number))


def revision(engine: Engine, name: RevisionName) -> Row:
    """The newest definition of that name wins when it was deleted and made again."""
    _known_definition(engine, name.definition)
    sql = "SELECT * FROM p_revisions WHERE definition = ? AND number = ? ORDER BY position DESC"
    found = table(engine, sql, (name.definition, name.number))
    if not found:
        numbers = [str(row["revision"]) for row in revisions(engine, name.definition) if row["revision"]]
        raise UserError(f"{name.definition} has no revision {name.number}; there are {', '.join(numbers)}")
    return found[0]


def changes(old: JsonValue, new: JsonValue, path: str = "") -> Iterator[JsonObject]:
    """Field by field: ``{path, change, old, new}``. Items of a list that carry an id or a name are matched by it."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _member(old, new, name, f"{path}.{name}" if path else str(name))
    elif isinstance(old, list) and isinstance(new, list):
        left, right = _keyed(old), _keyed(new)
        for name in [*left, *(name for name in right if name not in left)]:
            yield from _member(left, right, name, f"{path}[{name}]")
    elif old != new or type(old) is not type(new):
        yield {"path": path, "change": "changed", "old": old, "new": new}


def _member(old: JsonObject, new: JsonObject, name: str, path: str) -> Iterator[JsonObject]:
    if name not in new:
        yield {"path": path, "change": "removed", "old": old[name], "new": None}
    elif name not in old:
        yield {"path": path, "change": "added", "old": None, "new": new[name]}
    else:
        yield from changes(old[name], new[name], path)


def _keyed(items: list[JsonValue]) -> JsonObject:
    for key in ("id", "name"):
        names = [item.get(key) if isinstance(item, dict) else None for item in items]
        if None not in names and len(set(names)) == len(names):
            return {str(name): item for name, item in zip(names, items, strict=True)}
    return {str(index): item for index, item in enumerate(items)}


@dataclass(frozen=True, slots=True)
class Target:
    """``KIND/NAME`` and a namespace; the kind in any case."""

    kind: str
    name: str
    namespace: str | None

    @classmethod
    def parse(cls, text: str, namespace: str | None) -> Target:
        kind, _, name = text.partition("/")
        if not kind or not name:
            raise UserError(f"{text!r} is no object: write it as KIND/NAME, e.g. webapp/shop")
        return cls(kind, name, namespace)


def instance_uid(engine: Engine, target: Target) -> str:
    """uid of the one instance meant. Raises UserError with what there is, when none or several fit."""
    sql = "SELECT DISTINCT instance_uid, kind, namespace, name FROM p_timeline WHERE what = 'reconcile.decided'"
    rows = [row for row in table(engine, sql) if row["instance_uid"]]
    fitting = [row for row in rows if str(row["kind"]).lower() == target.kind.lower()]
    known = [f"{str(row['kind']).lower()}/{row['name']}" for row in rows]
    named(known, f"{target.kind.lower()}/{target.name}", "instance")
    found = [row for row in fitting if row["name"] == target.name and target.namespace in (None, row["namespace"])]
    places = sorted({str(row["namespace"]) for row in found})
    if not found:
        raise UserError(f"{target.kind}/{target.name} is not in namespace {target.namespace}")
    if len(places) > 1:
        raise UserError(f"{target.kind}/{target.name} is in several namespaces: {', '.join(places)}; say which with -n")
    return str(found[-1]["instance_uid"])


def instance(engine: Engine, target: Target) -> Table:
    """What was seen, decided and applied, by whom, caused by what; gaps in the watching stand in their place."""
    uid = instance_uid(engine, target)
    sql = (
        "SELECT t.position, t.occurred_at, t.kind, t.name, t.summary, t.actor, t.actor_source, t.cause, c.summary AS"
        " cause_summary, c.kind AS cause_kind, c.name AS cause_name, t.correlation FROM v_timeline t"
        " LEFT JOIN p_timeline c ON c.position = t.cause"
        " WHERE t.instance_uid = ? OR t.what = 'watch.gap' ORDER BY t.position"
    )
    rows = table(engine, sql, (uid,))
    mine = [index for index, row in enumerate(rows) if row["summary"] and not str(row["summary"]).startswith("gap:")]
    return rows[mine[0] :] if mine else []


def graph(engine: Engine, target: Target, at: str | None) -> Table:
    """The nodes of the instance as now, or as they were at a position or time."""
    uid = instance_uid(engine, target)
    if at is None:
        rows = table(engine, "SELECT * FROM p_nodes WHERE instance_uid = ? ORDER BY node", (uid,))
    else:
        rows = _nodes_at(engine, uid, _position(engine, at))
    return [
        {
            "node": row["node"],
            "object": f"{row['kind']}/{row['name']}" if row["kind"] else "",
            "state": row["state"],
            "reason": row["reason"],
            "since": _time(row["since"]),
            "revision": row["revision"],
        }
        for row in rows
    ]


def _nodes_at(engine: Engine, uid: str, position: int) -> Table:
    """The projection itself, folded up to the position: one meaning of "node", now and then."""
    fold = Nodes()
    rows: dict[str, Row] = {}
    for event in LogReader(engine).read_stream(f"instance/{uid}"):
        if event.position > position:
            break
        for key in fold.keys(event):
            after = fold.fold(key, rows.get(key), event)
            rows.pop(key, None)
            if after is not None:
                rows[key] = after
    return [rows[key] for key in sorted(rows)]


def _position(engine: Engine, at: str) -> int:
    reader = LogReader(engine)
    if at.isdigit():
        if int(at) > reader.head():
            raise UserError(f"position {at} is in the future: the log ends at {reader.head()}")
        return int(at)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise UserError(f"{at!r} is neither a position nor a time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return reader.position_at(int(moment.timestamp() * 1_000_000))


def _time(micros: object) -> str:
    assert isinstance(micros, int)
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
