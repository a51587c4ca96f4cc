"""The status of a definition from what was read, what compiling it gave, and what the API server made of its API."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from kro_es.api.conditions import HELD, Conditions, with_word
from kro_es.api.objects import JsonObject, JsonValue
from kro_es.decisions import definition, hold
from kro_es.decisions.definition import DefinitionInputs
from kro_es.errors import CompilerFailed, DefinitionErrors
from kro_es.graph.node import ResourceGraph

_DEPENDENTS = ("GraphRevisionsResolved", "GraphAccepted", "KindReady", "ControllerReady")
_ACTIVE = ("GraphAccepted", "KindReady", "ControllerReady")


@dataclass(frozen=True, slots=True)
class Found:
    """What a pass came to know that is in no row; it is recorded with the status."""

    kind: str = ""
    """The name of the instances' kind as the API server accepted it."""
    refused: str = ""
    """Why it did not, in its words."""
    unwatched: str = ""
    """Why its objects, or those of its graph, cannot be watched, in the API server's words."""
    installed: list[JsonObject] | None = None
    """The versions of the installed API, when it may not become the one that is wanted."""
    served: int = 0
    """The revision that goes on being served where the spec cannot be."""
    unserved: str = ""
    """Why the active revision cannot be, either."""

    @property
    def given(self) -> JsonObject:
        """As it is recorded."""
        return {name: value for name, value in asdict(self).items() if value not in ("", 0, None)}

    @classmethod
    def of(cls, given: JsonObject) -> Found:
        return cls(**{name: given[name] for name in cls.__slots__ if name in given})


def waits(inputs: DefinitionInputs) -> bool:
    """Whether nothing may be done with the definition but to say so: the log does not know what it is held at."""
    return bool(hold.lost(inputs.object, inputs.hold))


def reason_of(error: DefinitionErrors | CompilerFailed) -> str:
    return "InvalidResourceGraph" if isinstance(error, DefinitionErrors) else "CompilerFailed"


def status(
    inputs: DefinitionInputs, judged: ResourceGraph | DefinitionErrors | CompilerFailed | None, found: Found
) -> JsonObject:
    """``judged``: what compiling the spec gave; None when that was not tried."""
    shown = _conditions(inputs, judged, found)
    graph = judged if isinstance(judged, ResourceGraph) else None
    before = (inputs.object.get("status") or {}).get("conditions") or []
    word = (HELD, hold.told(inputs.object, inputs.hold))
    held = with_word((), before, word, inputs.generation, inputs.now)
    return _body(inputs, shown, graph, inputs.number if graph is not None else inputs.newest, held)


def _conditions(
    inputs: DefinitionInputs, judged: ResourceGraph | DefinitionErrors | CompilerFailed | None, found: Found
) -> Conditions:
    """In the order kro sets them: those that turn together are shown in it."""
    shown, now = Conditions.load(inputs.object, _DEPENDENTS), inputs.now
    if judged is None:
        shown.set("GraphAccepted", "Unknown", "HeldUnknown", hold.lost(inputs.object, inputs.hold), now)
        return shown
    if not isinstance(judged, ResourceGraph):
        shown.set("GraphAccepted", "False", reason_of(judged), str(judged), now)
        if inputs.newest:
            _resolved(shown, inputs.newest, now)
        _served(shown, found, now)
        return shown
    shown.set("GraphAccepted", "True", "Valid", "resource graph and schema are valid", now)
    _resolved(shown, inputs.number, now)
    if found.kind:
        shown.set("KindReady", "True", "Ready", f"kind {found.kind} has been accepted and ready", now)
        if found.unwatched:
            shown.set("ControllerReady", "False", "FailedToStart", found.unwatched, now)
        else:
            shown.set("ControllerReady", "True", "Running", "controller is running", now)
        return shown
    shown.set("KindReady", "False", "Failed", refusal(inputs, judged, found), now)
    _served(shown, found, now)
    if found.served and found.served != inputs.number:
        text = f"revision {inputs.number} compiled; revision {found.served} stays active until the CRD accepts it"
        shown.set("GraphRevisionsResolved", "True", "Resolved", text, now)
    return shown


def refusal(inputs: DefinitionInputs, graph: ResourceGraph, found: Found) -> str:
    """Why the API of the graph is not installed."""
    return found.refused if found.installed is None else definition.breaks(inputs, graph, found.installed)


def _resolved(shown: Conditions, number: int, now: int) -> None:
    shown.set("GraphRevisionsResolved", "True", "Resolved", f"revision {number} compiled and active", now)


def _served(shown: Conditions, found: Found, now: int) -> None:
    if found.served:
        _resolved(shown, found.served, now)
    elif found.unserved:
        shown.set("GraphRevisionsResolved", "False", "Failed", found.unserved, now)


def _body(
    inputs: DefinitionInputs, shown: Conditions, graph: ResourceGraph | None, number: int, held: list[JsonObject]
) -> JsonObject:
    """Without a graph the spec was refused, so order and dependencies are not published (spec/04 §2.4)."""
    before = inputs.object.get("status") or {}
    active = all(shown.status_of(name) == "True" for name in _ACTIVE)
    body: JsonObject = {
        "state": "Active" if active else "Inactive",
        "conditions": [*held, *shown.to_json()],
    }
    last = max(number, int(before.get("lastIssuedRevision") or 0))
    if last:
        body["lastIssuedRevision"] = last
    if graph is not None and graph.topological_order:
        body["topologicalOrder"] = list(graph.topological_order)
        dependencies = dependencies_of(graph)
        if dependencies:
            published = before.get("resources")
            body["resources"] = published if _names(published) == _names(dependencies) else dependencies
    return body


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
