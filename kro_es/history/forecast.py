"""What another revision or another spec would make of the objects that are there: nothing is written to find out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kro_es.api.objects import JsonObject, ObjectRef, Resource, labels, terminating
from kro_es.api.selector import Selector
from kro_es.graph.node import ResourceGraph
from kro_es.history.changes import changes
from kro_es.history.compare import Difference
from kro_es.history.revisions import parsed
from kro_es.history.source import History
from kro_es.projections.projection import Row
from kro_es.runtime.resolve import resolve


@dataclass(frozen=True, slots=True)
class Side:
    """One way the instance may be: its graph and its own object."""

    graph: ResourceGraph
    instance: JsonObject


@dataclass(frozen=True, slots=True)
class Forecast:
    """For one instance. ``unknown``: nodes whose objects cannot be told in advance, with the reason."""

    instance: str
    differences: tuple[Difference, ...]
    unknown: tuple[str, ...] = ()
    already: tuple[str, ...] = ()
    """Of the side it comes from: what cannot be told there either is nothing new."""

    @property
    def new(self) -> tuple[str, ...]:
        """What cannot be told, and could be before."""
        return tuple(text for text in self.unknown if text not in self.already)

    def count(self, change: str) -> int:
        return sum(1 for one in self.differences if one.change == change)


class Recorded:
    """The cluster as the log saw it last; what an instance's expressions may ask of it."""

    def __init__(self, history: History, instance_uid: str) -> None:
        self._history = history
        rows = history.rows("SELECT * FROM p_objects WHERE instance_uid = ? ORDER BY key", (instance_uid,))
        self.children = {ObjectRef.from_key(str(row["key"])): _object(row) for row in rows if row["node"]}
        self.nodes = {ObjectRef.from_key(str(row["key"])): str(row["node"]) for row in rows}

    def members(self, node_id: str) -> Sequence[JsonObject]:
        return [obj for ref, obj in self.children.items() if self.nodes[ref] == node_id]

    def external(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        key = ObjectRef(resource.gvk.group, resource.gvk.kind, namespace, name).key
        rows = self._history.rows("SELECT object FROM p_objects WHERE key = ?", (key,))
        return _object(rows[0]) if rows else None

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[JsonObject]:
        sql = "SELECT object FROM p_objects WHERE kind_key = ? AND (namespace = ? OR ? = '') ORDER BY key"
        kind = f"{resource.gvk.group}/{resource.gvk.kind}"
        found = [_object(row) for row in self._history.rows(sql, (kind, namespace, namespace))]
        return [obj for obj in found if selector.matches(labels(obj))]


def _object(row: Row) -> JsonObject:
    found: JsonObject = parsed(row["object"])
    return found


def forecast(recorded: Recorded, before: Side | None, after: Side) -> Forecast:
    """Object by object from one side to the other; both are rendered against the same recorded objects.

    Without a side it comes from, what is wanted is compared with the recorded objects themselves.
    """
    old, already = _rendered(recorded, before) if before else ({}, ())
    new, unknown = _rendered(recorded, after)
    doubtful = {name.split(":")[0] for name in unknown}
    found = [_told(ref, obj, old.get(ref), recorded.children.get(ref)) for ref, obj in new.items()]
    found += [
        Difference(_name(ref), "deleted", ())
        for ref, obj in recorded.children.items()
        if ref not in new and recorded.nodes[ref] not in doubtful and not terminating(obj)
    ]
    meta = after.instance["metadata"]
    name = f"{after.instance['kind'].lower()} {meta.get('namespace', '')}/{meta['name']}"
    return Forecast(name, tuple(one for one in found if one is not None), unknown, already)


def _rendered(recorded: Recorded, side: Side) -> tuple[dict[ObjectRef, JsonObject], tuple[str, ...]]:
    """Objects there should be, and nodes that cannot be rendered from what is known, as ``node: why``."""
    found: dict[ObjectRef, JsonObject] = {}
    unknown = []
    for result in resolve(side.graph, side.instance, recorded):
        if result.node.external:
            continue
        if result.desired is None and result.state != "SKIPPED":
            unknown.append(f"{result.node.id}: {result.error or result.pending or 'not known yet'}")
        for obj in result.desired or ():
            found[ObjectRef.of(obj)] = obj
    return found, tuple(unknown)


def _told(ref: ObjectRef, obj: JsonObject, old: JsonObject | None, live: JsonObject | None) -> Difference | None:
    if live is None:
        return Difference(_name(ref), "created", ())
    # without the other side there is only the live object to compare with, and it has more fields than are ours
    fields = tuple(changes(old, obj)) if old is not None else tuple(_wanted_only(live, obj))
    return Difference(_name(ref), "changed", fields) if fields else None


def _wanted_only(live: JsonObject, wanted: JsonObject) -> Iterable[JsonObject]:
    return (change for change in changes(live, wanted) if change["change"] != "removed")


def _name(ref: ObjectRef) -> str:
    where = f"{ref.namespace}/" if ref.namespace else ""
    return f"{ref.kind.lower()} {where}{ref.name}"
