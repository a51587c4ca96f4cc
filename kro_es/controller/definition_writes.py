"""Every write about a definition, each with its intent before and its outcome after, in the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.controller.ingest import Sent
from kro_es.controller.world import World
from kro_es.decisions import record
from kro_es.decisions.record import Thread
from kro_es.decisions.writes import PlannedWrite, Verb
from kro_es.errors import ApiError
from kro_es.events.from_watch import Seen
from kro_es.events.types import Actor, Body, ReconcileDecided, Subject, definition_stream
from kro_es.plan import owned

logger = structlog.get_logger(__name__)

DEFINITIONS = Resource(
    Gvk.parse(metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND), "resourcegraphdefinitions", namespaced=False
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

    async def noted(self, obj: JsonObject, body: Body) -> None:
        """A fact about the definition, in its stream."""
        thread = _thread(obj)
        await self._world.log.append([thread.event(body, self._world.clock())])

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
        world, thread = self._world, _thread(obj)
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


def _thread(obj: JsonObject) -> Thread:
    meta = obj["metadata"]
    subject = Subject(metadata.GROUP, metadata.DEFINITION_KIND, "", meta["name"], meta["uid"])
    return Thread(definition_stream(meta["uid"]), subject, 0, "")
