"""What every node of one instance should be at this moment, given what is observed (spec/03 §4, §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kro_es.api.objects import JsonObject, JsonValue, ObjectRef, Resource
from kro_es.api.selector import Selector, SelectorError
from kro_es.graph.node import Node, ResourceGraph
from kro_es.runtime.expand import Fatal, Pending, rendered
from kro_es.runtime.readiness import Readiness, collection_ready, inclusion, node_ready, selection_ready

MAX_COLLECTION = 1000
"""Items of one collection, unless the settings say otherwise (kro's default)."""


class Observed(Protocol):
    """The cluster as it was last seen."""

    def members(self, node_id: str) -> Sequence[JsonObject]:
        """Live objects that carry the label of the node, under whatever name."""
        ...

    def external(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        """Somebody else's object; None when it is not there."""
        ...

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[JsonObject]:
        """Somebody else's objects by label, in the API server's order; an empty namespace stands for all."""
        ...


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One node now. ``desired``, ``pending`` and ``error`` say what to do, unless it is ignored."""

    node: Node
    state: str
    """Spec/03 §4.8."""
    desired: tuple[JsonObject, ...] | None = None
    """The objects there should be, in order: empty where nothing is written, None while it is not known."""
    observed: tuple[JsonObject | None, ...] = ()
    """The live object of each desired one; of a read-only node what was found."""
    pending: str = ""
    """Why it cannot be rendered yet."""
    waiting: str = ""
    """Why what exists is not ready yet."""
    error: str = ""
    fatal: bool = False
    """An expression that can never work: the pass stops (spec/03 §3.1)."""

    @property
    def known(self) -> bool:
        """Whether expressions may refer to the node: a list always, an object once it is there."""
        return self.desired is not None and (self.node.many or any(item is not None for item in self.observed))

    @property
    def value(self) -> JsonValue:
        """What expressions see under the node's id."""
        found = [item for item in self.observed if item is not None]
        return found if self.node.many else found[0]


@dataclass(slots=True)
class _Moment:
    """What is known while the nodes are gone through in topological order."""

    namespace: str
    observed: Observed
    limit: int
    bindings: dict[str, JsonValue]
    ignored: set[str]
    unready: dict[str, str]
    broken: set[str]
    """Of the unready: those whose readyWhen can never work."""


def resolve(
    graph: ResourceGraph, instance: JsonObject, observed: Observed, *, limit: int = MAX_COLLECTION
) -> tuple[NodeResult, ...]:
    """Results in topological order. ``limit``: items a collection may have."""
    namespace = instance["metadata"].get("namespace", "") if graph.instance.namespaced else ""
    moment = _Moment(namespace, observed, limit, {"schema": without_status(instance)}, set(), {}, set())
    results = []
    for node in graph.nodes:
        result = _resolved(node, moment)
        if result.known:
            moment.bindings[node.id] = result.value
        results.append(result)
    return tuple(results)


def without_status(instance: JsonObject) -> JsonObject:
    """The instance as expressions see it."""
    return {name: value for name, value in instance.items() if name != "status"}


def _resolved(node: Node, moment: _Moment) -> NodeResult:
    if moment.ignored.intersection(node.dependencies):
        return _ignore(node, moment)
    if node.include_when:
        found = inclusion(node, moment.bindings, moment.unready)
        if found.error:
            return _unready(NodeResult(node, "ERROR", error=f'node "{node.id}": {found.error}', fatal=True), moment)
        if found.pending:
            return _unready(NodeResult(node, "IN_PROGRESS", pending=found.pending), moment)
        if not found.included:
            return _ignore(node, moment)
    held = _held(node, moment)
    if held is not None:
        return _unready(held, moment)
    try:
        desired = rendered(node, moment.bindings, moment.namespace, limit=moment.limit)
        return _selection(node, desired[0], moment) if node.selecting else _looked_up(node, desired, moment)
    except Pending as pending:
        return _unready(NodeResult(node, "IN_PROGRESS", pending=str(pending)), moment)
    except Fatal as error:
        return _unready(NodeResult(node, "ERROR", error=str(error), fatal=True), moment)


def _held(node: Node, moment: _Moment) -> NodeResult | None:
    """The node while one it depends on is not ready; None when nothing holds it."""
    for name in node.dependencies:
        if name in moment.broken:
            text = f'node "{node.id}": failed to check readiness of dependent node "{name}": {moment.unready[name]}'
            return NodeResult(node, "ERROR", error=text, fatal=True)
        if name in moment.unready:
            text = f'node "{node.id}": dependent node "{name}" not ready: {moment.unready[name]} (data pending)'
            return NodeResult(node, "IN_PROGRESS", pending=text)
    return None


def _ignore(node: Node, moment: _Moment) -> NodeResult:
    moment.ignored.add(node.id)
    return NodeResult(node, "SKIPPED")


def _unready(result: NodeResult, moment: _Moment) -> NodeResult:
    moment.unready[result.node.id] = result.pending or result.error
    return result


def _looked_up(node: Node, desired: tuple[JsonObject, ...], moment: _Moment) -> NodeResult:
    """An object is the node's when it has the node's label and the name that is wanted now."""
    if node.external:
        meta = desired[0]["metadata"]
        live = moment.observed.external(node.resource, meta.get("namespace", ""), meta["name"])
        return _judged(NodeResult(node, "", (), (live,)), node_ready(node, live), moment)
    members = {ObjectRef.of(obj): obj for obj in moment.observed.members(node.id)}
    observed = tuple(members.get(ObjectRef.of(item)) for item in desired)
    if node.for_each:
        there = [item for item in observed if item is not None]
        readiness = collection_ready(node, len(desired), there)
    else:
        readiness = node_ready(node, observed[0])
    return _judged(NodeResult(node, "", desired, observed), readiness, moment)


def _selection(node: Node, reference: JsonObject, moment: _Moment) -> NodeResult:
    meta = reference["metadata"]
    try:
        selector = Selector.parse(meta["selector"])
    except SelectorError as error:
        raise Fatal(f"invalid label selector for {node.id}: {error}") from None
    found = tuple(moment.observed.selected(node.resource, meta.get("namespace") or "", selector))
    return _judged(NodeResult(node, "", (), found), selection_ready(node, found), moment)


def _judged(result: NodeResult, readiness: Readiness, moment: _Moment) -> NodeResult:
    node, desired, observed = result.node, result.desired, result.observed
    if readiness.ready:
        return NodeResult(node, "SYNCED", desired, observed)
    moment.unready[node.id] = readiness.reason
    if readiness.fatal:
        moment.broken.add(node.id)
        return NodeResult(node, "ERROR", desired, observed, error=readiness.reason)
    there = None not in observed
    if node.external:
        what = "collection" if node.selecting else "reference"
        why = readiness.reason if there else "not found"
        return NodeResult(
            node, "WAITING_FOR_READINESS", desired, observed, waiting=f'waiting for external {what} "{node.id}": {why}'
        )
    if not there:
        return NodeResult(node, "IN_PROGRESS", desired, observed)
    text = f'waiting for node "{node.id}": {readiness.reason}'
    return NodeResult(node, "WAITING_FOR_READINESS", desired, observed, waiting=text)


def bindings(instance: JsonObject, results: Sequence[NodeResult]) -> Mapping[str, JsonValue]:
    """What status expressions see: ``schema`` and every node there is something to say about."""
    found: dict[str, JsonValue] = {result.node.id: result.value for result in results if result.known}
    return {"schema": without_status(instance), **found}
