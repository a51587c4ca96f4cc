"""Where in the log something is: the positions of all events about it, newest first, and no more of them than are taken."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from kro_es.api.objects import ObjectRef
from kro_es.history import tail
from kro_es.history.source import History
from kro_es.history.targets import Target
from kro_es.projections.timeline import DEFINITION
from kro_es.store.sql import marks
from kro_es.store.views import GAPS

_AT_ONCE = 400
_LAST = 2**62


def concerning(history: History, target: Target, since: int = 0) -> Iterator[int]:
    """After a position; of an instance its children too, of a definition its instances' passes. Each of them once.

    Times nobody watched a kind concerned are among them.
    """
    late = tail.timeline_rows(history)  # before the others: what is folded in between is in both
    refs = {target.ref}
    if target.is_definition:
        wanted: dict[str, object] = {"definition_uid": target.uid}
    else:
        owner = target.uid if target.is_instance else instance_of(history, target)
        wanted = {"instance_uid": owner} if owner else {}
        if target.is_instance:
            refs.update(children(history, owner))
        elif owner:
            ref = target.ref
            wanted |= {"api_group": ref.group, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
    sources = [_of_stream(history, f"object/{ref.key}") for ref in sorted(refs)]
    if wanted:
        told = [int(str(row["position"])) for row in late if all(row[name] == wanted[name] for name in wanted)]
        sources += [iter(sorted(told, reverse=True)), _of_timeline(history, wanted)]
    sources.append(_gaps(history, refs, _first(history, refs, wanted)))
    before = 0
    for position in heapq.merge(*sources, reverse=True):
        if position <= since:
            return
        if position != before:
            yield position
        before = position


def _of_timeline(history: History, wanted: dict[str, object]) -> Iterator[int]:
    sql = f"SELECT position FROM p_timeline WHERE {_equal(wanted)} AND position < ? ORDER BY position DESC LIMIT ?"  # noqa: S608 our own names
    before = _LAST
    while rows := history.rows(sql, (*wanted.values(), before, _AT_ONCE)):
        yield from (int(str(row["position"])) for row in rows)
        before = int(str(rows[-1]["position"]))


def _of_stream(history: History, stream: str) -> Iterator[int]:
    sql = (
        "SELECT e.position, e.stream_version AS version FROM events e JOIN streams s ON s.id = e.stream_id"
        " WHERE s.name = ? AND e.stream_version < ? ORDER BY e.stream_version DESC LIMIT ?"
    )
    before = _LAST
    while rows := history.rows(sql, (stream, before, _AT_ONCE)):
        yield from (int(str(row["position"])) for row in rows)
        before = int(str(rows[-1]["version"]))


def _gaps(history: History, refs: set[ObjectRef], first: int) -> Iterator[int]:
    kinds = sorted({f"{ref.group}/{ref.kind}" for ref in refs})
    sql = f"SELECT position FROM {GAPS} g WHERE kind IN ({marks(len(kinds))}) AND position > ? ORDER BY position DESC"  # noqa: S608 only marks
    return (int(str(row["position"])) for row in history.rows(sql, (*kinds, first)))


def _first(history: History, refs: set[ObjectRef], wanted: dict[str, object]) -> int:
    """Position of the first event about any of it; beyond the log when there is none."""
    streams = stream_firsts(history, [f"object/{ref.key}" for ref in refs])
    if wanted:
        sql = f"SELECT min(position) AS p FROM p_timeline WHERE {_equal(wanted)}"  # noqa: S608 our own names
        streams += [int(str(row["p"])) for row in history.rows(sql, tuple(wanted.values())) if row["p"]]
    return min(streams, default=_LAST)


def stream_firsts(history: History, streams: Sequence[str]) -> list[int]:
    """Position of the first event of each stream that has one."""
    sql = (
        "SELECT e.position AS p FROM events e JOIN streams s ON s.id = e.stream_id WHERE s.name = ?"
        " ORDER BY e.stream_version LIMIT 1"
    )
    return [int(str(row["p"])) for stream in streams for row in history.rows(sql, (stream,))]


def stream_last(history: History, stream: str) -> int:
    """Position of the last event of a stream that has one."""
    return next(_of_stream(history, stream))


def _equal(wanted: dict[str, object]) -> str:
    rare = [DEFINITION.rare] if DEFINITION.name in wanted else []
    return " AND ".join((*(f"{name} = ?" for name in wanted), *rare))


def instance_of(history: History, target: Target) -> str:
    """uid of the instance a child belongs (or belonged) to; empty when it is nobody's."""
    sql = (
        "SELECT e.position FROM events e JOIN streams s ON s.id = e.stream_id WHERE s.name = ?"
        " ORDER BY e.stream_version LIMIT ?"
    )
    found = [f"{int(str(row['position'])):020d}" for row in history.rows(sql, (target.stream, _AT_ONCE))]
    if not found:
        return ""
    sql = f"SELECT instance_uid FROM p_timeline WHERE key IN ({marks(len(found))}) AND instance_uid <> '' LIMIT 1"  # noqa: S608 only marks
    rows = history.rows(sql, found)
    return str(rows[0]["instance_uid"]) if rows else ""


def children(history: History, instance_uid: str) -> list[ObjectRef]:
    """Every object that ever belonged to the instance, those that are gone too."""
    sql = (
        "SELECT DISTINCT api_group, kind, namespace, name FROM p_timeline WHERE instance_uid = ? AND uid <> ?"
        " AND uid <> '' ORDER BY api_group, kind, namespace, name"
    )
    return [ObjectRef(*map(str, row.values())) for row in history.rows(sql, (instance_uid, instance_uid))]
