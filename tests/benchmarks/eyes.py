"""ConfigMaps of a namespace as a watch from outside shows them, to tell when a change was followed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.api.watch import Burst, Changed, Listed, Watched
from kro_es.cluster.kubernetes import KubernetesCluster

MAPS = Resource(Gvk("", "v1", "ConfigMap"), "configmaps", namespaced=True)


class Eyes:
    """The objects as they are, and who waits for one of them."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.maps: dict[str, JsonObject] = {}
        self._news = asyncio.Event()

    async def follow(self, cluster: KubernetesCluster) -> None:
        async for item in cluster.watch(Watched(MAPS, namespace=self._namespace)):
            changes = item.changes if isinstance(item, Burst) else (item,)
            for change in changes:
                match change:
                    case Listed(objects=objects):
                        self.maps |= {obj["metadata"]["name"]: obj for obj in objects}
                    case Changed(type="DELETED", object=obj):
                        self.maps.pop(obj["metadata"]["name"], None)
                    case Changed(object=obj):
                        self.maps[obj["metadata"]["name"]] = obj
            self._news.set()

    async def see(self, name: str, good: Callable[[JsonObject | None], bool], seconds: float = 30) -> float:
        """Monotonic seconds at which it was so."""
        async with asyncio.timeout(seconds):
            while not good(self.maps.get(name)):
                self._news.clear()
                await self._news.wait()
        return time.monotonic()


@asynccontextmanager
async def watching(cluster: KubernetesCluster, namespace: str) -> AsyncIterator[Eyes]:
    eyes = Eyes(namespace)
    task = asyncio.create_task(eyes.follow(cluster))
    try:
        yield eyes
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
