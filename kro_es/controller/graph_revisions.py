"""GraphRevision objects: what other tools read of our revisions, and what an earlier kro left of its own (spec/04 §5)."""

from __future__ import annotations

import structlog

from kro_es.api import metadata
from kro_es.api.conditions import Conditions
from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, Resource, terminating, uid
from kro_es.controller.definition_status import dependencies_of
from kro_es.controller.definition_writes import DefinitionWrites
from kro_es.controller.ports import Cluster
from kro_es.controller.world import World
from kro_es.decisions.pin import SelectorPin
from kro_es.errors import ApiError, DefinitionErrors
from kro_es.events.types import RevisionIssued
from kro_es.graph.hash import spec_hash
from kro_es.graph.node import ResourceGraph
from kro_es.graph.validate import MAX_NAME

logger = structlog.get_logger(__name__)

REVISIONS = Resource(
    Gvk.parse(metadata.REVISION_API_VERSION, metadata.REVISION_KIND), "graphrevisions", namespaced=False
)


class GraphRevisions:
    """``most``: objects kept in the cluster per definition; 0 keeps all. The log keeps every revision."""

    def __init__(self, world: World, writes: DefinitionWrites, most: int) -> None:
        self._world = world
        self._writes = writes
        self._most = most

    async def mirror(self, obj: JsonObject, number: int, found_hash: str, graph: ResourceGraph) -> None:
        """Write the object of a new revision, and retire the oldest."""
        body = _graph_revision(obj, number, found_hash, self._world.standing.version)
        name = body["metadata"]["name"]
        create = self._writes.planned("create", REVISIONS, name, body, "GraphRevision")
        cluster = self._world.cluster
        try:
            made = await self._writes.recorded(
                obj, create, lambda: cluster.create(REVISIONS, body, metadata.CONTROLLER_MANAGER)
            )
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return
        assert made is not None
        status = {"status": _status(made, graph, self._world.clock())}
        patch = self._writes.planned("patch", REVISIONS, name, status, "GraphRevision status", subresource="status")
        await self._writes.recorded(
            obj,
            patch,
            lambda: cluster.merge_patch(
                REVISIONS, "", name, status, manager=metadata.CONTROLLER_MANAGER, subresource="status"
            ),
        )
        await self._retire(obj, number)

    async def found(self, obj: JsonObject) -> list[JsonObject]:
        """The objects that are of exactly this definition, lowest number first."""
        return [item for item in await _of_name(self._world.cluster, obj) if _owned(item, obj)]

    async def adopted(self, obj: JsonObject) -> list[JsonObject]:
        """As ``found``, after those an earlier definition of this name left behind became this one's (§5.5)."""
        every = [item for item in await _of_name(self._world.cluster, obj) if not terminating(item)]
        for orphan in every:
            if not _owned(orphan, obj):
                await self._adopt(obj, orphan)
        return every

    async def _adopt(self, obj: JsonObject, orphan: JsonObject) -> None:
        name = orphan["metadata"]["name"]
        body = {"metadata": {"uid": uid(orphan), "ownerReferences": _owners(orphan, obj)}}
        write = self._writes.planned("patch", REVISIONS, name, body, "GraphRevision adopted")
        await self._writes.recorded(
            obj,
            write,
            lambda: self._world.cluster.merge_patch(REVISIONS, "", name, body, manager=metadata.CONTROLLER_MANAGER),
        )

    async def release(self, obj: JsonObject) -> None:
        """The definition goes: what kro put its finalizer on would wait for kro for ever."""
        for revision in await self.found(obj):
            await self._unfinalized(obj, revision)

    async def _retire(self, obj: JsonObject, number: int) -> None:
        """Only the newest few stay in the cluster, and those that somebody runs: a lost log gets them from there."""
        if self._most <= 0 or number <= self._most:
            return
        used = self._used(obj)
        for old in await self.found(obj):
            if old["spec"]["revision"] > number - self._most or old["spec"]["revision"] in used or terminating(old):
                continue
            await self._unfinalized(obj, old)
            await self._delete(obj, old)

    def _used(self, obj: JsonObject) -> set[int]:
        """Revisions that instances run, or are pinned to."""
        with self._world.open_reader() as reader:
            running = reader.rows("instances", "definition_uid", uid(obj))
            pinned = reader.rows("pins", "definition_uid", uid(obj))
            head = reader.row("definitions", uid(obj))
        numbers = [row["settled_revision"] for row in running] + [row["number"] for row in pinned]
        return {int(str(number)) for number in numbers} | {one.number for one in SelectorPin.all_of(head)}

    async def _delete(self, obj: JsonObject, old: JsonObject) -> None:
        name = old["metadata"]["name"]
        write = self._writes.planned("delete", REVISIONS, name, {}, "GraphRevision retired")
        await self._writes.recorded(obj, write, lambda: self._world.cluster.delete(REVISIONS, "", name, uid(old)))

    async def _unfinalized(self, obj: JsonObject, revision: JsonObject) -> None:
        found = revision["metadata"].get("finalizers") or []
        if metadata.FINALIZER not in found:
            return
        name = revision["metadata"]["name"]
        rest = [finalizer for finalizer in found if finalizer != metadata.FINALIZER]
        body = {"metadata": {"uid": uid(revision), "finalizers": rest}}
        write = self._writes.planned("patch", REVISIONS, name, body, "GraphRevision finalizer released")
        await self._writes.recorded(
            obj,
            write,
            lambda: self._world.cluster.merge_patch(REVISIONS, "", name, body, manager=metadata.CONTROLLER_MANAGER),
        )


