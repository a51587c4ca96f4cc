"""Before any child is watched: what must be redacted in the children of definitions this log knows nothing of."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from kro_es.api import metadata
from kro_es.api.definition import ResourceGraphDefinition, parse
from kro_es.api.objects import JsonObject
from kro_es.controller.compiling import Compiler
from kro_es.controller.graph_revisions import GraphRevisions
from kro_es.controller.world import World
from kro_es.decisions import definition as definitions
from kro_es.decisions.definition import DefinitionInputs
from kro_es.errors import ApiError, CompilerFailed, DefinitionErrors

logger = structlog.get_logger(__name__)
_PLAIN = frozenset({"apiVersion", "kind", "metadata"})


class Redactions:
    """A watch is shared by all definitions: the first that starts one sees the children of all."""

    def __init__(self, world: World, compiler: Compiler, revisions: GraphRevisions) -> None:
        self._world = world
        self._compiler = compiler
        self._revisions = revisions

    async def learn(self) -> None:
        """From every revision in the cluster, and from the definitions as they are."""
        for inputs in self._unknown():
            specs = [inputs.object.get("spec")]
            try:
                specs += [item["spec"]["snapshot"]["spec"] for item in await self._revisions.found(inputs)]
            except ApiError as error:
                logger.warning("revisions cannot be read", definition=inputs.name, error=error.message)
            for spec in specs:
                await self._learn({**inputs.object, "spec": spec})

    def _unknown(self) -> list[DefinitionInputs]:
        """Definitions without a revision."""
        world = self._world
        with world.open_reader() as reader:
            rows = reader.rows("objects", "kind_key", f"{metadata.GROUP}/{metadata.DEFINITION_KIND}")
            found = [definitions.load(reader, str(row["name"]), str(row["uid"]), world.told()) for row in rows]
        return [inputs for inputs in found if inputs is not None and not inputs.newest]

    async def _learn(self, obj: JsonObject) -> None:
        try:
            definition = parse(obj)
        except DefinitionErrors:
            return
        try:
            tainted = definitions.tainted((await self._compiler.compile(definition))[0])
        except (DefinitionErrors, CompilerFailed, ApiError):
            # which values come from secrets cannot be told, so none is shown
            tainted = dict(_everything(definition))
        self._world.taints.learn(definition.schema.group, definition.schema.kind, tainted)


def _everything(definition: ResourceGraphDefinition) -> Iterator[tuple[str, list[list[str | int]]]]:
    for resource in definition.resources:
        if resource.template is not None:
            yield resource.id, [[name] for name in resource.template if name not in _PLAIN]
