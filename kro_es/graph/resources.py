"""One resource before types: its kind found, its template walked, its expressions taken out (spec/04 §3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kro_es.api.definition import ResourceDefinition, ResourceGraphDefinition
from kro_es.api.objects import Gvk, JsonObject
from kro_es.graph import fieldpath, validate
from kro_es.graph.faults import Faults
from kro_es.graph.template import Expression, Field, TemplateError, standalone
from kro_es.graph.walk import Walk
from kro_es.schema.gotext import quote
from kro_es.schema.openapi import KindSchema

_CRD_GROUP, _CRD_KIND = "apiextensions.k8s.io", "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as far as it can be understood; what is missing has been reported."""

    id: str
    index: int
    template: JsonObject
    kind: KindSchema | None
    """None when the kind is unknown: nothing about the resource's type is."""
    fields: tuple[Field, ...]
    include_when: tuple[Expression, ...]
    ready_when: tuple[Expression, ...]
    for_each: tuple[tuple[str, Expression | None], ...] = ()
    """Iterator and list expression; None for one that was reported."""
    external: bool = False
    selecting: bool = False

    @property
    def many(self) -> bool:
        """A list to whoever refers to it."""
        return self.selecting or bool(self.for_each)

    @property
    def iterators(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.for_each)


def required_kinds(definition: ResourceGraphDefinition) -> tuple[Gvk, ...]:
    """Kinds whose schemas a compile needs, in the order they are named; malformed ones are left to the compile."""
    found: dict[Gvk, None] = {}
    for resource in definition.resources:
        if validate.combination(resource) is None:
            try:
                found[validate.kind_of(resource.id, _object(resource))] = None
            except validate.ShapeError:
                continue
    return tuple(found)


def _object(entry: ResourceDefinition) -> JsonObject:
    """The template, or the reference in the shape of one."""
    if entry.template is not None:
        return entry.template
    given = entry.external_ref or {}
    meta = given.get("metadata") or {}
    return {
        "apiVersion": given.get("apiVersion", ""),
        "kind": given.get("kind", ""),
        "metadata": {name: meta[name] for name in ("name", "namespace", "selector") if meta.get(name) is not None},
    }


class ResourceReader:
    """Reads the resources of one definition."""

    def __init__(self, definition: ResourceGraphDefinition, kinds: Mapping[Gvk, KindSchema], faults: Faults) -> None:
        self._definition = definition
        self._kinds = kinds
        self._faults = faults

    def read(self, index: int) -> Resource:
        """Never raises: what is wrong is reported, and the rest is read."""
        entry = self._definition.resources[index]
        problem = validate.combination(entry)
        if problem:
            text = f"invalid combination of resource fields: resource {quote(entry.id)}: {problem}"
            self._fault(index, text, f"spec.resources[{index}]")
            return Resource(entry.id, index, {}, None, (), (), ())
        template = _object(entry)
        external = entry.template is None
        problem = validate.reference(entry) if external else None
        if problem:
            text = f"invalid external ref metadata for resource {entry.id}: {problem}"
            self._fault(index, text, "metadata.selector" if "selector" in template["metadata"] else "metadata")
            return Resource(entry.id, index, template, None, (), (), ())
        selecting = external and "selector" in template["metadata"]
        kind = self._kind(index, entry.id, template, anywhere=selecting)
        return Resource(
            entry.id,
            index,
            template,
            kind,
            self._fields(index, template, None if external else kind),
            self._conditions(index, "includeWhen", entry.include_when),
            self._conditions(index, "readyWhen", entry.ready_when),
            tuple((name, self._dimension(index, name, text)) for name, text in entry.for_each),
            external,
            selecting,
        )

    def _dimension(self, index: int, name: str, text: str) -> Expression | None:
        try:
            return standalone(text)
        except TemplateError as error:
            where = f"invalid forEach expression for dimension {quote(name)}"
            self._fault(index, f"failed to parse forEach dimensions: {where}: {error}", f"forEach.{name}")
            return None

    def _kind(self, index: int, node_id: str, template: JsonObject, *, anywhere: bool) -> KindSchema | None:
        """``anywhere``: a selector without a namespace reads all of them, whatever the scope of the instance."""
        try:
            gvk = validate.kind_of(node_id, template)
        except validate.ShapeError as error:
            self._fault(index, str(error))
            return None
        kind = self._kinds.get(gvk)
        if kind is None:
            self._fault(index, f"failed to get schema for resource {node_id}: {_not_found(gvk, self._kinds)}")
            return None
        namespaced = anywhere or self._definition.schema.namespaced
        for problem in validate.placement(node_id, template, kind.resource, namespaced_instance=namespaced):
            self._fault(index, problem, "metadata")
        return kind

    def _fields(self, index: int, template: JsonObject, kind: KindSchema | None) -> tuple[Field, ...]:
        node_id = self._definition.resources[index].id
        walk = Walk()
        if kind is None or _is_crd(kind.resource.gvk):
            walk.schemaless(template)
        else:
            walk.template(template, kind.schema)
        prefix = f"failed to extract CEL expressions from schema for resource {node_id}: "
        for fault in walk.faults:
            self._fault(index, prefix + fault.message, fieldpath.text(fault.path))
        if kind is not None and _is_crd(kind.resource.gvk):
            self._only_metadata(index, node_id, walk.fields)
        return tuple(walk.fields)

    def _only_metadata(self, index: int, node_id: str, fields: Iterable[Field]) -> None:
        for item in fields:
            if item.path[0] != "metadata":
                where = fieldpath.text(item.path)
                self._fault(
                    index,
                    "CEL expressions in CRDs are only supported for metadata fields, "
                    f'found in path "{where}", resource {node_id}',
                    where,
                )

    def _conditions(self, index: int, name: str, texts: tuple[str, ...]) -> tuple[Expression, ...]:
        found: list[Expression] = []
        for position, text in enumerate(texts):
            try:
                found.append(standalone(text))
            except TemplateError as error:
                message = f"failed to parse {name} expressions: {error}"
                self._fault(index, message, f"{name}[{position}]")
        return tuple(found)

    def _fault(self, index: int, message: str, path: str | None = None) -> None:
        node_id = self._definition.resources[index].id
        self._faults.add(index, f"failed to build resource {quote(node_id)}: {message}", resource=node_id, path=path)


def _is_crd(gvk: Gvk) -> bool:
    return (gvk.group, gvk.kind) == (_CRD_GROUP, _CRD_KIND)


def _not_found(gvk: Gvk, kinds: Mapping[Gvk, KindSchema]) -> str:
    """Whether the whole version is unknown can only be told from the kinds at hand."""
    if any((known.group, known.version) == (gvk.group, gvk.version) for known in kinds):
        what = f"group version kind {quote(f'{gvk.group}/{gvk.version}, Kind={gvk.kind}')}"
    else:
        what = f"group version {quote(gvk.api_version)}"
    return f"cannot resolve {what}: schema not found"
