"""What a pass over a definition read at one log position, and what it decides of that: the same in its replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kro_es.api import metadata
from kro_es.api.definition import parse
from kro_es.api.objects import JsonObject, ObjectRef, annotations_of
from kro_es.decisions import hold
from kro_es.decisions.load import Reader
from kro_es.errors import CompilerFailed, DefinitionErrors, DefinitionFault
from kro_es.events.types import CrdApplied, RevisionActivated, RevisionIssued, RevisionRejected
from kro_es.graph.hash import spec_hash
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row
from kro_es.schema.compat import CompatibilityError, compare
from kro_es.schema.crd import crd_for

UNPARSABLE = "unparsable"
"""Stands for the hash of a spec that cannot even be read."""


@dataclass(frozen=True, slots=True)
class DefinitionInputs:
    """What a decision about a definition may depend on, beside what the API server answers during the pass."""

    object: JsonObject
    """The definition with the spec that counts."""
    row: Row
    """Its last observation."""
    head: Row
    """Its row in ``definitions``; empty while nothing is known of it."""
    hold: Row | None
    position: int
    now: int
    """The clock event, microseconds since the epoch: one for the whole pass."""
    engine: str
    version: str
    """What the version label says."""
    hash: str = ""
    """Of the spec; empty until it is read, or when it cannot be."""
    schemas: Mapping[str, str] = field(default_factory=dict)
    """``apiVersion kind`` to the digest of each schema the spec was compiled against."""

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def generation(self) -> int:
        return int(self.object["metadata"].get("generation", 0))

    @property
    def newest(self) -> int:
        """Number of the newest revision; 0 when there is none."""
        return int(str(self.head.get("newest", 0)))

    @property
    def is_new(self) -> bool:
        """Whether the spec is not that of the newest revision."""
        return self.head.get("newest_hash") != self.hash

    @property
    def number(self) -> int:
        """The revision that the spec is, or becomes."""
        if not self.is_new:
            return self.newest
        status = self.object.get("status") or {}
        return max(self.newest, int(status.get("lastIssuedRevision") or 0)) + 1

    @property
    def command(self) -> JsonObject:
        """The rollback that asked for exactly this spec; empty when nobody did."""
        found = self.head.get("command") or {}
        assert isinstance(found, dict)
        return found if found.get("spec_hash") == self.hash else {}


@dataclass(frozen=True, slots=True)
class Told:
    """What a pass knows besides the rows; as in :class:`DefinitionInputs`."""

    now: int
    engine: str
    version: str


def load(reader: Reader, name: str, uid: str, told: Told) -> DefinitionInputs | None:
    """None when the definition is not (or no longer) there."""
    row = reader.row("objects", ObjectRef(metadata.GROUP, metadata.DEFINITION_KIND, "", name).key)
    if row is None or row["uid"] != uid:
        return None
    held, obj = reader.row("holds", uid), row["object"]
    assert isinstance(obj, dict)
    head = reader.row("definitions", uid) or {}
    return DefinitionInputs(
        hold.effective(obj, held), row, head, held, reader.position, told.now, told.engine, told.version
    )


def issued(inputs: DefinitionInputs, graph: ResourceGraph) -> RevisionIssued:
    """The next revision."""
    instance, asked = graph.instance, inputs.command
    return RevisionIssued(
        definition_uid=inputs.uid,
        definition=inputs.name,
        number=inputs.number,
        spec=inputs.object["spec"],
        spec_hash=graph.spec_hash,
        generation=inputs.generation,
        topological_order=graph.topological_order,
        instance_group=instance.gvk.group,
        instance_version=instance.gvk.version,
        instance_kind=instance.gvk.kind,
        instance_plural=instance.plural,
        engine=inputs.engine,
        schemas_digest=graph.schemas_digest,
        tainted=tainted(graph),
        reason=str(asked.get("reason", "")),
        rolled_back_to=int(asked.get("to", 0)),
        schemas=dict(inputs.schemas),
        position=inputs.position,
    )


def imported(inputs: DefinitionInputs, revision: JsonObject) -> RevisionIssued:
    """A revision that was issued before this log began, from its object. Raises DefinitionErrors: it cannot be read."""
    snapshot = revision["spec"]["snapshot"]
    definition = parse({**inputs.object, "spec": snapshot["spec"]})
    schema = definition.schema
    return RevisionIssued(
        definition_uid=inputs.uid,
        definition=inputs.name,
        number=int(revision["spec"]["revision"]),
        spec=snapshot["spec"],
        spec_hash=spec_hash(definition),
        generation=int(snapshot.get("generation") or 0),
        topological_order=tuple((revision.get("status") or {}).get("topologicalOrder") or ()),
        instance_group=schema.group,
        instance_version=schema.api_version,
        instance_kind=schema.kind,
        instance_plural="",
        engine=inputs.engine,
        schemas_digest="",
        imported=True,
        position=inputs.position,
    )


def with_graph(body: RevisionIssued, graph: ResourceGraph, schemas: Mapping[str, str]) -> RevisionIssued:
    """An imported revision that compiles, with what must be redacted."""
    return replace(body, tainted=tainted(graph), schemas_digest=graph.schemas_digest, schemas=dict(schemas))


def as_object(revision: RevisionIssued) -> JsonObject:
    """Of an imported revision: the object it was made of, as far as it went into it."""
    snapshot = {"spec": revision.spec, "generation": revision.generation}
    return {
        "spec": {"revision": revision.number, "snapshot": snapshot},
        "status": {"topologicalOrder": list(revision.topological_order)},
    }


def tainted(graph: ResourceGraph) -> dict[str, list[list[str | int]]]:
    """Node id (``status`` for the instance's status) to the paths that are redacted wherever they are recorded."""
    found = {node.id: [list(path) for path in node.tainted_paths] for node in graph.nodes if node.tainted_paths}
    if graph.tainted_status:
        found["status"] = [["status", *path] for path in graph.tainted_status]
    return found


def rejected(inputs: DefinitionInputs, error: DefinitionErrors | CompilerFailed) -> RevisionRejected:
    """A spec that cannot be used, with all its faults; a failure of ours is one of its own."""
    ours = isinstance(error, CompilerFailed)
    faults = error.faults if isinstance(error, DefinitionErrors) else (DefinitionFault(str(error)),)
    return RevisionRejected(
        inputs.uid, inputs.name, inputs.hash or UNPARSABLE, inputs.generation, tuple(map(_fault, faults)),
        inputs.position, dict(inputs.schemas), ours,
    )  # fmt: skip


def _fault(found: DefinitionFault) -> JsonObject:
    return {
        "message": found.message,
        "resource": found.resource,
        "path": found.path,
        "expression": found.expression,
        "column": found.column,
    }


def known(inputs: DefinitionInputs, body: RevisionRejected) -> bool:
    """Whether just this refusal is the last thing that is recorded."""
    return (inputs.head.get("rejected_hash"), inputs.head.get("rejected_faults")) == (
        body.spec_hash,
        list(body.faults),
    )


def activated(reader: Reader, uid: str, name: str, number: int, *, found: bool = False) -> RevisionActivated:
    """``number`` is served from here on. ``found``: it was before this log knew of it."""
    row = reader.row("revisions", f"{uid}/{number:06d}") or {}
    instances = len(reader.rows("objects", "kind_key", f"{row.get('instance_group')}/{row.get('instance_kind')}"))
    return RevisionActivated(uid, name, number, instances, reader.position, found)


def wanted_crd(inputs: DefinitionInputs, graph: ResourceGraph) -> JsonObject:
    """The API of the definition's instances."""
    return crd_for(graph.crd, inputs.name, inputs.uid, inputs.version)


def breaks(inputs: DefinitionInputs, graph: ResourceGraph, installed: list[JsonObject]) -> str:
    """Why the API with these versions may not become that of the graph; empty when it may."""
    wanted = wanted_crd(inputs, graph)
    try:
        report = compare({"spec": {"versions": installed}}, wanted)
    except CompatibilityError as error:
        return f"failed to check schema compatibility: {error}"
    if not report.breaking or annotations_of(inputs.object).get(metadata.ALLOW_BREAKING) == "true":
        return ""
    return f"cannot update CRD {wanted['metadata']['name']}: breaking changes detected: {report.summary}"


def crd_applied(
    inputs: DefinitionInputs, graph: ResourceGraph, number: int, installed: list[JsonObject] | None
) -> CrdApplied:
    """``installed``: the versions it had before; None for a new one."""
    wanted = wanted_crd(inputs, graph)
    report = None if installed is None else compare({"spec": {"versions": installed}}, wanted)
    return CrdApplied(
        definition_uid=inputs.uid,
        definition=inputs.name,
        number=number,
        crd=wanted["metadata"]["name"],
        created=report is None,
        breaking=tuple(map(str, report.breaking)) if report else (),
        compatible=tuple(map(str, report.non_breaking)) if report else (),
        installed=installed or [],
        position=inputs.position,
        schemas=dict(inputs.schemas),
    )
