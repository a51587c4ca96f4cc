"""The writes a pass over a definition makes that follow from what it read alone."""

from __future__ import annotations

from kro_es.api import metadata
from kro_es.api.conditions import Conditions
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.decisions.definition import DefinitionInputs, wanted_crd
from kro_es.decisions.definition_status import dependencies_of
from kro_es.decisions.writes import PlannedWrite, Verb
from kro_es.events.types import ReconcileDecided
from kro_es.graph.node import ResourceGraph
from kro_es.plan import owned
from kro_es.schema.plural import plural

DEFINITIONS = Resource(
    Gvk.parse(metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND), "resourcegraphdefinitions", namespaced=False
)
REVISIONS = Resource(
    Gvk.parse(metadata.REVISION_API_VERSION, metadata.REVISION_KIND), "graphrevisions", namespaced=False
)
CRDS = Resource(
    Gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), "customresourcedefinitions", namespaced=False
)
FINALIZER, RELEASED, STATUS = "finalizer", "finalizer released", "status"
CREATED, UPDATED, DELETED = "CRD created", "CRD updated", "CRD deleted"
REVISION, VERIFIED = "GraphRevision", "GraphRevision status"
ADOPTED, RETIRED, UNFINALIZED = "GraphRevision adopted", "GraphRevision retired", "GraphRevision finalizer released"
"""``what`` of each."""


def planned(
    verb: Verb, resource: Resource, name: str, body: JsonObject, what: str, *, subresource: str = ""
) -> PlannedWrite:
    ref = ObjectRef(resource.gvk.group, resource.gvk.kind, "", name)
    return PlannedWrite(
        0, verb, resource, ref, body, metadata.CONTROLLER_MANAGER, subresource, digest=owned.digest(body), what=what
    )


def decided(inputs: DefinitionInputs, write: PlannedWrite, given: JsonObject) -> ReconcileDecided:
    """The intent. ``given``: what the write was made of beside the inputs."""
    noted = {"schemas": dict(inputs.schemas), **given}
    writes = (write.described(0),)
    return ReconcileDecided(
        inputs.now, inputs.position, (), writes, engine=inputs.engine, given=noted, why=write.what
    )  # fmt: skip


def finalizer(inputs: DefinitionInputs) -> PlannedWrite | None:
    """None when it is there."""
    found = inputs.object["metadata"].get("finalizers") or []
    if metadata.FINALIZER in found:
        return None
    return _finalizers(inputs, [*found, metadata.FINALIZER], FINALIZER)


def released(inputs: DefinitionInputs) -> PlannedWrite | None:
    """None when it is not there."""
    found = inputs.object["metadata"].get("finalizers") or []
    if metadata.FINALIZER not in found:
        return None
    return _finalizers(inputs, [name for name in found if name != metadata.FINALIZER], RELEASED)


def _finalizers(inputs: DefinitionInputs, finalizers: list[str], what: str) -> PlannedWrite:
    body = {"metadata": {"uid": inputs.uid, "finalizers": finalizers}}
    return planned("patch", DEFINITIONS, inputs.name, body, what)


def status(inputs: DefinitionInputs, wanted: JsonObject) -> PlannedWrite | None:
    """A merge patch of what differs; None when nothing does."""
    before = inputs.object.get("status") or {}
    changed: JsonObject = {name: value for name, value in wanted.items() if before.get(name) != value}
    changed |= {name: None for name in before if name not in wanted}
    if not changed:
        return None
    return planned("patch", DEFINITIONS, inputs.name, {"status": changed}, STATUS, subresource="status")


def crd_created(inputs: DefinitionInputs, graph: ResourceGraph) -> PlannedWrite:
    wanted = wanted_crd(inputs, graph)
    return planned("create", CRDS, wanted["metadata"]["name"], wanted, CREATED)


def crd_updated(inputs: DefinitionInputs, graph: ResourceGraph) -> PlannedWrite:
    """A merge patch; names that a definition no longer has are taken out."""
    wanted = wanted_crd(inputs, graph)
    names = {"shortNames": None, "categories": None, **wanted["spec"]["names"]}
    meta = wanted["metadata"]
    kept = {name: meta[name] for name in ("labels", "annotations") if meta.get(name)}
    body = {"spec": {**wanted["spec"], "names": names}, "metadata": kept}
    return planned("patch", CRDS, meta["name"], body, UPDATED)


