"""What a pass over a definition says in the log, read off what it found."""

from __future__ import annotations

from kro_es.api.definition import ResourceGraphDefinition, parse
from kro_es.api.objects import JsonObject
from kro_es.errors import DefinitionErrors, DefinitionFault
from kro_es.events.types import Actor
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row


def as_issued(obj: JsonObject, revision: Row) -> ResourceGraphDefinition:
    """The definition as it was when the revision was issued."""
    return parse({**obj, "spec": revision["spec"]})


def tainted(graph: ResourceGraph) -> dict[str, list[list[str | int]]]:
    """Paths of what must be redacted, by node; ``status`` for the instance's own."""
    found = {node.id: [list(path) for path in node.tainted_paths] for node in graph.nodes if node.tainted_paths}
    if graph.tainted_status:
        found["status"] = [["status", *path] for path in graph.tainted_status]
    return found


def editor(seen: Row | None) -> Actor:
    """The manager that made the edit, as the observation of it says."""
    found = str(seen["editor"]) if seen else ""
    return Actor(found, "manager") if found else Actor("", "unknown")


def position(seen: Row | None) -> int:
    """Of the observation; 0 for none."""
    return int(str(seen["position"])) if seen else 0


def fault(fault: DefinitionFault) -> JsonObject:
    """A fault as it is recorded."""
    return {
        "message": fault.message,
        "resource": fault.resource,
        "path": fault.path,
        "expression": fault.expression,
        "column": fault.column,
    }


def may_heal(error: DefinitionErrors) -> bool:
    """A missing kind may be installed later; everything else needs an edit."""
    return any("schema not found" in fault.message and "cannot resolve" in fault.message for fault in error.faults)