async def _of_name(cluster: Cluster, obj: JsonObject) -> list[JsonObject]:
    """Every revision of a definition of this name, lowest number first."""
    name = obj["metadata"]["name"]
    if len(name) > MAX_NAME:
        return []
    every = await cluster.list_objects(REVISIONS, None, f"{metadata.DEFINITION_NAME}={name}")
    mine = [item for item in every if item["spec"]["snapshot"]["name"] == name]
    return sorted(mine, key=lambda item: int(item["spec"]["revision"]))


def _owned(revision: JsonObject, obj: JsonObject) -> bool:
    owners = revision["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == uid(obj) and owner.get("controller") for owner in owners)


def _reference(obj: JsonObject) -> JsonObject:
    return {
        "apiVersion": metadata.DEFINITION_API_VERSION,
        "kind": metadata.DEFINITION_KIND,
        "name": obj["metadata"]["name"],
        "uid": uid(obj),
        "controller": True,
    }


def _owners(orphan: JsonObject, obj: JsonObject) -> list[JsonObject]:
    """Ours in the place of the definition that is gone; owners of other kinds stay."""
    found = list(orphan["metadata"].get("ownerReferences") or ())
    kind = (metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND)
    for index, owner in enumerate(found):
        if (owner.get("apiVersion"), owner.get("kind")) == kind:
            return [*found[:index], _reference(obj), *found[index + 1 :]]
    return [*found, _reference(obj)]


def imported(obj: JsonObject, revision: JsonObject, engine: str) -> RevisionIssued | None:
    """A revision that was issued before this log began; None for one whose snapshot cannot be read any more."""
    snapshot = revision["spec"]["snapshot"]
    try:
        definition = parse({**obj, "spec": snapshot["spec"]})
    except DefinitionErrors as error:
        logger.warning("a GraphRevision cannot be read", name=revision["metadata"]["name"], error=str(error))
        return None
    schema = definition.schema
    return RevisionIssued(
        definition_uid=uid(obj),
        definition=obj["metadata"]["name"],
        number=int(revision["spec"]["revision"]),
        spec=snapshot["spec"],
        spec_hash=spec_hash(definition),
        generation=int(snapshot.get("generation") or 0),
        topological_order=tuple((revision.get("status") or {}).get("topologicalOrder") or ()),
        instance_group=schema.group,
        instance_version=schema.api_version,
        instance_kind=schema.kind,
        instance_plural="",
        engine=engine,
        schemas_digest="",
        imported=True,
    )


def _status(made: JsonObject, graph: ResourceGraph, now: int) -> JsonObject:
    conditions = Conditions.load(made, ("GraphVerified",))
    conditions.set("GraphVerified", "True", "Verified", "graph revision compiled and verified", now)
    dependencies = dependencies_of(graph)
    return {
        "conditions": conditions.to_json(),
        **({"topologicalOrder": list(graph.topological_order)} if graph.nodes else {}),
        **({"resources": dependencies} if dependencies else {}),
    }


def _graph_revision(obj: JsonObject, number: int, found_hash: str, version: str) -> JsonObject:
    meta = obj["metadata"]
    return {
        "apiVersion": metadata.REVISION_API_VERSION,
        "kind": metadata.REVISION_KIND,
        "metadata": {
            "name": f"{meta['name']}-r{number:05d}",
            "labels": {
                metadata.OWNED: "true",
                metadata.VERSION: metadata.version_label(version),
                metadata.DEFINITION_NAME: meta["name"],
                metadata.REVISION_HASH: found_hash,
            },
            "ownerReferences": [_reference(obj)],
        },
        "spec": {
            "revision": number,
            "snapshot": {"name": meta["name"], "generation": meta.get("generation", 0), "spec": obj["spec"]},
        },
    }
