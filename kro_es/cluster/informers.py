"""Kept watches, one per kind and selector, started on demand and shared by whoever needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import structlog

from kro_es.api.watch import Broken, Listed, Watched, WatchItem

logger = structlog.get_logger(__name__)


_NO_SUCH_KIND = Broken("NotFound")


class Informers:
    """``sink`` is awaited for every item in order: a slow log pauses the reading, nothing is dropped."""

    def __init__(
        self,
        watch: Callable[[Watched], AsyncIterator[WatchItem]],
        sink: Callable[[Watched, WatchItem], Awaitable[None]],
    ) -> None:
        self._watch = watch
        self._sink = sink
        self._tasks: dict[Watched, asyncio.Task[None]] = {}
        self._listed: dict[Watched, asyncio.Event] = {}
        self._answered: dict[Watched, asyncio.Event] = {}

    async def ensure(self, key: Watched) -> None:
        """Start the watch unless it runs; returns when its first list has been taken by the sink."""
        self._started(key)
        listed = self._listed[key]
        await listed.wait()

    async def ensure_served(self, key: Watched) -> bool:
        """As ``ensure``, but False as soon as the server says that it has no such kind; the watch goes on trying."""
        self._started(key)
        listed, answered = self._listed[key], self._answered[key]
        await answered.wait()
        return listed.is_set()

    def _started(self, key: Watched) -> None:
        if key not in self._tasks:
            self._listed[key], self._answered[key] = asyncio.Event(), asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._run(key))

    async def stop(self, key: Watched) -> None:
        task = self._tasks.pop(key, None)
        self._listed.pop(key, None)
        self._answered.pop(key, None)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        for key in list(self._tasks):
            await self.stop(key)

    async def _run(self, key: Watched) -> None:
        """A sink that fails ends this watch's turn; it begins again with a list, so nothing is lost."""
        while True:
            try:
                async for item in self._watch(key):
                    await self._sink(key, item)
                    if isinstance(item, Listed):
                        self._listed[key].set()
                    if isinstance(item, Listed) or item == _NO_SUCH_KIND:
                        self._answered[key].set()
            except asyncio.CancelledError:
                raise
            except Exception:
                logger.exception("a watch failed and begins again", kind=str(key.resource.gvk))
                await asyncio.sleep(1.0)  # the same item would fail again at once
