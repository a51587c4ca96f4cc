"""What every node of one instance should be at this moment, given what is observed (spec/03 §4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cel.errors import CelError, DataPending
from kro_es.graph.node import Node, ResourceGraph
from kro_es.graph.template import render
from kro_es.runtime.readiness import Readiness, inclusion, node_ready


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One node now. Exactly one of ``desired``, ``pending``, ``error`` says what to do, unless it is ignored."""

    node: Node
    state: str
    """Spec/03 §4.8."""
    desired: JsonObject | None = None
    pending: str = ""
    """Why it cannot be rendered yet."""
    waiting: str = ""
    """Why what exists is not ready yet."""
    error: str = ""
    fatal: bool = False
    """An expression that can never work: the pass stops (spec/03 §3.1)."""


@dataclass(slots=True)
class _Moment:
    """What is known while the nodes are gone through in topological order."""

    instance: JsonObject
    namespaced: bool
    bindings: dict[str, JsonValue]
    ignored: set[str]
    unready: dict[str, str]


def resolve(graph: ResourceGraph, instance: JsonObject, observed: Mapping[str, JsonObject]) -> tuple[NodeResult, ...]:
    """Results in topological order. ``observed``: the live object of each node that has one."""
    schema = {name: value for name, value in instance.items() if name != "status"}
    moment = _Moment(instance, graph.instance.namespaced, {"schema": schema, **observed}, set(), {})
    return tuple(_resolved(node, observed.get(node.id), moment) for node in graph.nodes)


def _resolved(node: Node, live: JsonObject | None, moment: _Moment) -> NodeResult:
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
    for name in node.dependencies:
        if name in moment.unready:
            text = f'node "{node.id}": dependent node "{name}" not ready: {moment.unready[name]} (data pending)'
            return _unready(NodeResult(node, "IN_PROGRESS", pending=text), moment)
    result = _rendered(node, moment)
    if result.desired is None:
        return _unready(result, moment)
    return _judged(result, node_ready(node, live), moment)


def _ignore(node: Node, moment: _Moment) -> NodeResult:
    moment.ignored.add(node.id)
    moment.bindings.pop(node.id, None)
    return NodeResult(node, "SKIPPED")


def _unready(result: NodeResult, moment: _Moment) -> NodeResult:
    moment.unready[result.node.id] = result.pending or result.error
    return result


def _rendered(node: Node, moment: _Moment) -> NodeResult:
    values = {}
    for field in node.fields:
        try:
            values[field.path] = field.program.evaluate_json(moment.bindings)
        except DataPending as pending:
            text = f'node "{node.id}": failed to evaluate expression: eval "{field.text}": {pending} (data pending)'
            return NodeResult(node, "IN_PROGRESS", pending=text)
        except CelError as error:
            return NodeResult(node, "ERROR", error=f'node "{node.id}": eval "{field.text}": {error}', fatal=True)
    desired = render(node.template, values)
    return _namespaced(node, desired, moment)


def _namespaced(node: Node, desired: JsonObject, moment: _Moment) -> NodeResult:
    """Spec/03 §4.6: the instance's namespace is the default, and there is none for a cluster-scoped instance."""
    if node.resource.namespaced and not desired["metadata"].get("namespace"):
        if not moment.namespaced:
            text = (
                f'node "{node.id}" is namespaced and must resolve metadata.namespace '
                "when the instance is cluster-scoped"
            )
            return NodeResult(node, "ERROR", error=text, fatal=True)
        meta = {**desired["metadata"], "namespace": moment.instance["metadata"]["namespace"]}
        desired = {**desired, "metadata": meta}
    return NodeResult(node, "IN_PROGRESS", desired)


def _judged(result: NodeResult, readiness: Readiness, moment: _Moment) -> NodeResult:
    node = result.node
    if readiness.ready:
        return NodeResult(node, "SYNCED", result.desired)
    moment.unready[node.id] = readiness.reason
    if readiness.fatal:
        return NodeResult(node, "ERROR", result.desired, error=readiness.reason)
    if node.id not in moment.bindings:
        return NodeResult(node, "IN_PROGRESS", result.desired)
    return NodeResult(
        node, "WAITING_FOR_READINESS", result.desired, waiting=f'waiting for node "{node.id}": {readiness.reason}'
    )
