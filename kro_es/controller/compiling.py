"""Compiles off the event loop; a definition that crashes the compiler, or never ends, is told so and stops nobody else."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from kro_es.api.definition import ResourceGraphDefinition
from kro_es.api.objects import Gvk
from kro_es.controller.crds import CustomKinds
from kro_es.controller.schemas import Schemas
from kro_es.controller.world import World
from kro_es.errors import CompilerFailed, KroEsError
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row
from kro_es.schema.openapi import KindSchema

LONGEST_SECONDS = 30.0
"""A hundred times what the largest known definition takes."""
AT_ONCE = 2
"""One that never ends holds one place until its time is over; the others go on in the other."""
_MOST_TEXT = 4000


class _Stopped(BaseException):
    """Raised inside a compile whose time is over."""


class Compiler:
    """Raises DefinitionErrors for a definition at fault, CompilerFailed when the fault is ours."""

    def __init__(self, world: World, custom_kinds: CustomKinds) -> None:
        self._world = world
        self._custom_kinds = custom_kinds
        self._schemas = Schemas(world)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def kinds(self, definition: ResourceGraphDefinition) -> Mapping[Gvk, KindSchema]:
        """Those the definition needs, as they are served now."""
        return await self._world.cluster.kinds(required_kinds(definition), self._custom_kinds.names)

    async def compile(self, definition: ResourceGraphDefinition) -> tuple[ResourceGraph, Mapping[Gvk, KindSchema]]:
        """Against the kinds as they are served now; returns these too."""
        kinds = await self.kinds(definition)
        return await self.compiled(definition, kinds), kinds

    async def compile_revision(self, definition: ResourceGraphDefinition, row: Row) -> ResourceGraph:
        """A recorded revision against the schemas it was issued with; live ones only where none were recorded."""
        digests = row.get("schemas") or {}
        assert isinstance(digests, dict)
        kinds = self._schemas.recorded(digests) if digests else None
        if kinds is None:
            return (await self.compile(definition))[0]
        return await self.compiled(definition, kinds)

    async def record(self, kinds: Mapping[Gvk, KindSchema]) -> dict[str, str]:
        """The schemas something was compiled against, in the log; the digests they are found under."""
        return await self._schemas.record(kinds[gvk] for gvk in sorted(kinds))

    async def compiled(self, definition: ResourceGraphDefinition, kinds: Mapping[Gvk, KindSchema]) -> ResourceGraph:
        world = self._world

        def work() -> ResourceGraph:
            return compile_graph(definition, kinds, omit=world.omit, environment=world.environment, rules=world.rules)

        async with self._places:
            with failures_told():
                return await _in_thread(work, f"compile {definition.name}")


@contextmanager
def failures_told() -> Iterator[None]:
    """What is no error on purpose is a bug of ours, and is told as one with its traceback."""
    try:
        yield
    except KroEsError:
        raise
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        raise CompilerFailed(f"the compiler failed, which is a bug of kro-es:\n{text[-_MOST_TEXT:]}") from error


async def _in_thread(work: Callable[[], ResourceGraph], name: str) -> ResourceGraph:
    """The result of ``work``; CompilerFailed with where it was when its time is over."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[ResourceGraph] = loop.create_future()

    def settle(result: ResourceGraph | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        elif result is not None:
            done.set_result(result)

    def run() -> None:
        try:
            loop.call_soon_threadsafe(settle, work(), None)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            loop.call_soon_threadsafe(settle, None, error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        # wait_for of Python 3.11 loses a cancellation that comes together with the result
        async with asyncio.timeout(LONGEST_SECONDS):
            return await done
    except TimeoutError:
        where = _stack(thread)
        _stop(thread)
        text = f"the compiler did not end within {LONGEST_SECONDS:g} s, which is a bug of kro-es; it was here:\n{where}"
        raise CompilerFailed(text) from None


def _stack(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame))[-_MOST_TEXT:] if frame else "(it has ended since)"


def _stop(thread: threading.Thread) -> None:
    """A thread cannot be ended from outside; an exception raised inside it at its next step can end it."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Stopped))
