"""Definitions as they lie in files: read together, compiled in the order they need each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import orjson

from kro_es.api.definition import ResourceGraphDefinition, read
from kro_es.api.metadata import GROUP
from kro_es.api.objects import Gvk, JsonObject
from kro_es.authoring.sources import Source, Unreadable
from kro_es.authoring.yaml_reader import Document, YamlError
from kro_es.authoring.yaml_reader import read as read_yaml
from kro_es.cel.declarations import FULL, KRO
from kro_es.errors import DefinitionErrors, DefinitionFault
from kro_es.graph import dag
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.graph.node import ResourceGraph
from kro_es.graph.published import of_crd
from kro_es.schema import crd
from kro_es.schema.openapi import PRESERVE_UNKNOWN, KindSchema

KIND = "ResourceGraphDefinition"
_ANYTHING: JsonObject = {"type": "object", PRESERVE_UNKNOWN: True}


@dataclass(slots=True)
class Entry:
    """One definition: where it is written, and what became of it."""

    file: str
    document: Document
    definition: ResourceGraphDefinition
    shape_faults: tuple[DefinitionFault, ...]
    faults: tuple[DefinitionFault, ...] = ()
    """Of the compile, in its order."""
    beyond_kro: tuple[DefinitionFault, ...] = ()
    """What kro would say of a definition that compiles here: its expressions may call fewer functions."""
    graph: ResourceGraph | None = None

    @property
    def gvk(self) -> Gvk:
        return crd.instance_resource(self.definition.schema).gvk


@dataclass(slots=True)
class Project:
    """All that was read from the files of one command."""

    entries: list[Entry] = field(default_factory=list)
    others: list[tuple[str, Document]] = field(default_factory=list)
    """Documents that are no definitions, and the files they are in."""
    files: list[str] = field(default_factory=list)
    """Those that were read, whatever is in them."""
    unreadable: list[Unreadable | tuple[str, YamlError]] = field(default_factory=list)

    def required_kinds(self) -> tuple[Gvk, ...]:
        """Kinds the definitions name and do not make themselves."""
        made = {entry.gvk for entry in self.entries}
        named = (gvk for entry in self.entries for gvk in required_kinds(entry.definition))
        return tuple(dict.fromkeys(gvk for gvk in named if gvk not in made))


def is_definition(document: Document) -> bool:
    value = document.root.value
    if not isinstance(value, dict) or value.get("kind") != KIND:
        return False
    return str(value.get("apiVersion", "")).partition("/")[0] == GROUP


def load(sources: Iterable[Source | Unreadable]) -> Project:
    """Never raises: what cannot be read is part of the answer."""
    project = Project()
    for source in sources:
        if isinstance(source, Unreadable):
            project.unreadable.append(source)
            continue
        project.files.append(source.name)
        for document in read_yaml(source.text):
            if isinstance(document, YamlError):
                project.unreadable.append((source.name, document))
                continue
            for item in _flattened(document):
                if is_definition(item):
                    definition, faults = read(item.root.value)
                    project.entries.append(Entry(source.name, item, definition, faults))
                else:
                    project.others.append((source.name, item))
    return project


def _flattened(document: Document) -> Iterator[Document]:
    """The items of a list, as ``kubectl get -o yaml`` writes it; their paths begin at the item."""
    items = document.root.members.get("items")
    if items is None or not str(document.root.value.get("kind", "")).endswith("List"):
        yield document
        return
    for item in items.items:
        yield from _flattened(replace(document, root=item))


def compile_all(entries: Iterable[Entry], kinds: Mapping[Gvk, KindSchema]) -> None:
    """Fills in graphs and faults; a definition may use the kind another one makes."""
    known = dict(kinds)
    for entry in _ordered(list(entries)):
        try:
            entry.graph = compile_graph(entry.definition, known)
        except DefinitionErrors as error:
            entry.faults = error.faults
        else:
            entry.beyond_kro = _refused_by_kro(entry, known)
        known |= _made(entry)


def _refused_by_kro(entry: Entry, kinds: Mapping[Gvk, KindSchema]) -> tuple[DefinitionFault, ...]:
    """A second compile is for the few that use a word or a sign which means more here than it does to kro."""
    if not _beyond_kro().search(orjson.dumps(entry.definition.spec).decode()):
        return ()
    try:
        compile_graph(entry.definition, kinds, environment=KRO)
    except DefinitionErrors as error:
        return error.faults
    return ()


@cache
def _beyond_kro() -> re.Pattern[str]:
    """What the functions and operators are written with that kro lacks, or has fewer forms of."""
    names = [name for name, forms in FULL.functions.items() if forms != KRO.functions.get(name)]
    words = {name.rpartition(".")[2] for name in names if name[0] != "_"}
    signs = {name.strip("_@").replace("_", "") for name in names if name[0] == "_"}
    return re.compile(
        "|".join(sorted([rf"\b{re.escape(word)}\b" for word in words] + [re.escape(sign) for sign in signs]))
    )


def _ordered(entries: list[Entry]) -> list[Entry]:
    """Those that make a kind before those that use it; as listed when they need each other."""
    makers: dict[Gvk, str] = {}
    for number, entry in enumerate(entries):
        makers.setdefault(entry.gvk, str(number))
    needs: dict[str, list[str]] = {}
    for number, entry in enumerate(entries):
        used = [makers[gvk] for gvk in required_kinds(entry.definition) if gvk in makers]
        needs[str(number)] = [maker for maker in used if maker != str(number)]
    try:
        return [entries[int(number)] for number in dag.topological_order(needs)]
    except dag.CycleError:
        return entries


def _made(entry: Entry) -> dict[Gvk, KindSchema]:
    """The kind of a definition with faults takes anything: they are told once, where they are."""
    if entry.graph is not None:
        return of_crd(entry.graph.crd)
    if not entry.definition.schema.kind:
        return {}
    return of_crd(crd.generate(entry.definition, _ANYTHING))
