"""The CRD of a definition's instances: created, updated when it differs, refused when that would break somebody (spec/04 §2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, labels, uid
from kro_es.controller.crds import Served
from kro_es.controller.definition_writes import DefinitionWrites
from kro_es.controller.world import World
from kro_es.decisions import definition
from kro_es.decisions import definition_writes as planned
from kro_es.decisions.definition import DefinitionInputs
from kro_es.decisions.definition_writes import CRDS
from kro_es.errors import ApiError
from kro_es.graph.node import ResourceGraph
from kro_es.schema.covered import covered


class Incompatible(ApiError):
    """The installed API may not become the one that is wanted; ``installed``: its versions."""

    def __init__(self, message: str, installed: list[JsonObject]) -> None:
        super().__init__(422, "Invalid", message)
        self.installed = installed


class GeneratedCrds:
    """Every refusal is an ApiError with the text the condition shows."""

    def __init__(self, world: World, writes: DefinitionWrites) -> None:
        self._world = world
        self._writes = writes

    async def ensure(self, inputs: DefinitionInputs, graph: ResourceGraph, number: int) -> JsonObject:
        """The CRD as revision ``number`` wants it; returns it as established."""
        established = await self._ensured(inputs, graph, number)
        if not covered(established, definition.wanted_crd(inputs, graph)):
            # somebody edited it in between: what this returns is taken for ours, so that no event would tell of it
            established = await self._ensured(inputs, graph, number)
        return established

    async def _ensured(self, inputs: DefinitionInputs, graph: ResourceGraph, number: int) -> JsonObject:
        wanted = definition.wanted_crd(inputs, graph)
        name = wanted["metadata"]["name"]
        live = await self._live(name)
        if live is None:
            await self._create(inputs, graph, number)
        else:
            _refuse_foreign(live, inputs.name)
            if not covered(live, wanted):
                await self._update(inputs, graph, number, live["spec"].get("versions") or [])
            elif Served.of(live).established:
                return live
        return await self._world.cluster.wait_established(name)

    async def installed(self, inputs: DefinitionInputs, graph: ResourceGraph) -> bool:
        """Whether the API of the graph is there, just as it would be written for this definition."""
        wanted = definition.wanted_crd(inputs, graph)
        live = await self._live(wanted["metadata"]["name"])
        return live is not None and covered(live, wanted)

    async def remove(self, inputs: DefinitionInputs) -> None:
        """Delete the CRD, and with it every instance, if it is this definition's."""
        write = planned.crd_deleted(inputs)
        live = await self._live(write.ref.name) if write is not None else None
        if write is None or live is None or labels(live).get(metadata.DEFINITION_NAME) != inputs.name:
            return
        await self._writes.recorded(
            inputs, write, lambda: self._world.cluster.delete(CRDS, "", write.ref.name, uid(live))
        )

    async def _live(self, name: str) -> JsonObject | None:
        try:
            with _said("failed to check for existing CRD"):
                return await self._world.cluster.get(CRDS, "", name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def _create(self, inputs: DefinitionInputs, graph: ResourceGraph, number: int) -> None:
        write = planned.crd_created(inputs, graph)
        with _said("failed to create CRD"):
            await self._writes.recorded(
                inputs, write, lambda: self._world.cluster.create(CRDS, write.body, write.manager)
            )
        await self._writes.noted(inputs, definition.crd_applied(inputs, graph, number, None))

    async def _update(
        self, inputs: DefinitionInputs, graph: ResourceGraph, number: int, installed: list[JsonObject]
    ) -> None:
        text = definition.breaks(inputs, graph, installed)
        if text:
            raise Incompatible(text, installed)
        write = planned.crd_updated(inputs, graph)
        with _said("failed to patch CRD"):
            await self._writes.recorded(
                inputs,
                write,
                lambda: self._world.cluster.merge_patch(CRDS, "", write.ref.name, write.body, manager=write.manager),
            )
        await self._writes.noted(inputs, definition.crd_applied(inputs, graph, number, installed))


def _refuse_foreign(live: JsonObject, mine: str) -> None:
    """A CRD is kro's by its label, and this definition's by the name on it; another uid means an earlier one of that name."""
    name, found = live["metadata"]["name"], labels(live)
    owned = found[metadata.OWNED] == "true" if metadata.OWNED in found else found.get(metadata.MANAGED_BY) == "kro"
    if not owned:
        raise ApiError(409, "Conflict", f"failed to update CRD {name}: CRD already exists and is not owned by KRO")
    theirs = found.get(metadata.DEFINITION_NAME, "")
    if theirs != mine:
        text = f"failed to update CRD {name}: CRD is owned by another ResourceGraphDefinition {theirs}"
        raise ApiError(409, "Conflict", text)


@contextmanager
def _said(what: str) -> Iterator[None]:
    """A refusal of the API server, with what was tried before its text."""
    try:
        yield
    except ApiError as error:
        text = f"{what}: {error.message}"
        raise ApiError(error.status, error.reason, text, retry_after=error.retry_after) from error
