"""Every write about a definition, each with its intent before and its outcome after, in the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kro_es.api import metadata
from kro_es.api.objects import JsonObject
from kro_es.controller.ingest import Sent
from kro_es.controller.world import World
from kro_es.decisions import definition_writes as planned
from kro_es.decisions import record
from kro_es.decisions.definition import DefinitionInputs
from kro_es.decisions.definition_writes import DEFINITIONS
from kro_es.decisions.record import Thread
from kro_es.decisions.writes import PlannedWrite
from kro_es.errors import ApiError
from kro_es.events.from_watch import Seen
from kro_es.events.types import Actor, Body, NewEvent, Subject, definition_stream


class DefinitionWrites:
    """Stateless; a write that fails raises the ApiError after it is recorded."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def finalize(self, inputs: DefinitionInputs) -> None:
        """The patch replaces the whole list: it must not take away what somebody else has put there meanwhile."""
        write = planned.finalizer(inputs)
        newest = self._world.ingest.latest_version(write.ref) if write else 0
        await self._patched(inputs, write, {}, at=newest)

    async def release(self, inputs: DefinitionInputs) -> None:
        await self._patched(inputs, planned.released(inputs), {})

    async def status(self, inputs: DefinitionInputs, status: JsonObject, given: JsonObject) -> None:
        """``given``: what it was made of beside the inputs."""
        await self._patched(inputs, planned.status(inputs, status), given)

    async def noted(self, inputs: DefinitionInputs, body: Body) -> None:
        """A fact about the definition, in its stream."""
        await self._world.log.append([_thread(inputs).event(body, self._world.clock())])

    async def _patched(
        self, inputs: DefinitionInputs, write: PlannedWrite | None, given: JsonObject, *, at: int = 0
    ) -> None:
        """``at``: the resourceVersion it may be changed from; 0 for any."""
        if write is None:
            return
        body = {**write.body, "metadata": {**write.body["metadata"], "resourceVersion": str(at)}} if at else write.body
        await self.recorded(
            inputs,
            write,
            lambda: self._world.cluster.merge_patch(
                DEFINITIONS, "", inputs.name, body, manager=write.manager, subresource=write.subresource
            ),
            given,
        )

    async def recorded(
        self,
        inputs: DefinitionInputs,
        write: PlannedWrite,
        send: Callable[[], Awaitable[JsonObject | None]],
        given: JsonObject | None = None,
    ) -> JsonObject | None:
        """Intent, write, outcome; the answer about the definition itself is an observation too."""
        world, thread = self._world, _thread(inputs)
        decided = planned.decided(inputs, write, given or {})
        intent = (await world.log.append([thread.event(decided, world.clock())]))[0].position
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


def happened(
    inputs: DefinitionInputs,
    body: Body,
    now: int,
    *,
    actor: Actor = record.CONTROLLER,
    cause: int = 0,
    correlation: str = "",
) -> NewEvent:
    """In the stream of the definition."""
    stream = definition_stream(inputs.uid)
    return NewEvent(stream, body, _subject(inputs), actor, now, cause=cause, correlation=correlation)


def _subject(inputs: DefinitionInputs) -> Subject:
    return Subject(metadata.GROUP, metadata.DEFINITION_KIND, "", inputs.name, inputs.uid)


def _thread(inputs: DefinitionInputs) -> Thread:
    return Thread(definition_stream(inputs.uid), _subject(inputs), 0, "")