def crd_deleted(inputs: DefinitionInputs) -> PlannedWrite | None:
    """None for a definition without a spec: it has none."""
    schema = (inputs.object.get("spec") or {}).get("schema") or {}
    if not schema.get("kind"):
        return None
    name = f"{plural(schema['kind'])}.{schema.get('group') or metadata.GROUP}"
    return planned("delete", CRDS, name, {}, DELETED)


def revision(inputs: DefinitionInputs, graph: ResourceGraph) -> PlannedWrite:
    """The GraphRevision object of the revision that the spec becomes (spec/04 §5)."""
    number = inputs.number
    body = {
        "apiVersion": metadata.REVISION_API_VERSION,
        "kind": metadata.REVISION_KIND,
        "metadata": {
            "name": f"{inputs.name}-r{number:05d}",
            "labels": {
                metadata.OWNED: "true",
                metadata.VERSION: metadata.version_label(inputs.version),
                metadata.DEFINITION_NAME: inputs.name,
                metadata.REVISION_HASH: graph.spec_hash,
            },
            "ownerReferences": [owner_of(inputs)],
        },
        "spec": {
            "revision": number,
            "snapshot": {"name": inputs.name, "generation": inputs.generation, "spec": inputs.object["spec"]},
        },
    }
    return planned("create", REVISIONS, body["metadata"]["name"], body, REVISION)  # type: ignore[index]


def revision_verified(inputs: DefinitionInputs, graph: ResourceGraph) -> PlannedWrite:
    """Its status, once it is there: the API server begins generations at 1."""
    body = revision(inputs, graph).body
    name = body["metadata"]["name"]
    conditions = Conditions.load({"metadata": {"name": name, "generation": 1}}, ("GraphVerified",))
    conditions.set("GraphVerified", "True", "Verified", "graph revision compiled and verified", inputs.now)
    dependencies = dependencies_of(graph)
    shown = {
        "conditions": conditions.to_json(),
        **({"topologicalOrder": list(graph.topological_order)} if graph.nodes else {}),
        **({"resources": dependencies} if dependencies else {}),
    }
    return planned("patch", REVISIONS, name, {"status": shown}, VERIFIED, subresource="status")


def owner_of(inputs: DefinitionInputs) -> JsonObject:
    """The definition as an owner reference."""
    return {
        "apiVersion": metadata.DEFINITION_API_VERSION,
        "kind": metadata.DEFINITION_KIND,
        "name": inputs.name,
        "uid": inputs.uid,
        "controller": True,
    }


def given(revision: JsonObject) -> JsonObject:
    """What a write about a GraphRevision object in the cluster is made of, as it is recorded with it."""
    meta = revision["metadata"]
    kept = {name: meta[name] for name in ("name", "uid", "finalizers", "ownerReferences") if name in meta}
    return {"revision": {"metadata": kept}}


def adopted(inputs: DefinitionInputs, orphan: JsonObject) -> PlannedWrite:
    """One that an earlier definition of this name left behind becomes this one's (spec/04 §5.5)."""
    meta = orphan["metadata"]
    body = {"metadata": {"uid": meta["uid"], "ownerReferences": _owners(orphan, inputs)}}
    return planned("patch", REVISIONS, meta["name"], body, ADOPTED)


def retired(old: JsonObject) -> PlannedWrite:
    return planned("delete", REVISIONS, old["metadata"]["name"], {}, RETIRED)


def revision_released(revision: JsonObject) -> PlannedWrite | None:
    """None without our finalizer."""
    meta = revision["metadata"]
    found = meta.get("finalizers") or []
    if metadata.FINALIZER not in found:
        return None
    rest = [finalizer for finalizer in found if finalizer != metadata.FINALIZER]
    return planned(
        "patch", REVISIONS, meta["name"], {"metadata": {"uid": meta["uid"], "finalizers": rest}}, UNFINALIZED
    )


def _owners(orphan: JsonObject, inputs: DefinitionInputs) -> list[JsonObject]:
    """Ours in the place of the definition that is gone; owners of other kinds stay."""
    found = list(orphan["metadata"].get("ownerReferences") or ())
    kind = (metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND)
    for index, owner in enumerate(found):
        if (owner.get("apiVersion"), owner.get("kind")) == kind:
            return [*found[:index], owner_of(inputs), *found[index + 1 :]]
    return [*found, owner_of(inputs)]
