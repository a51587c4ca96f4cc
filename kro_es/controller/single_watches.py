"""Watches of single objects: one each while they are few; of very many of one kind one together, recorded as if they were alone."""

from __future__ import annotations

from typing import Protocol

from kro_es.api.objects import JsonObject, ObjectRef, Resource, resource_version
from kro_es.api.watch import Listed, Watched
from kro_es.controller.ingest import Ingest
from kro_es.controller.ports import Cluster
from kro_es.errors import ApiError

MOST = 32
"""Single objects of one kind watched one by one: each is a connection of its own."""
FORBIDDEN = 403
_NOTHING = "kro-es/nothing,!kro-es/nothing"
"""A selector no object matches: what is asked for is the answer's status."""


class Watches(Protocol):
    """Kept watches, shared by all who need the same."""

    async def ensure(self, watched: Watched) -> None:
        """Start the watch unless it runs; returns when its first list is in the log."""
        ...

    async def stop(self, watched: Watched) -> None: ...


class SingleWatches:
    """Any watch is passed on; those of single objects beyond the first of their kind share a watch of the whole kind."""

    def __init__(self, watches: Watches, ingest: Ingest, cluster: Cluster) -> None:
        self._watches = watches
        self._ingest = ingest
        self._cluster = cluster
        self._alone: dict[Resource, set[Watched]] = {}
        self._together: dict[Resource, set[Watched]] = {}
        self._listable: dict[Resource, bool] = {}

    async def ensure(self, watched: Watched) -> None:
        alone = self._alone.setdefault(watched.resource, set())
        many = watched.name and watched not in alone and len(alone) >= MOST
        if many and await self._may_list(watched.resource):
            await self._join(watched)
            return
        if watched.name:
            alone.add(watched)
        await self._watches.ensure(watched)

    async def _may_list(self, resource: Resource) -> bool:
        """The right to single objects may have been given by name; the whole kind is another right."""
        if resource not in self._listable:
            try:
                await self._cluster.list_objects(resource, None, _NOTHING)
            except ApiError as error:
                if error.status != FORBIDDEN:
                    raise
                self._listable[resource] = False
            else:
                self._listable[resource] = True
        return self._listable[resource]

    async def stop(self, watched: Watched) -> None:
        """The object, or objects, are no longer followed."""
        together = self._together.get(watched.resource, set())
        if watched in together:
            together.discard(watched)
            self._ingest.drop(_ref(watched))
            if not together:
                await self._end(_of_kind(watched))
        else:
            self._alone.get(watched.resource, set()).discard(watched)
            await self._end(watched)
        self._ingest.stopped(watched)

    async def _end(self, watched: Watched) -> None:
        await self._watches.stop(watched)
        self._ingest.stopped(watched)

    async def _join(self, watched: Watched) -> None:
        """Changes are recorded from here on, and what was missed until now is read: in this order nothing is lost."""
        self._together.setdefault(watched.resource, set()).add(watched)
        ref = _ref(watched)
        self._ingest.pick(ref)
        await self._watches.ensure(_of_kind(watched))
        before = self._ingest.latest_version(ref)
        try:
            found = await self._cluster.get(watched.resource, watched.namespace, watched.name)
        except ApiError as error:
            if not error.not_found:
                raise
            await self._ingest.sink(watched, Listed((), str(before)))
        else:
            await self._ingest.sink(watched, _listed(found))


def _listed(obj: JsonObject) -> Listed:
    return Listed((obj,), str(resource_version(obj)))


def _of_kind(watched: Watched) -> Watched:
    return Watched(watched.resource, picked=True)


def _ref(watched: Watched) -> ObjectRef:
    gvk = watched.resource.gvk
    return ObjectRef(gvk.group, gvk.kind, watched.namespace, watched.name)
