"""The controller's ``Cluster`` port on a ``FakeServer``, with its watches, and faults on demand."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kro_es.api.objects import Gvk, ObjectRef, Resource, labels
from kro_es.api.watch import Broken, Changed, Listed, Watched, WatchItem
from kro_es.errors import ApiError
from kro_es.schema.openapi import KindSchema
from tests.support.fake_server import Entry, FakeServer, Object, Watcher


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a controller, numbered from 1."""

    number: int
    verb: str
    ref: ObjectRef
    manager: str = ""
    force: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a call: an error, or (``error`` None) no answer at all for ever; before or after its effect."""

    when: str
    error: ApiError | None = None


@dataclass
class Connection:
    """The controller's ``Cluster`` port; one per controller, so that a dead one can no longer reach the server."""

    server: FakeServer
    fault: Callable[[Call], Fault | None] = lambda call: None
    calls: list[Call] = field(default_factory=list)
    dead: bool = False

    async def _call(
        self, verb: str, ref: ObjectRef, act: Callable[[], Any], manager: str = "", *, force: bool = True
    ) -> Any:
        call = Call(len(self.calls) + 1, verb, ref, manager, force)
        self.calls.append(call)
        await self._or_die()
        fault = self.fault(call)
        if fault is not None and fault.when == "before":
            await self._strike(fault)
        answer = act()
        if fault is not None:
            await self._strike(fault)
        await self._or_die()
        return copy.deepcopy(answer)

    async def _strike(self, fault: Fault) -> None:
        if fault.error is not None:
            raise fault.error
        self.dead = True
        await self._or_die()

    async def _or_die(self) -> None:
        if self.dead:
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    @staticmethod
    def _ref(resource: Resource, namespace: str | None, name: str) -> ObjectRef:
        return ObjectRef(resource.gvk.group, resource.gvk.kind, namespace or "", name)

    async def kinds(self, gvks: Iterable[Gvk], custom: Mapping[tuple[str, str], str]) -> Mapping[Gvk, KindSchema]:
        served = self.server.kinds()
        return {gvk: served[gvk] for gvk in gvks if gvk in served}

    async def resource_for_group_kind(self, group: str, kind: str) -> Resource | None:
        return self.server.resource(group, kind)

    async def apply(self, resource: Resource, obj: Object, manager: str, *, force: bool) -> Object:
        self.server.check_served(resource)
        act = lambda: self.server.apply(obj, manager, force=force)  # noqa: E731
        found: Object = await self._call("apply", ObjectRef.of(obj), act, manager, force=force)
        return found

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> Object | None:
        ref = self._ref(resource, namespace, name)
        try:
            found: Object | None = await self._call("delete", ref, lambda: self.server.delete(ref, uid))
        except ApiError as error:
            if error.not_found:
                return None
            raise
        return found

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        ref = self._ref(resource, namespace, name)
        found: Object = await self._call("get", ref, lambda: self.server.get(ref))
        return found

    async def list_objects(self, resource: Resource, namespace: str | None, selector: str | None) -> list[Object]:
        def act() -> list[Object]:
            self.server.check_served(resource)
            key, _, value = (selector or "").partition("=")
            found = lambda obj: not key or labels(obj).get(key) == value  # noqa: E731
            return self.server.matching(Watched(resource, None, namespace or ""), found)

        listed: list[Object] = await self._call("list", self._ref(resource, namespace, ""), act)
        return listed

    async def create(self, resource: Resource, obj: Object, manager: str, *, dry_run: bool = False) -> Object:
        act = lambda: self.server.create(obj, manager)  # noqa: E731
        found: Object = await self._tried("create", ObjectRef.of(obj), act, manager, dry_run=dry_run)
        return found

    async def replace(self, resource: Resource, obj: Object, manager: str, *, dry_run: bool = False) -> Object:
        act = lambda: self.server.update(obj, manager)  # noqa: E731
        found: Object = await self._tried("replace", ObjectRef.of(obj), act, manager, dry_run=dry_run)
        return found

    async def _tried(self, verb: str, ref: ObjectRef, act: Callable[[], Any], manager: str, *, dry_run: bool) -> Any:
        return await self._call(verb, ref, (lambda: self.server.tried(act)) if dry_run else act, manager)

    async def cluster_id(self) -> str:
        return "cluster"

    async def user(self) -> str:
        return "dana"

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: Object, *, manager: str, subresource: str = ""
    ) -> Object:
        ref = self._ref(resource, namespace, name)
        act = lambda: self.server.patch(ref, body, manager, status=subresource == "status")  # noqa: E731
        found: Object = await self._call("patch", ref, act, manager)
        return found

    async def put_status(self, resource: Resource, obj: Object, manager: str) -> Object:
        act = lambda: self.server.update(obj, manager, status=True)  # noqa: E731
        found: Object = await self._call("put", ObjectRef.of(obj), act, manager)
        return found

    async def wait_established(self, name: str) -> Object:
        return self.server.get(ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", name))

    async def watch(self, watched: Watched) -> AsyncIterator[WatchItem]:
        """A list, then every change in order; a broken watch goes on where it was unless that is too long ago."""
        watcher = Watcher(watched, 0)
        self.server.watchers.append(watcher)
        try:
            while True:
                await self._or_die()
                while watched.kind_key in self.server.forbidden:
                    yield Broken("Forbidden")
                    watcher.cursor, watcher.idle = self.server.version, True
                    watcher.news.clear()
                    await watcher.news.wait()
                    watcher.idle = False
                watcher.cursor = self.server.version
                watcher.news.clear()
                if watched.resource.gvk in self.server.uninstalled:
                    yield Broken("NotFound")
                    await self._news(watcher)
                    continue
                yield Listed(tuple(self.server.matching(watched)), str(watcher.cursor))
                async for item in self._changes(watcher):
                    yield item
        finally:
            self.server.watchers.remove(watcher)

    async def _changes(self, watcher: Watcher) -> AsyncIterator[WatchItem]:
        while True:
            if watcher.broken:
                reason, watcher.broken = watcher.broken, ""
                yield Broken(reason)
                if watcher.cursor < self.server.oldest:
                    return
            # before the look: what is written while this yields must not go unseen
            watcher.news.clear()
            held = watcher.watched.kind_key in self.server.held
            for entry in () if held else self.server.since(watcher.cursor):
                watcher.cursor = entry.version
                item = _shown(watcher.watched, entry)
                if item is not None:
                    yield item
                if watcher.broken:
                    break
            else:
                await self._news(watcher)

    async def _news(self, watcher: Watcher) -> None:
        watcher.idle = True
        await watcher.news.wait()
        watcher.idle = False
        await self._or_die()


def _shown(watched: Watched, entry: Entry) -> Changed | None:
    def covers(obj: Object | None) -> bool:
        return obj is not None and watched.covers(ObjectRef.of(obj), labels(obj))

    was, now = covers(entry.before), covers(entry.after)
    if now:
        assert entry.after is not None
        return Changed("MODIFIED" if was else "ADDED", copy.deepcopy(entry.after))
    if not was:
        return None
    assert entry.before is not None
    last = copy.deepcopy(entry.after or entry.before)
    last["metadata"]["resourceVersion"] = str(entry.version)
    return Changed("DELETED", last)
