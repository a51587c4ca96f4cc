"""Revisions of the log compiled again, against the schemas that are kept with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from kro_es.api import metadata
from kro_es.api.definition import ResourceGraphDefinition, parse
from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.api.sensitive import Rule, parse_all
from kro_es.cel.declarations import ENVIRONMENTS
from kro_es.errors import DefinitionErrors, UserError
from kro_es.events.types import RevisionIssued, SchemaRecorded
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.graph.node import ResourceGraph
from kro_es.graph.published import of_crd
from kro_es.schema import closure
from kro_es.schema.openapi import KindSchema
from kro_es.settings import Settings


@dataclass(frozen=True, slots=True)
class _Options:
    """What a controller's settings say about expressions."""

    omit: bool
    functions: str
    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, configuration: JsonObject) -> _Options:
        rules = parse_all(configuration.get("redact", ()))
        functions = str(configuration.get("functions", Settings.functions))
        return cls(configuration.get("omit", Settings.omit), functions, tuple(rules))

    def compile(self, definition: ResourceGraphDefinition, kinds: Mapping[Gvk, KindSchema]) -> ResourceGraph:
        environment = ENVIRONMENTS[self.functions]
        return compile_graph(definition, kinds, omit=self.omit, environment=environment, rules=self.rules)


class Recompiled:
    """Graphs by revision; each is compiled when a decision first needs it.

    A log of an early version keeps no schemas: then ``kinds`` stand for them, and the kinds its own definitions make.
    """

    def __init__(self, kinds: Mapping[Gvk, KindSchema]) -> None:
        self._kinds = kinds
        self._schemas: dict[str, KindSchema] = {}
        self._issued: dict[tuple[str, int], RevisionIssued] = {}
        self._makers: dict[Gvk, RevisionIssued] = {}
        self._graphs: dict[tuple[object, ...], ResourceGraph] = {}
        self._judged: dict[tuple[object, ...], ResourceGraph | DefinitionErrors] = {}
        self.notes: list[str] = []

    def issued(self, body: RevisionIssued) -> None:
        self._issued[body.definition_uid, body.number] = body
        self._makers[Gvk(body.instance_group, body.instance_version, body.instance_kind)] = body

    def recorded(self, body: SchemaRecorded) -> None:
        resource = Resource(Gvk.parse(body.api_version, body.kind), body.plural, body.namespaced)
        self._schemas[body.digest] = KindSchema(resource, closure.opened(body.content), body.source)

    def graph(self, definition_uid: str, number: int, configuration: JsonObject) -> ResourceGraph:
        """Raises UserError (DefinitionErrors) when it does not compile here, KeyError when it is not in the log."""
        return self._graph(self._issued[definition_uid, number], _Options.of(configuration))

    def compiled(self, obj: JsonObject, schemas: Mapping[str, str], configuration: JsonObject) -> ResourceGraph:
        """A definition against exactly these schemas (``apiVersion kind`` to digest).

        Raises DefinitionErrors as the controller met them, UserError when a schema is not in the log.
        """
        options = _Options.of(configuration)
        spec = orjson.dumps((obj["metadata"].get("uid"), obj.get("spec")), option=orjson.OPT_SORT_KEYS)
        key = (spec, tuple(sorted(schemas.items())), options)
        if key not in self._judged:
            missing = [name for name, digest in schemas.items() if digest not in self._schemas]
            if missing:
                raise UserError(f"the schema of {missing[0]} is not in the log")
            found = [self._schemas[digest] for digest in schemas.values()]
            try:
                self._judged[key] = options.compile(parse(obj), {kind.resource.gvk: kind for kind in found})
            except DefinitionErrors as error:
                self._judged[key] = error
        judged = self._judged[key]
        if isinstance(judged, DefinitionErrors):
            raise judged
        return judged

    def _graph(self, revision: RevisionIssued, options: _Options) -> ResourceGraph:
        definition = parse(
            {
                "apiVersion": metadata.DEFINITION_API_VERSION,
                "kind": metadata.DEFINITION_KIND,
                "metadata": {"name": revision.definition, "uid": revision.definition_uid},
                "spec": revision.spec,
            }
        )
        needed = sorted(required_kinds(definition))
        makers = {gvk: self._makers[gvk] for gvk in needed if gvk in self._makers}
        versions = tuple((maker.definition_uid, maker.number) for maker in makers.values())
        key = (revision.definition_uid, revision.number, options, versions)
        if key not in self._graphs:
            kinds = self._kept(revision) or self._given(needed, makers.values(), options)
            found = self._graphs[key] = options.compile(definition, kinds)
            if found.schemas_digest != revision.schemas_digest:
                name = f"{revision.definition}@{revision.number}"
                self.notes.append(f"{name} was compiled against other schemas than these")
        return self._graphs[key]

    def _kept(self, revision: RevisionIssued) -> dict[Gvk, KindSchema]:
        found = [self._schemas.get(digest) for digest in revision.schemas.values()]
        kinds = {kind.resource.gvk: kind for kind in found if kind is not None}
        return kinds if len(kinds) == len(revision.schemas) else {}

    def _given(
        self, needed: Iterable[Gvk], makers: Iterable[RevisionIssued], options: _Options
    ) -> dict[Gvk, KindSchema]:
        kinds = {gvk: self._kinds[gvk] for gvk in needed if gvk in self._kinds}
        for maker in makers:
            kinds |= of_crd(self._graph(maker, options).crd)
        return kinds
