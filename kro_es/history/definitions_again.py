"""Recorded decisions about definitions, made again from rows, from the schemas in the log and from what was noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kro_es.api.definition import parse
from kro_es.api.objects import JsonObject
from kro_es.decisions import definition, definition_status
from kro_es.decisions import definition_writes as writes
from kro_es.decisions.definition import DefinitionInputs, Told
from kro_es.decisions.definition_status import Found
from kro_es.decisions.load import Reader
from kro_es.decisions.writes import PlannedWrite
from kro_es.errors import DefinitionErrors, UserError
from kro_es.events.types import (
    Body,
    CrdApplied,
    Event,
    ReconcileDecided,
    RevisionActivated,
    RevisionIssued,
    RevisionRejected,
)
from kro_es.graph.hash import spec_hash
from kro_es.graph.node import ResourceGraph
from kro_es.history.recompiled import Recompiled
from kro_es.settings import Settings

Decided = ReconcileDecided | RevisionIssued | RevisionRejected | RevisionActivated | CrdApplied
"""What is recorded of a definition."""
OURS = "the compiler failed, which is no decision"
"""Why one cannot be made again."""
_STREAM = "definition/"
_BY_GRAPH: dict[str, Callable[[DefinitionInputs, ResourceGraph], PlannedWrite]] = {
    writes.CREATED: writes.crd_created,
    writes.UPDATED: writes.crd_updated,
    writes.REVISION: writes.revision,
    writes.VERIFIED: writes.revision_verified,
}
_BY_INPUTS: dict[str, Callable[[DefinitionInputs], PlannedWrite | None]] = {
    writes.FINALIZER: writes.finalizer,
    writes.RELEASED: writes.released,
    writes.DELETED: writes.crd_deleted,
}
_BY_REVISION: dict[str, Callable[[JsonObject], PlannedWrite | None]] = {
    writes.RETIRED: writes.retired,
    writes.UNFINALIZED: writes.revision_released,
}
"""What each write is made of."""


def noted(body: Decided) -> bool:
    """Whether what it was made of is recorded with it."""
    return "schemas" in body.given if isinstance(body, ReconcileDecided) else bool(body.position)


def again(event: Event, reader: Reader, graphs: Recompiled, configuration: JsonObject) -> Body | None:
    """What is decided now at the position the event was; None for nothing. Raises UserError: it cannot be told."""
    body = event.body
    assert isinstance(body, Decided)
    uid, name = event.stream.removeprefix(_STREAM), event.subject.name
    if isinstance(body, RevisionActivated):
        return _activated(body, reader)
    told = Told(
        body.at if isinstance(body, ReconcileDecided) else 0,
        body.engine if isinstance(body, ReconcileDecided | RevisionIssued) else "",
        str(configuration.get("label_version", Settings.label_version)),
    )
    inputs = definition.load(reader, name, uid, told)
    if inputs is None:
        raise UserError("the definition is not in the log at that position")
    schemas = body.given["schemas"] if isinstance(body, ReconcileDecided) else body.schemas
    inputs = replace(inputs, schemas=schemas)
    if isinstance(body, RevisionIssued) and body.imported:
        return _imported(inputs, body, graphs, configuration)
    return _Pass(inputs, graphs, configuration).decided(body)


def _activated(body: RevisionActivated, reader: Reader) -> RevisionActivated:
    """The newest revision, unless its API was found installed: that is what the event itself says."""
    head = reader.row("definitions", body.definition_uid) or {}
    number = body.number if body.found else int(str(head.get("newest", 0)))
    name = str(head.get("definition", ""))
    return definition.activated(reader, body.definition_uid, name, number, found=body.found)


def _imported(
    inputs: DefinitionInputs, body: RevisionIssued, graphs: Recompiled, configuration: JsonObject
) -> RevisionIssued:
    """The object it was made of is in the event; what was made of it is made again."""
    found = definition.imported(inputs, definition.as_object(body))
    if not body.schemas_digest:
        return found
    graph = graphs.compiled({**inputs.object, "spec": body.spec}, body.schemas, configuration)
    return definition.with_graph(found, replace(graph, schemas_digest=body.schemas_digest), body.schemas)


class _Pass:
    """One pass over a definition, up to the decision that is asked for."""

    def __init__(self, inputs: DefinitionInputs, graphs: Recompiled, configuration: JsonObject) -> None:
        self._graphs = graphs
        self._configuration = configuration
        self._inputs = inputs
        self._error: DefinitionErrors | None = None
        try:
            self._inputs = replace(inputs, hash=spec_hash(parse(inputs.object)))
        except DefinitionErrors as error:
            self._error = error

    def decided(self, body: Decided) -> Body | None:
        match body:
            case RevisionIssued(schemas_digest=digest):
                # the digests of the documents the server had, which are not all in the log
                return definition.issued(self._inputs, replace(self._graph(), schemas_digest=digest))
            case RevisionRejected(ours=ours):
                if ours:
                    raise UserError(OURS)
                judged = self._judged()
                return None if isinstance(judged, ResourceGraph) else definition.rejected(self._inputs, judged)
            case CrdApplied(number=number, created=created, installed=installed):
                return definition.crd_applied(self._inputs, self._graph(), number, None if created else installed)
            case ReconcileDecided(why=what, given=given):
                write = self._write(what, given)
                rest = {name: value for name, value in given.items() if name != "schemas"}
                return None if write is None else writes.decided(self._inputs, write, rest)
            case _:
                raise AssertionError(body)

    def _judged(self) -> ResourceGraph | DefinitionErrors:
        if self._error is not None:
            return self._error
        try:
            return self._graphs.compiled(self._inputs.object, self._inputs.schemas, self._configuration)
        except DefinitionErrors as error:
            return error

    def _graph(self) -> ResourceGraph:
        judged = self._judged()
        if isinstance(judged, DefinitionErrors):
            raise UserError(f"it does not compile here: {judged}")
        return judged

    def _write(self, what: str, given: JsonObject) -> PlannedWrite | None:
        if what in _BY_GRAPH:
            return _BY_GRAPH[what](self._inputs, self._graph())
        if what in _BY_INPUTS:
            return _BY_INPUTS[what](self._inputs)
        if what == writes.ADOPTED:
            return writes.adopted(self._inputs, given["revision"])
        if what in _BY_REVISION:
            return _BY_REVISION[what](given["revision"])
        assert what == writes.STATUS
        return self._status(given)

    def _status(self, given: JsonObject) -> PlannedWrite | None:
        if "failed" in given:
            raise UserError(OURS)
        lost = definition_status.waits(self._inputs)
        wanted = definition_status.status(self._inputs, None if lost else self._judged(), Found.of(given))
        return writes.status(self._inputs, wanted)
