"""A compiled definition: frozen, shared by all its instances, and all a pass over one of them needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kro_es.api.objects import JsonObject, Resource
from kro_es.cel.compiler import CompiledExpression
from kro_es.graph.fieldpath import FieldPath


@dataclass(frozen=True, slots=True)
class Expression:
    """One ``includeWhen`` or ``readyWhen`` entry."""

    text: str
    """Without ``${}``, as messages show it."""
    program: CompiledExpression


@dataclass(frozen=True, slots=True)
class TemplateField:
    """A leaf of a template whose value is computed."""

    path: FieldPath
    text: str
    program: CompiledExpression
    tainted: bool
    """The value holds or may be made from the value of a Secret."""
    iterates: bool = False
    """It reads an iterator, so every item of the collection has a value of its own."""
    omits: bool = False
    """Its value may be or hold the marker of omit()."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One ``forEach`` entry: the iterator, and the list it goes through."""

    name: str
    text: str
    """Without ``${}``, as messages show it."""
    program: CompiledExpression


@dataclass(frozen=True, slots=True)
class AuthorCondition:
    """One entry of ``status.conditions``; its program gives one condition or a list of them."""

    text: str
    program: CompiledExpression
    tainted: bool


@dataclass(frozen=True, slots=True)
class StatusField:
    """A computed field of the instance status; the path is relative to ``status``."""

    path: FieldPath
    text: str
    program: CompiledExpression
    tainted: bool


@dataclass(frozen=True, slots=True)
class Node:
    """One resource of the definition: an object, a collection (``forEach``), or what it reads (``externalRef``)."""

    id: str
    index: int
    """Position in ``spec.resources``."""
    resource: Resource
    template: JsonObject
    """Shared: render it, never change it. Of a read-only node the reference: name or selector."""
    fields: tuple[TemplateField, ...]
    include_when: tuple[Expression, ...]
    ready_when: tuple[Expression, ...]
    dependencies: tuple[str, ...]
    """Resources its template and includeWhen read, in the order first read."""
    include_dependencies: tuple[str, ...]
    """Resources its includeWhen reads."""
    order: int
    """Apply order, the wave it is deleted in (spec/03 §2.4)."""
    tainted_paths: tuple[FieldPath, ...]
    """Where the object may hold the value of a Secret."""
    for_each: tuple[Dimension, ...] = ()
    """The first varies slowest."""
    external: bool = False
    """Somebody else's: read, never written."""
    selecting: bool = False
    """External, and every object a label selector matches."""

    @property
    def many(self) -> bool:
        """A list to whoever refers to it."""
        return self.selecting or bool(self.for_each)


@dataclass(frozen=True, slots=True)
class ResourceGraph:
    """A definition compiled against the schemas of the kinds it names."""

    definition: str
    """Name of the definition."""
    instance: Resource
    nodes: tuple[Node, ...]
    """In topological order."""
    status: tuple[StatusField, ...]
    crd: JsonObject
    spec_hash: str
    topological_order: tuple[str, ...]
    tainted_status: tuple[FieldPath, ...]
    """Relative to ``status``."""
    schemas_digest: str
    """Of all the schemas it was compiled against."""
    conditions: tuple[AuthorCondition, ...] | None = None
    """None when the definition declares none: kro's own are shown then."""
    _by_id: dict[str, Node] = field(default_factory=dict, repr=False, compare=False)

    def node(self, node_id: str) -> Node:
        """Raises KeyError for an id the definition does not have."""
        if not self._by_id:
            self._by_id.update({node.id: node for node in self.nodes})
        return self._by_id[node_id]

    @property
    def dependencies(self) -> Mapping[str, tuple[str, ...]]:
        """What ``status.resources`` lists: the nodes that depend on others, in topological order."""
        return {node.id: node.dependencies for node in self.nodes if node.dependencies}
