"""The CRD of a definition's instances: created, updated when it differs, refused when that would break somebody (spec/04 §2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, Resource, labels, uid
from kro_es.controller.crds import Served
from kro_es.controller.definition_writes import DefinitionWrites
from kro_es.controller.world import World
from kro_es.errors import ApiError
from kro_es.events.types import CrdApplied
from kro_es.graph.node import ResourceGraph
from kro_es.schema.compat import CompatibilityError, Report, compare
from kro_es.schema.covered import covered
from kro_es.schema.crd import crd_for
from kro_es.schema.plural import plural

CRDS = Resource(
    Gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), "customresourcedefinitions", namespaced=False
)


class GeneratedCrds:
    """Every refusal is an ApiError with the text the condition shows."""

    def __init__(self, world: World, writes: DefinitionWrites) -> None:
        self._world = world
        self._writes = writes

    async def ensure(self, obj: JsonObject, graph: ResourceGraph, number: int) -> JsonObject:
        """The CRD as revision ``number`` wants it; returns it as established."""
        meta = obj["metadata"]
        wanted = crd_for(graph.crd, meta["name"], meta["uid"], self._world.standing.version)
        established = await self._ensured(obj, wanted, number)
        if not covered(established, wanted):
            # somebody edited it in between: what this returns is taken for ours, so that no event would tell of it
            established = await self._ensured(obj, wanted, number)
        return established

    async def _ensured(self, obj: JsonObject, wanted: JsonObject, number: int) -> JsonObject:
        name = wanted["metadata"]["name"]
        live = await self._live(name)
        if live is None:
            await self._create(obj, wanted, number)
        else:
            _refuse_foreign(live, obj["metadata"]["name"])
            if not covered(live, wanted):
                await self._update(obj, live, wanted, number)
            elif Served.of(live).established:
                return live
        return await self._world.cluster.wait_established(name)

    async def installed(self, obj: JsonObject, graph: ResourceGraph) -> bool:
        """Whether the API of the graph is there, just as it would be written for this definition."""
        meta = obj["metadata"]
        wanted = crd_for(graph.crd, meta["name"], meta["uid"], self._world.standing.version)
        live = await self._live(wanted["metadata"]["name"])
        return live is not None and covered(live, wanted)

    async def remove(self, obj: JsonObject) -> None:
        """Delete the CRD, and with it every instance, if it is this definition's; one without a spec has none."""
        schema = (obj.get("spec") or {}).get("schema") or {}
        if not schema.get("kind"):
            return
        name = f"{plural(schema['kind'])}.{schema.get('group') or metadata.GROUP}"
        live = await self._live(name)
        if live is None or labels(live).get(metadata.DEFINITION_NAME) != obj["metadata"]["name"]:
            return
        write = self._writes.planned("delete", CRDS, name, {}, "CRD deleted")
        await self._writes.recorded(obj, write, lambda: self._world.cluster.delete(CRDS, "", name, uid(live)))

    async def _live(self, name: str) -> JsonObject | None:
        try:
            with _said("failed to check for existing CRD"):
                return await self._world.cluster.get(CRDS, "", name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def _create(self, obj: JsonObject, wanted: JsonObject, number: int) -> None:
        name = wanted["metadata"]["name"]
        write = self._writes.planned("create", CRDS, name, wanted, "CRD created")
        with _said("failed to create CRD"):
            await self._writes.recorded(
                obj, write, lambda: self._world.cluster.create(CRDS, wanted, metadata.CONTROLLER_MANAGER)
            )
        await self._applied(obj, wanted, number, None)

    async def _update(self, obj: JsonObject, live: JsonObject, wanted: JsonObject, number: int) -> None:
        name = wanted["metadata"]["name"]
        allowed = (obj["metadata"].get("annotations") or {}).get(metadata.ALLOW_BREAKING) == "true"
        try:
            report = compare(live, wanted)
        except CompatibilityError as error:
            raise ApiError(422, "Invalid", f"failed to check schema compatibility: {error}") from error
        if report.breaking and not allowed:
            raise ApiError(422, "Invalid", f"cannot update CRD {name}: breaking changes detected: {report.summary}")
        names = {"shortNames": None, "categories": None, **wanted["spec"]["names"]}
        body = {"spec": {**wanted["spec"], "names": names}, "metadata": _only_metadata(wanted)}
        write = self._writes.planned("patch", CRDS, name, body, "CRD updated")
        with _said("failed to patch CRD"):
            await self._writes.recorded(
                obj,
                write,
                lambda: self._world.cluster.merge_patch(CRDS, "", name, body, manager=metadata.CONTROLLER_MANAGER),
            )
        await self._applied(obj, wanted, number, report)

    async def _applied(self, obj: JsonObject, wanted: JsonObject, number: int, report: Report | None) -> None:
        """``report`` None: the CRD is new."""
        body = CrdApplied(
            definition_uid=obj["metadata"]["uid"],
            definition=obj["metadata"]["name"],
            number=number,
            crd=wanted["metadata"]["name"],
            created=report is None,
            breaking=tuple(map(str, report.breaking)) if report else (),
            compatible=tuple(map(str, report.non_breaking)) if report else (),
        )
        await self._writes.noted(obj, body)


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


def _only_metadata(wanted: JsonObject) -> JsonObject:
    meta = wanted["metadata"]
    return {name: meta[name] for name in ("labels", "annotations") if meta.get(name)}
