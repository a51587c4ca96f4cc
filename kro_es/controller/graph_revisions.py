"""GraphRevision objects: what other tools read of our revisions, and what an earlier kro left of its own (spec/04 §5)."""

from __future__ import annotations

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, terminating, uid
from kro_es.controller.definition_writes import DefinitionWrites
from kro_es.controller.ports import Cluster
from kro_es.controller.world import World
from kro_es.decisions import definition_writes as planned
from kro_es.decisions.definition import DefinitionInputs
from kro_es.decisions.definition_writes import REVISIONS
from kro_es.decisions.pin import SelectorPin
from kro_es.decisions.writes import PlannedWrite
from kro_es.errors import ApiError
from kro_es.graph.node import ResourceGraph
from kro_es.graph.validate import MAX_NAME


class GraphRevisions:
    """``most``: objects kept in the cluster per definition; 0 keeps all. The log keeps every revision."""

    def __init__(self, world: World, writes: DefinitionWrites, most: int) -> None:
        self._world = world
        self._writes = writes
        self._most = most
        # by uid of the definition, the newest revision whose object is known to be complete
        self._mirrored: dict[str, int] = {}

    async def mirror(self, inputs: DefinitionInputs, graph: ResourceGraph) -> None:
        """Write the object of the revision that the spec is or becomes, or what an earlier try left out of it.

        Once that is done the oldest are retired. The server is asked once in a run about a revision of an earlier one.
        """
        if self._mirrored.get(inputs.uid) == inputs.number:
            return
        create, cluster = planned.revision(inputs, graph), self._world.cluster
        live = None if inputs.is_new else await self._live(create)
        if live is None:
            try:
                live = await self._writes.recorded(
                    inputs, create, lambda: cluster.create(REVISIONS, create.body, create.manager)
                )
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                live = await self._live(create)
        if live is not None and _mirrors(live, create) and not (live.get("status") or {}).get("conditions"):
            patch = planned.revision_verified(inputs, graph)
            await self._writes.recorded(
                inputs,
                patch,
                lambda: cluster.merge_patch(
                    REVISIONS, "", patch.ref.name, patch.body, manager=patch.manager, subresource="status"
                ),
            )
        await self._retire(inputs, inputs.number)
        self._mirrored[inputs.uid] = inputs.number

    def forget(self, definition_uid: str) -> None:
        """The definition is gone."""
        self._mirrored.pop(definition_uid, None)

    async def _live(self, create: PlannedWrite) -> JsonObject | None:
        try:
            return await self._world.cluster.get(REVISIONS, "", create.ref.name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def found(self, inputs: DefinitionInputs) -> list[JsonObject]:
        """The objects that are of exactly this definition, lowest number first."""
        return [item for item in await _of_name(self._world.cluster, inputs) if _owned(item, inputs)]

    async def adopted(self, inputs: DefinitionInputs) -> list[JsonObject]:
        """As ``found``, after those an earlier definition of this name left behind became this one's (§5.5)."""
        every = [item for item in await _of_name(self._world.cluster, inputs) if not terminating(item)]
        for orphan in every:
            if not _owned(orphan, inputs):
                await self._adopt(inputs, orphan)
        return every

    async def _adopt(self, inputs: DefinitionInputs, orphan: JsonObject) -> None:
        await self._patched(inputs, planned.adopted(inputs, orphan), orphan)

    async def _patched(self, inputs: DefinitionInputs, write: PlannedWrite, revision: JsonObject) -> None:
        await self._writes.recorded(
            inputs,
            write,
            lambda: self._world.cluster.merge_patch(REVISIONS, "", write.ref.name, write.body, manager=write.manager),
            planned.given(revision),
        )

    async def release(self, inputs: DefinitionInputs) -> None:
        """The definition goes: what kro put its finalizer on would wait for kro for ever."""
        for revision in await self.found(inputs):
            await self._unfinalized(inputs, revision)

    async def _retire(self, inputs: DefinitionInputs, number: int) -> None:
        """Only the newest few stay in the cluster, and those that somebody runs: a lost log gets them from there."""
        if self._most <= 0 or number <= self._most:
            return
        used = self._used(inputs)
        for old in await self.found(inputs):
            if old["spec"]["revision"] > number - self._most or old["spec"]["revision"] in used or terminating(old):
                continue
            await self._unfinalized(inputs, old)
            await self._delete(inputs, old)

    def _used(self, inputs: DefinitionInputs) -> set[int]:
        """Revisions that instances run, or are pinned to."""
        with self._world.open_reader() as reader:
            running = reader.rows("instances", "definition_uid", inputs.uid)
            pinned = reader.rows("pins", "definition_uid", inputs.uid)
            head = reader.row("definitions", inputs.uid)
        numbers = [row["settled_revision"] for row in running] + [row["number"] for row in pinned]
        return {int(str(number)) for number in numbers} | {one.number for one in SelectorPin.all_of(head)}

    async def _delete(self, inputs: DefinitionInputs, old: JsonObject) -> None:
        write = planned.retired(old)
        await self._writes.recorded(
            inputs,
            write,
            lambda: self._world.cluster.delete(REVISIONS, "", write.ref.name, uid(old)),
            planned.given(old),
        )

    async def _unfinalized(self, inputs: DefinitionInputs, revision: JsonObject) -> None:
        write = planned.revision_released(revision)
        if write is not None:
            await self._patched(inputs, write, revision)


async def _of_name(cluster: Cluster, inputs: DefinitionInputs) -> list[JsonObject]:
    """Every revision of a definition of this name, lowest number first."""
    name = inputs.name
    if len(name) > MAX_NAME:
        return []
    every = await cluster.list_objects(REVISIONS, None, f"{metadata.DEFINITION_NAME}={name}")
    mine = [item for item in every if item["spec"]["snapshot"]["name"] == name]
    return sorted(mine, key=lambda item: int(item["spec"]["revision"]))


def _mirrors(live: JsonObject, create: PlannedWrite) -> bool:
    """Whether an object is of this definition and this revision; somebody else may have taken the name."""
    mine = create.body["metadata"]
    owners = {owner.get("uid") for owner in live["metadata"].get("ownerReferences") or ()}
    hashes = {(obj["metadata"].get("labels") or {}).get(metadata.REVISION_HASH) for obj in (live, create.body)}
    return mine["ownerReferences"][0]["uid"] in owners and len(hashes) == 1


def _owned(revision: JsonObject, inputs: DefinitionInputs) -> bool:
    owners = revision["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == inputs.uid and owner.get("controller") for owner in owners)
