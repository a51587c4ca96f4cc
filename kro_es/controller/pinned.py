"""Revisions somebody is pinned to, compiled when a pass first needs one, and watched for like the active one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from kro_es.api.definition import parse
from kro_es.controller.compiling import Compiler
from kro_es.controller.world import World
from kro_es.errors import CompilerFailed, DefinitionErrors
from kro_es.graph.node import ResourceGraph

logger = structlog.get_logger(__name__)


class PinnedRevisions:
    """``watch`` starts the watches a graph needs."""

    def __init__(self, world: World, compiler: Compiler, watch: Callable[[ResourceGraph], Awaitable[None]]) -> None:
        self._world = world
        self._compiler = compiler
        self._watch = watch
        self._one_at_a_time = asyncio.Lock()

    async def compile(self, definition_uid: str, number: int) -> None:
        """Afterwards ``World.graphs`` has the graph, or why it does not compile. A revision the log has not is left."""
        graphs = self._world.graphs
        async with self._one_at_a_time:
            if graphs.get(definition_uid, number) is not None or graphs.uncompiled(definition_uid, number):
                return
            with self._world.open_reader() as reader:
                row = reader.row("revisions", f"{definition_uid}/{number:06d}")
            if row is None:
                return
            meta = {"name": row["definition"], "uid": definition_uid, "generation": row["generation"]}
            try:
                definition = parse({"metadata": meta, "spec": row["spec"]})
                graph = await self._compiler.compile_revision(definition, row)
            except (DefinitionErrors, CompilerFailed) as error:
                text = str(error).partition("\n")[0]
                logger.warning("a pinned revision does not compile", definition=meta["name"], number=number, error=text)
                graphs.put_pinned(definition_uid, number, text)
                return
            await self._watch(graph)
            graphs.put_pinned(definition_uid, number, graph)
