"""Every write about a definition, each with its intent before and its outcome after, in the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource, labels
from kro_es.controller.ingest import Sent
from kro_es.controller.world import World
from kro_es.decisions import record
from kro_es.decisions.record import Thread
from kro_es.decisions.writes import PlannedWrite, Verb
from kro_es.errors import ApiError
from kro_es.events.from_watch import Seen
from kro_es.events.types import Actor, ReconcileDecided, Subject, definition_stream
from kro_es.graph.node import ResourceGraph
from kro_es.plan import owned
from kro_es.schema.compat import breaking_summary
from kro_es.schema.crd import crd_for

logger = structlog.get_logger(__name__)

DEFINITIONS = Resource(
    Gvk.parse(metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND), "resourcegraphdefinitions", namespaced=False
)
CRDS = Resource(
    Gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), "customresourcedefinitions", namespaced=False
)


class DefinitionWrites:
    """Stateless; a write that fails raises the ApiError after it is recorded."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def finalize(self, obj: JsonObject) -> None:
        meta = obj["metadata"]
        found = meta.get("finalizers") or []
        if metadata.FINALIZER in found:
            return
        body = {"metadata": {"uid": meta["uid"], "finalizers": [*found, metadata.FINALIZER]}}
        await self._patch_definition(obj, body, what="finalizer")

    async def release(self, obj: JsonObject) -> None:
        meta = obj["metadata"]
        found = meta.get("finalizers") or []
        if metadata.FINALIZER not in found:
            return
        rest = [name for name in found if name != metadata.FINALIZER]
        body = {"metadata": {"uid": meta["uid"], "finalizers": rest}}
        await self._patch_definition(obj, body, what="finalizer released")

    async def status(self, obj: JsonObject, status: JsonObject) -> None:
        """A merge patch of what differs; nothing when nothing does."""
        before = obj.get("status") or {}
        changed: JsonObject = {name: value for name, value in status.items() if before.get(name) != value}
        changed |= {name: None for name in before if name not in status}
        if changed:
            await self._patch_definition(obj, {"status": changed}, what="status", subresource="status")

    async def ensure_crd(self, obj: JsonObject, graph: ResourceGraph) -> JsonObject:
        """The instance CRD as the graph wants it; returns it as established (spec/04 §2.6)."""
        meta = obj["metadata"]
        wanted = crd_for(graph.crd, meta["name"], meta["uid"], self._world.version)
        name = wanted["metadata"]["name"]
        try:
            live = await self._world.cluster.get(CRDS, "", name)
        except ApiError as error:
            if not error.not_found:
                raise
            write = self.planned("create", CRDS, name, wanted, "CRD created")
            await self.recorded(
                obj, write, lambda: self._world.cluster.create(CRDS, wanted, metadata.CONTROLLER_MANAGER)
            )
        else:
            await self._update_crd(obj, live, wanted)
        return await self._world.cluster.wait_established(name)

    async def installed(self, obj: JsonObject, graph: ResourceGraph) -> bool:
        """Whether the API of the graph is there, just as it would be written for this definition."""
        meta = obj["metadata"]
        wanted = crd_for(graph.crd, meta["name"], meta["uid"], self._world.version)
        try:
            live = await self._world.cluster.get(CRDS, "", wanted["metadata"]["name"])
        except ApiError as error:
            if not error.not_found:
                raise
            return False
        return _covers(live, wanted)

    async def _update_crd(self, obj: JsonObject, live: JsonObject, wanted: JsonObject) -> None:
        name, mine = wanted["metadata"]["name"], obj["metadata"]["name"]
        found = labels(live)
        owned_by_kro = (
            found[metadata.OWNED] == "true" if metadata.OWNED in found else found.get(metadata.MANAGED_BY) == "kro"
        )
        if not owned_by_kro:
            raise ApiError(409, "Conflict", f"failed to update CRD {name}: CRD already exists and is not owned by KRO")
        theirs = found.get(metadata.DEFINITION_NAME)
        if theirs != mine:
            text = f"failed to update CRD {name}: CRD is owned by another ResourceGraphDefinition {theirs}"
            raise ApiError(409, "Conflict", text)
        if _covers(live, wanted):
            return
        allowed = (obj["metadata"].get("annotations") or {}).get(metadata.ALLOW_BREAKING) == "true"
        breaking = breaking_summary(live, wanted)
        if breaking and not allowed:
            raise ApiError(422, "Invalid", f"cannot update CRD {name}: breaking changes detected: {breaking}")
        names = {"shortNames": None, "categories": None, **wanted["spec"]["names"]}
        body = {"spec": {**wanted["spec"], "names": names}, "metadata": _only_metadata(wanted)}
        write = self.planned("patch", CRDS, name, body, "CRD updated")
        await self.recorded(
            obj,
            write,
            lambda: self._world.cluster.merge_patch(CRDS, "", name, body, manager=metadata.CONTROLLER_MANAGER),
        )

    async def _patch_definition(self, obj: JsonObject, body: JsonObject, *, what: str, subresource: str = "") -> None:
        name = obj["metadata"]["name"]
        write = self.planned("patch", DEFINITIONS, name, body, what, subresource=subresource)
        await self.recorded(
            obj,
            write,
            lambda: self._world.cluster.merge_patch(
                DEFINITIONS, "", name, body, manager=metadata.CONTROLLER_MANAGER, subresource=subresource
            ),
        )

    def planned(
        self, verb: Verb, resource: Resource, name: str, body: JsonObject, what: str, *, subresource: str = ""
    ) -> PlannedWrite:
        ref = ObjectRef(resource.gvk.group, resource.gvk.kind, "", name)
        return PlannedWrite(
            0, verb, resource, ref, body, metadata.CONTROLLER_MANAGER, subresource, digest=owned.digest(body), what=what
        )

    async def recorded(
        self, obj: JsonObject, write: PlannedWrite, send: Callable[[], Awaitable[JsonObject | None]]
    ) -> JsonObject | None:
        """Intent, write, outcome; the answer about the definition itself is an observation too."""
        world, meta = self._world, obj["metadata"]
        subject = Subject(metadata.GROUP, metadata.DEFINITION_KIND, "", meta["name"], meta["uid"])
        thread = Thread(definition_stream(meta["uid"]), subject, 0, "")
        now = world.clock()
        with world.open_reader() as reader:
            position = reader.position
        decided = ReconcileDecided(now, position, (), (write.described(0),), engine=world.engine, why=write.what)
        intent = (await world.log.append([thread.event(decided, now)]))[0].position
        actor = Actor(write.manager, "controller")
        try:
            with world.ingest.sending(write.ref, Sent(actor, intent)):
                answer = await send()
        except ApiError as error:
            await world.log.append([thread.event(record.failed(write, 0, intent, error, error.message), world.clock())])
            raise
        events = [thread.event(record.outcome(write, 0, intent, answer), world.clock(), cause=intent)]
        if answer is not None and write.resource is DEFINITIONS:
            seen = world.ingest.observation(Seen(answer, "response", world.clock(), actor=actor, cause=intent))
            events = [seen, *events] if seen else events
        await world.log.append(events)
        return answer


