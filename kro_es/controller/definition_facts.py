"""What happened to a definition, as events; who did it, and from which observation it is known."""

from __future__ import annotations

from kro_es.api import metadata
from kro_es.api.objects import JsonObject
from kro_es.errors import DefinitionErrors, DefinitionFault
from kro_es.events.types import (
    Actor,
    CommandPinSelector,
    NewEvent,
    RevisionActivated,
    RevisionIssued,
    RevisionRejected,
    Subject,
    definition_stream,
)
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row

CONTROLLER = Actor("kro-es", "controller")


def event(
    obj: JsonObject,
    body: RevisionIssued | RevisionRejected | RevisionActivated | CommandPinSelector,
    now: int,
    *,
    actor: Actor = CONTROLLER,
    cause: int = 0,
    correlation: str = "",
) -> NewEvent:
    """In the stream of the definition ``obj``."""
    meta = obj["metadata"]
    subject = Subject(metadata.GROUP, metadata.DEFINITION_KIND, "", meta["name"], meta["uid"])
    return NewEvent(definition_stream(meta["uid"]), body, subject, actor, now, cause=cause, correlation=correlation)


def issued(
    obj: JsonObject, graph: ResourceGraph, number: int, *, engine: str, schemas: dict[str, str]
) -> RevisionIssued:
    """``schemas``: what the graph was compiled against, as ``schema.recorded`` keeps it."""
    meta, instance = obj["metadata"], graph.instance
    return RevisionIssued(
        definition_uid=meta["uid"],
        definition=meta["name"],
        number=number,
        spec=obj["spec"],
        spec_hash=graph.spec_hash,
        generation=meta.get("generation", 0),
        topological_order=graph.topological_order,
        instance_group=instance.gvk.group,
        instance_version=instance.gvk.version,
        instance_kind=instance.gvk.kind,
        instance_plural=instance.plural,
        engine=engine,
        schemas_digest=graph.schemas_digest,
        schemas=schemas,
        tainted=tainted(graph),
    )


def tainted(graph: ResourceGraph) -> dict[str, list[list[str | int]]]:
    found = {node.id: [list(path) for path in node.tainted_paths] for node in graph.nodes if node.tainted_paths}
    if graph.tainted_status:
        found["status"] = [["status", *path] for path in graph.tainted_status]
    return found


def shown(obj: JsonObject, condition: str, message: str) -> bool:
    """Whether the definition's status says so already: another log, or kro, has told it."""
    found = (obj.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == condition and item.get("message") == message for item in found)


def editor(seen: Row | None) -> Actor:
    """The manager that made the edit, as the observation of it says."""
    found = str(seen["editor"]) if seen else ""
    return Actor(found, "manager") if found else Actor("", "unknown")


def position(seen: Row | None) -> int:
    return int(str(seen["position"])) if seen else 0


def fault(found: DefinitionFault) -> JsonObject:
    return {
        "message": found.message,
        "resource": found.resource,
        "path": found.path,
        "expression": found.expression,
        "column": found.column,
    }


def may_heal(error: DefinitionErrors) -> bool:
    """A missing kind may be installed later; everything else needs an edit."""
    return any("schema not found" in fault.message and "cannot resolve" in fault.message for fault in error.faults)
