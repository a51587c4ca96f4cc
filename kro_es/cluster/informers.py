"""Kept watches, one per kind and selector, started on demand and shared by whoever needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from kro_es.api.watch import Broken, Listed, Watched, WatchItem, lacking
from kro_es.cluster.stalls import Stalls
from kro_es.errors import ApiError

logger = structlog.get_logger(__name__)
_REFUSALS = {"Forbidden": 403, "NotFound": 404}
"""Answers that do not pass by themselves: no right to the kind, or no such kind."""


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
        self._listed: dict[Watched, asyncio.Future[None]] = {}
        self._stalls = Stalls()
        self._looking: asyncio.Task[None] | None = None

    async def ensure(self, key: Watched) -> None:
        """Start the watch unless it runs; returns when its first list has been taken by the sink.

        Raises ApiError when it may not be listed (403), or the server has no such kind (404): the watch goes on
        trying, as rights and kinds may come any time, but whoever waits can say what is missing.
        """
        if self._looking is None:
            self._looking = asyncio.create_task(self._stalls.run())
        if key not in self._tasks:
            self._listed[key] = asyncio.get_running_loop().create_future()
            self._tasks[key] = asyncio.create_task(self._run(key))
        await asyncio.shield(self._listed[key])

    async def stop(self, key: Watched) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            self._tell(key, ApiError(0, "Stopped", f"the watch of {key.resource.plural} was stopped"))
            del self._listed[key]
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        for key in list(self._tasks):
            await self.stop(key)
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _run(self, key: Watched) -> None:
        """A sink that fails ends this watch's turn; it begins again with a list, and is told that it was interrupted."""
        broken: Broken | None = None
        while True:
            try:
                if broken is not None:
                    await self._sink(key, broken)
                async for item in self._watch(key):
                    if isinstance(item, Broken):
                        item = replace(item, silent=max(item.silent, self._stalls.seconds()))
                    await self._sink(key, item)
                    if isinstance(item, Listed):
                        self._tell(key, None)
                    elif isinstance(item, Broken) and item.reason in _REFUSALS:
                        self._tell(key, _refusal(key, item.reason))
            except asyncio.CancelledError:
                raise
            except ApiError as error:
                broken = Broken(error.reason or "disconnect")
                logger.warning("a watch begins again", kind=str(key.resource.gvk), error=error.message)
            except Exception:
                broken = Broken("failed")
                logger.exception("a watch failed and begins again", kind=str(key.resource.gvk))
            await asyncio.sleep(1.0)  # the same item would fail again at once

    def _tell(self, key: Watched, refusal: ApiError | None) -> None:
        """Those who wait for the first list, and who comes later, hear the newest answer; a list is never taken back."""
        listed = self._listed[key]
        if listed.done() and listed.exception() is None:
            return
        if listed.done():
            listed = self._listed[key] = asyncio.get_running_loop().create_future()
        if refusal is None:
            listed.set_result(None)
        else:
            listed.set_exception(refusal)
            listed.exception()  # nobody may be waiting


def _refusal(key: Watched, reason: str) -> ApiError:
    absent = f"the API server has no {key.resource.name} in version {key.resource.gvk.version}"
    return ApiError(_REFUSALS[reason], reason, lacking(key) if reason == "Forbidden" else absent)
