"""A start takes a definition up where the log has it: what was active is compiled from the log, and the server is not asked."""

from __future__ import annotations

from dataclasses import dataclass

from kro_es.api.definition import ResourceGraphDefinition
from kro_es.api.objects import JsonObject
from kro_es.controller.compiling import Compiler
from kro_es.controller.crds import CustomKinds
from kro_es.controller.queue import Key
from kro_es.controller.world import World
from kro_es.errors import CompilerFailed, DefinitionErrors
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a pass read about the definition; ``object`` has the spec that counts."""

    object: JsonObject
    row: Row
    head: Row
    definition: ResourceGraphDefinition
    hash: str
    hold: Row | None


class Resuming:
    """Remembers which definitions had their first pass of this run: from the second on everything is looked at."""

    def __init__(self, world: World, compiler: Compiler, custom_kinds: CustomKinds) -> None:
        self._world = world
        self._compiler = compiler
        self._custom_kinds = custom_kinds
        self._begun: set[str] = set()

    async def graph(self, key: Key, loaded: Loaded) -> tuple[int, ResourceGraph] | None:
        """The active revision as an earlier run left it; None when there may be anything to do for the definition."""
        first = key.uid not in self._begun
        self._begun.add(key.uid)
        if not first or not _at_rest(loaded) or self._custom_kinds.moved(key):
            return None
        number = int(str(loaded.head["active"]))
        with self._world.open_reader() as reader:
            row = reader.row("revisions", f"{key.uid}/{number:06d}")
        if row is None or not row["schemas"] or row["engine"] != self._world.engine:
            return None
        try:
            graph = await self._compiler.compile_revision(loaded.definition, row)
        except (DefinitionErrors, CompilerFailed):
            return None
        return (number, graph) if graph.schemas_digest == row["schemas_digest"] else None


def _at_rest(loaded: Loaded) -> bool:
    """Whether an earlier run ended with nothing left to do: the newest revision is this spec, it is active and told."""
    head, status = loaded.head, loaded.object.get("status") or {}
    conditions: list[JsonObject] = status.get("conditions") or []
    generation = loaded.object["metadata"].get("generation")
    told = any(
        (item.get("type"), item.get("status"), item.get("observedGeneration")) == ("Ready", "True", generation)
        for item in conditions
    )
    issued = (
        bool(head.get("active")) and head["active"] == head.get("newest") and head.get("newest_hash") == loaded.hash
    )
    return told and issued and status.get("state") == "Active" and loaded.hold is None
