"""The end of an instance: its finalizer goes when everything it owned is proved gone, and not before."""

from __future__ import annotations

from typing import Literal

import structlog

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.controller.ingest import Sent
from kro_es.controller.world import World
from kro_es.decisions import deletion, record
from kro_es.decisions.decide import releasing
from kro_es.decisions.inputs import InstanceInputs
from kro_es.decisions.writes import PlannedWrite
from kro_es.errors import ApiError
from kro_es.events.from_watch import Seen, subject_of
from kro_es.events.types import Actor, NewEvent, ObjectDeleted
from kro_es.plan.applyset import applyset_id, parse_inventory

logger = structlog.get_logger(__name__)

Outcome = Literal["settled", "retry"]
Released = Literal["settled", "retry", "refused"]


class Releases:
    """Stateless; called when no member of the instance is recorded any more."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def release(self, inputs: InstanceInputs, *, surely: bool, failed: dict[str, str]) -> Released:
        """``surely``: every write of ours for the instance was answered, so what is recorded is all there can be.

        A refusal is put into ``failed``, for the next decision of the pass to tell.
        """
        left = await self._left(inputs, surely=surely)
        if left:
            names = [str(ref) for ref in left]
            logger.info("members are left", instance=str(ObjectRef.of(inputs.instance)), members=names)
            return "retry"
        ref = ObjectRef.of(inputs.instance)
        resource = await self._world.located(ref.group, ref.kind)
        if resource is None:
            return "settled"
        return await self._released(inputs, deletion.release(inputs, resource), failed)

    async def _released(self, inputs: InstanceInputs, write: PlannedWrite, failed: dict[str, str]) -> Released:
        world, ref = self._world, write.ref
        thread = record.thread(inputs)
        decided = record.decided(inputs, releasing(write), world.engine)
        intent = (await world.log.append([thread.event(decided, inputs.now)]))[0].position
        answer: JsonObject | None = None
        try:
            with world.ingest.sending(ref, Sent(Actor(write.manager, "controller"), intent, thread.correlation)):
                answer = await world.cluster.merge_patch(
                    write.resource, ref.namespace, ref.name, write.body, manager=write.manager
                )
        except ApiError as error:
            if not error.not_found:
                failure = record.failed(write, 0, intent, error, error.message)
                await world.log.append([thread.event(failure, world.clock())])
                failed[write.key] = failure.message
                return "refused"
        now = world.clock()
        done = thread.event(record.outcome(write, 0, intent, answer), now)
        gone = thread.event(record.gone(inputs), now)
        await world.log.append([done, gone, *self._last_seen(inputs, answer, intent)])
        return "settled"

    def _last_seen(self, inputs: InstanceInputs, answer: JsonObject | None, intent: int) -> list[NewEvent]:
        """Without a finalizer of somebody else the patch was the end of the object; no pass must find it again."""
        ingest = self._world.ingest
        if not record.still_there(answer):
            return [ingest.gone(subject_of(inputs.instance), ObjectDeleted("response"))]
        assert answer is not None
        actor = Actor(metadata.CONTROLLER_MANAGER, "controller")
        seen = ingest.observation(Seen(answer, "response", self._world.clock(), actor=actor, cause=intent))
        return [seen] if seen else []

    async def _left(self, inputs: InstanceInputs, *, surely: bool) -> list[ObjectRef]:
        """Members still in the API, recorded as observations; a kind that is no longer served has none.

        Kinds whose watch is up have none: none is recorded, and every write of ours was answered.
        """
        ref = ObjectRef.of(inputs.instance)
        inventory = parse_inventory(inputs.instance)
        selector = f"{metadata.PART_OF}={applyset_id(ref)}"
        namespaces = sorted({ref.namespace or "default", *inventory.namespaces})
        found: list[JsonObject] = []
        for group_kind in sorted(inventory.group_kinds):
            kind, _, group = group_kind.partition(".")
            if surely and self._world.ingest.watches_members(group, kind):
                continue
            resource = await self._world.cluster.resource_for_group_kind(group, kind)
            if resource is None:
                continue
            for namespace in namespaces if resource.namespaced else [None]:
                found += await self._world.cluster.list_objects(resource, namespace, selector)
        events = [self._world.ingest.observation(Seen(obj, "read", self._world.clock())) for obj in found]
        await self._world.log.append([event for event in events if event is not None])
        return [ObjectRef.of(obj) for obj in found]
