"""A start takes a definition up where the log has it: what was active is compiled from the log, and the server is not asked."""

from __future__ import annotations

from kro_es.api.definition import ResourceGraphDefinition
from kro_es.api.objects import JsonObject
from kro_es.controller.compiling import Compiler
from kro_es.controller.crds import CustomKinds
from kro_es.controller.queue import Key
from kro_es.controller.world import World
from kro_es.decisions.definition import DefinitionInputs
from kro_es.errors import CompilerFailed, DefinitionErrors
from kro_es.graph.node import ResourceGraph


class Resuming:
    """Remembers which definitions had their first pass of this run: from the second on everything is looked at."""

    def __init__(self, world: World, compiler: Compiler, custom_kinds: CustomKinds) -> None:
        self._world = world
        self._compiler = compiler
        self._custom_kinds = custom_kinds
        self._begun: set[str] = set()
        self.unseen: set[Key] = set()
        """Those taken up so, and not compared with the server since."""

    def forget(self, key: Key) -> None:
        """The definition is gone."""
        self._begun.discard(key.uid)
        self.unseen.discard(key)

    async def graph(
        self, key: Key, inputs: DefinitionInputs, definition: ResourceGraphDefinition
    ) -> ResourceGraph | None:
        """The active revision as an earlier run left it; None when there may be anything to do for the definition."""
        first = key.uid not in self._begun
        self._begun.add(key.uid)
        self.unseen.discard(key)
        if not first or not _at_rest(inputs) or self._custom_kinds.moved(key):
            return None
        with self._world.open_reader() as reader:
            row = reader.row("revisions", f"{key.uid}/{inputs.newest:06d}")
        if row is None or not row["schemas"] or row["engine"] != self._world.engine:
            return None
        try:
            graph = await self._compiler.compile_revision(definition, row)
        except (DefinitionErrors, CompilerFailed):
            return None
        # the deletion of its CRD may be the last thing an earlier run recorded: no event will tell of it again
        if graph.schemas_digest != row["schemas_digest"] or self._custom_kinds.located(graph.instance.gvk) is None:
            return None
        self.unseen.add(key)
        return graph


def _at_rest(inputs: DefinitionInputs) -> bool:
    """Whether an earlier run ended with nothing left to do: the newest revision is this spec, it is active and told."""
    status = inputs.object.get("status") or {}
    conditions: list[JsonObject] = status.get("conditions") or []
    told = any(
        (item.get("type"), item.get("status"), item.get("observedGeneration")) == ("Ready", "True", inputs.generation)
        for item in conditions
    )
    active = inputs.newest > 0 and inputs.head.get("active") == inputs.newest and not inputs.is_new
    return told and active and status.get("state") == "Active" and inputs.hold is None
