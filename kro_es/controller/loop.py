"""The running controller: what is watched, who works on which key, and what makes it ready or not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import structlog

from kro_es.api import metadata
from kro_es.api.objects import Gvk, ObjectRef, Resource
from kro_es.api.selector import Requirement, Selector
from kro_es.api.watch import Listed, Watched, WatchItem, lacking
from kro_es.controller.compiling import Compiler
from kro_es.controller.crds import CustomKinds
from kro_es.controller.definition_reconciler import DefinitionReconciler, Keep
from kro_es.controller.instance_reconciler import InstanceReconciler
from kro_es.controller.pinned import PinnedRevisions
from kro_es.controller.projector import Projector
from kro_es.controller.queue import Key, Queue
from kro_es.controller.release import Outcome
from kro_es.controller.single_watches import FORBIDDEN, SingleWatches, Watches
from kro_es.controller.telemetry import Metrics
from kro_es.controller.world import World
from kro_es.decisions.definition_writes import CRDS, DEFINITIONS
from kro_es.errors import ApiError, FenceLost, KroEsError
from kro_es.events.redaction import scrub
from kro_es.events.types import Event
from kro_es.graph.node import ResourceGraph

logger = structlog.get_logger(__name__)

MEMBERS = Selector((Requirement(metadata.PART_OF, "Exists"),))
"""Children are watched by the presence of this label, so that a busy cluster costs nothing."""


class Loop:
    """Workers over one queue; definitions and instances share it, a key is never worked on twice at once."""

    def __init__(self, world: World, queue: Queue, projector: Projector, metrics: Metrics, *, keep: Keep) -> None:
        self._world = world
        self._queue = queue
        self._projector = projector
        self._metrics = metrics
        self.custom_kinds = CustomKinds(queue.add)
        self._definitions = DefinitionReconciler(
            world, self.custom_kinds, serve=self.serve, withdraw=self.withdraw, again=projector.again, keep=keep
        )
        pinned = PinnedRevisions(world, Compiler(world, self.custom_kinds), self.watch)
        self._instances = InstanceReconciler(world, pinned)
        self._watches: Watches | None = None
        self._begun = asyncio.Event()
        self._coming: set[str] = set()
        """Definitions of the log that had no pass in this run yet."""
        self._in_want: dict[Key, frozenset[Watched]] = {}
        """Definitions that were refused a watch, until one of these lists."""
        self.synced = False
        self.failed: BaseException | None = None
        """What stopped the controller from acting; readiness is false from then on."""

    def attach(self, watches: Watches) -> None:
        self._watches = watches
        self._world.externals.attach(SingleWatches(watches, self._world.ingest, self._world.cluster))

    async def start_watching(
        self, kinds: Mapping[Gvk, str], members: Iterable[Gvk], located: Mapping[Gvk, Resource]
    ) -> None:
        """CRDs first, which tell where custom kinds are; kinds of recorded children and instances; then the definitions.

        ``kinds``: instance kind to the uid of its definition. They are served even when the definition is gone:
        deleting an instance needs its inventory, not its graph. ``members``: kinds of recorded children. ``located``:
        where the server had them before.
        """
        await self._ensure(CRDS, None)
        for gvk in sorted(members):
            await self._ensure_recorded(gvk, MEMBERS, located.get(gvk))
        for gvk, definition_uid in sorted(kinds.items()):
            await self._ensure_recorded(gvk, None, None)
            self._projector.know(gvk.group, gvk.kind, definition_uid)
        await self._ensure(DEFINITIONS, None)
        await self._definitions.learn_redactions()

    def begin(self) -> None:
        """When all lists are in the log, and what they show of writes nobody knows the outcome of: passes may act now."""
        self._begun.set()
        # what did not change while we were away makes no event: every recorded definition gets its pass from here
        self._coming = self._queue_definitions()
        self._projector.take_up(self._coming)
        self.synced = True

    async def _ensure_recorded(self, gvk: Gvk, selector: Selector | None, before: Resource | None) -> None:
        """A right to one kind that was taken away meanwhile must not keep the controller from all the others."""
        try:
            await self._take_up(gvk, selector, before)
        except ApiError as error:
            if error.status != FORBIDDEN:
                raise
            logger.error("what is recorded of a kind cannot be looked after", kind=str(gvk), error=error.message)

    async def _take_up(self, gvk: Gvk, selector: Selector | None, before: Resource | None) -> None:
        """Watch a kind of the log; the server is asked where it is only when that is not known, or not so any more."""
        assert self._watches is not None
        known = self.custom_kinds.located(gvk) or before
        if known is not None:
            watched = Watched(known, selector)
            try:
                await self._watches.ensure(watched)
            except ApiError as error:
                if not error.not_found:
                    raise
            else:
                return
            await self._watches.stop(watched)
            self.custom_kinds.missing((gvk.group, gvk.kind))
        served = await self._world.cluster.resource_for_group_kind(gvk.group, gvk.kind)
        if served is not None:
            await self._ensure(served, selector)

    async def _ensure(self, resource: Resource, selector: Selector | None) -> None:
        """A kind that is not there hides nothing: whoever needs it goes on, and its watch begins when it comes."""
        assert self._watches is not None
        try:
            await self._watches.ensure(Watched(resource, selector))
        except ApiError as error:
            if not error.not_found:
                raise

    async def serve(self, graph: ResourceGraph, definition: str, definition_uid: str, *, again: bool) -> None:
        """Watch what the graph needs, then let its instances follow it; ``again``: each gets a pass whatever it had."""
        await self._begun.wait()
        key = _definition_key(definition_uid, definition)
        instances = Watched(graph.instance, None)
        if refused := await self._refused(_children(graph)):
            raise self._lacking(key, [*refused, *await self._refused([instances])])
        self._coming.discard(definition_uid)
        gvk = graph.instance.gvk
        first = self._world.graphs.server(gvk.group, gvk.kind) != definition_uid
        self._world.graphs.serve(gvk.group, gvk.kind, definition_uid)
        if refused := await self._refused([instances]):
            raise self._lacking(key, refused)
        if first or again:
            self._projector.serve(gvk.group, gvk.kind, definition_uid)

    async def watch(self, graph: ResourceGraph) -> None:
        """The kinds of its children. Raises ApiError that names all the controller has no right to."""
        if refused := await self._refused(_children(graph)):
            raise ApiError(FORBIDDEN, "Forbidden", lacking(*refused))

    async def _refused(self, wanted: Iterable[Watched]) -> list[Watched]:
        """Every watch is begun; those that may not be: a person gives all the rights at once."""
        refused = []
        for watched in wanted:
            try:
                await self._ensure(watched.resource, watched.selector)
            except ApiError as error:
                if error.status != FORBIDDEN:
                    raise
                refused.append(watched)
        return refused

    def _lacking(self, key: Key, refused: Sequence[Watched]) -> ApiError:
        """What to raise; the first list of any of them gives the definition a pass."""
        self._in_want[key] = frozenset(refused)
        return ApiError(FORBIDDEN, "Forbidden", lacking(*refused))

    def withdraw(self, definition_uid: str) -> None:
        """The kind stays watched, so that instances of a deleted definition can still be deleted."""
        self._world.graphs.withdraw(definition_uid)

    async def sink(self, watched: Watched, item: WatchItem) -> None:
        await self._world.ingest.sink(watched, item)
        if isinstance(item, Listed):
            for key in [key for key, wanted in self._in_want.items() if watched in wanted]:
                del self._in_want[key]
                self._queue.add(key)

    def committed(self, events: Sequence[Event]) -> None:
        for name, count in Counter(event.type for event in events).items():
            self._metrics.events.labels(name).inc(count)
        for event in events:
            self.custom_kinds.committed(event)
        if events:
            self._metrics.position.set(events[-1].position)
        self._projector.committed(events)

    def resync(self) -> None:
        """Every key once: a net under the events, not what the controller runs on."""
        self._definitions.forget_settled()
        self._queue_definitions()
        self._projector.requeue()

    def look_again(self) -> None:
        """Definitions that the start took up from the log, against the kinds as the server has them now."""
        for key in sorted(self._definitions.unseen()):
            self._queue.add(key)

    def _queue_definitions(self) -> set[str]:
        """All that are recorded; returns their uids."""
        with self._world.open_reader() as reader:
            rows = reader.rows("objects", "kind_key", f"{metadata.GROUP}/{metadata.DEFINITION_KIND}")
        for row in rows:
            self._queue.add(_definition_key(str(row["uid"]), str(row["name"])))
        return {str(row["uid"]) for row in rows}

    async def work(self) -> None:
        """One worker, until cancelled."""
        while True:
            key = await self._queue.take()
            self._metrics.depth.set(self._queue.depth)
            began = time.perf_counter()
            outcome = await self._pass(key)
            self._metrics.reconciles.labels(key.kind).inc()
            self._metrics.seconds.labels(key.kind).observe(time.perf_counter() - began)
            if outcome == "retry":
                self._metrics.errors.labels(key.kind).inc()
            self._queue.done(key, failed=outcome == "retry", after=outcome if isinstance(outcome, float) else None)

    async def _pass(self, key: Key) -> Outcome | float:
        """Whether, or in how many seconds, the key should come back. One broken object never stops the others."""
        try:
            if key.kind == "definition":
                return await self._defined(key)
            return await self._instances.reconcile(key)
        except asyncio.CancelledError:
            raise
        except FenceLost as error:
            self.failed = error
            raise
        except ApiError as error:
            self._warn("the API server refused", key, error)
        except KroEsError as error:
            self._warn("a pass failed", key, error)
        except Exception as error:
            logger.exception("a pass crashed", key=key.ref, error=self._scrubbed(error))
        return "retry"

    async def _defined(self, key: Key) -> Outcome:
        """A definition that serves nothing after a start has instances all the same: pinned ones, and what to tell."""
        outcome = await self._definitions.reconcile(key)
        if key.uid in self._coming:
            self._coming.discard(key.uid)
            self._projector.again(key.uid)
        return outcome

    def _warn(self, text: str, key: Key, error: Exception) -> None:
        logger.warning(text, key=key.ref, kind=key.kind, error=self._scrubbed(error))

    def _scrubbed(self, error: Exception) -> str:
        return scrub(str(error), self._world.ingest.vault.texts)


def _definition_key(uid: str, name: str) -> Key:
    return Key("definition", uid, ObjectRef(metadata.GROUP, metadata.DEFINITION_KIND, "", name).key)


def _children(graph: ResourceGraph) -> list[Watched]:
    return [Watched(one, MEMBERS) for one in sorted({node.resource for node in graph.nodes if not node.external})]
