"""The schemas a revision was compiled against, kept in the log: an old revision compiles the same way years later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kro_es.api.objects import Gvk, Resource
from kro_es.controller.world import World
from kro_es.events.types import Actor, NewEvent, SchemaRecorded, Subject
from kro_es.schema import closure
from kro_es.schema.openapi import KindSchema

CONTROLLER = Actor("kro-es", "controller")


class Schemas:
    """A schema is written once, whatever number of revisions use it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._recorded: dict[tuple[Gvk, str], str] = {}

    async def record(self, kinds: Iterable[KindSchema]) -> dict[str, str]:
        """``apiVersion kind`` of each to the digest it is kept under."""
        found: dict[str, str] = {}
        for kind in kinds:
            gvk = kind.resource.gvk
            found[f"{gvk.api_version} {gvk.kind}"] = await self._recorded_as(kind)
        return found

    def recorded(self, digests: Mapping[str, str]) -> dict[Gvk, KindSchema] | None:
        """The schemas kept under these digests; None when one is not in the log (pruned, or never recorded)."""
        found: dict[Gvk, KindSchema] = {}
        with self._world.open_reader() as reader:
            for digest in digests.values():
                row = reader.row("schemas", digest)
                if row is None:
                    return None
                gvk = Gvk.parse(str(row["api_version"]), str(row["kind"]))
                content = row["content"]
                assert isinstance(content, dict)
                resource = Resource(gvk, str(row["plural"]), bool(row["namespaced"]))
                found[gvk] = KindSchema(resource, closure.opened(content), str(row["source"]))
        return found

    async def _recorded_as(self, kind: KindSchema) -> str:
        """Kinds of one source are one content; walking a large schema costs milliseconds."""
        gvk = kind.resource.gvk
        known = self._recorded.get((gvk, kind.digest)) if kind.digest else None
        if known is not None:
            return known
        content = closure.closed(kind.schema)
        digest = closure.digest(content)
        with self._world.open_reader() as reader:
            row = reader.row("schemas", digest)
            if row is not None and (row["api_version"], row["kind"]) != (gvk.api_version, gvk.kind):
                # two kinds with one schema: what is kept says which kind it is of
                content = {**content, "of": f"{gvk.api_version} {gvk.kind}"}
                digest = closure.digest(content)
                row = reader.row("schemas", digest)
        if row is None:
            body = SchemaRecorded(
                digest=digest,
                api_version=gvk.api_version,
                kind=gvk.kind,
                plural=kind.resource.plural,
                namespaced=kind.resource.namespaced,
                source=kind.digest,
                content=content,
            )
            stream, now = f"schema/{digest}", self._world.clock()
            await self._world.log.append([NewEvent(stream, body, Subject(gvk.group, gvk.kind), CONTROLLER, now)])
        self._recorded[gvk, kind.digest] = digest
        return digest