def _covers(live: JsonObject, wanted: JsonObject) -> bool:
    """True when the live CRD already has everything we would write; what the server defaulted is no difference."""
    return _within(wanted["spec"], live["spec"]) and _within(_unversioned(_only_metadata(wanted)), live["metadata"])


def _within(wanted: object, live: object) -> bool:
    if isinstance(wanted, dict) and isinstance(live, dict):
        if wanted.keys() == {"type"} or "properties" in wanted:
            # a schema node: anything more in the live one is a difference
            return wanted.keys() == live.keys() and all(
                (name != "properties" or value.keys() == live[name].keys()) and _within(value, live[name])
                for name, value in wanted.items()
            )
        return all(name in live and _within(value, live[name]) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list):
        return len(wanted) == len(live) and all(_within(*pair) for pair in zip(wanted, live, strict=True))
    return wanted == live


def _only_metadata(wanted: JsonObject) -> JsonObject:
    meta = wanted["metadata"]
    return {name: meta[name] for name in ("labels", "annotations") if meta.get(name)}


def _unversioned(meta: JsonObject) -> JsonObject:
    """Without the label that says our version: it is written with another change, never for its own sake."""
    found = {name: value for name, value in (meta.get("labels") or {}).items() if name != metadata.VERSION}
    return {**meta, "labels": found}
