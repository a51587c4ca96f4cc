"""The status of a definition from its conditions and its graph (spec/04 §1.1, §2.7-2.8)."""

from __future__ import annotations

from kro_es.api.conditions import Conditions
from kro_es.api.objects import JsonObject, JsonValue
from kro_es.graph.node import ResourceGraph

DEPENDENTS = ("GraphRevisionsResolved", "GraphAccepted", "KindReady", "ControllerReady")
_ACTIVE = ("GraphAccepted", "KindReady", "ControllerReady")


def status_body(
    obj: JsonObject, conditions: Conditions, graph: ResourceGraph | None, number: int, held: JsonObject | None = None
) -> JsonObject:
    """``graph`` None: the spec was refused, so order and dependencies are not published (spec/04 §2.4).

    ``held``: the condition that says so, when the definition is held.
    """
    before = obj.get("status") or {}
    active = all(conditions.status_of(name) == "True" for name in _ACTIVE)
    status: JsonObject = {
        "state": "Active" if active else "Inactive",
        "conditions": [*([held] if held else ()), *conditions.to_json()],
    }
    last = max(number, int(before.get("lastIssuedRevision") or 0))
    if last:
        status["lastIssuedRevision"] = last
    if graph is not None and graph.topological_order:
        status["topologicalOrder"] = list(graph.topological_order)
        dependencies = dependencies_of(graph)
        if dependencies:
            published = before.get("resources")
            status["resources"] = published if _names(published) == _names(dependencies) else dependencies
    return status


def _names(resources: JsonValue) -> list[tuple[str, list[str]]]:
    """What depends on what; kro lists the dependencies of a node in an order of chance."""
    return [(item["id"], sorted(dependency["id"] for dependency in item["dependencies"])) for item in resources or ()]


def dependencies_of(graph: ResourceGraph) -> list[JsonObject]:
    """The nodes that depend on others, and on which."""
    return [
        {"id": node.id, "dependencies": [{"id": name} for name in node.dependencies]}
        for node in graph.nodes
        if node.dependencies
    ]
