"""Resources to nodes: their expressions inspected, typed against their place, compiled and traced (phases G and I)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from kro_es.api import objects
from kro_es.api.sensitive import Rule
from kro_es.cel.compiler import CompiledExpression
from kro_es.cel.errors import CelError, CelSyntaxError
from kro_es.cel.parser import ParsedExpression, parse
from kro_es.cel.references import identifiers
from kro_es.cel.types import DYN, CelType, ListType, assignable, type_name
from kro_es.graph import taint, typing
from kro_es.graph import template as texts
from kro_es.graph.faults import Faults, Site
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.node import Dimension, Expression, Node, TemplateField
from kro_es.graph.references import INSTANCE, OMIT_MISPLACED, Inspector, Referring, undeclared, uses_omit
from kro_es.graph.resources import Resource
from kro_es.schema.gotext import quote

EACH = "each"
"""An item of a collection in its own readyWhen."""
_NAMES = (("metadata", "name"), ("metadata", "namespace"))

Inspected: TypeAlias = list[tuple[Site, Referring | None]]


class NodeBuilder:
    """The resources of one definition; reports what is wrong and leaves out what cannot be compiled."""

    def __init__(
        self,
        resources: Iterable[Resource],
        variables: Mapping[str, CelType],
        faults: Faults,
        inspector: Inspector,
        *,
        instance: objects.Resource,
        rules: tuple[Rule, ...],
    ) -> None:
        """``rules``: more fields that hold secret values."""
        self._variables = variables
        self._namespaced = instance.namespaced
        self._rules = rules
        self._faults = faults
        self._resources = {resource.id: resource for resource in reversed(list(resources))}
        self._inspector = inspector
        ordered = sorted(self._resources.values(), key=lambda resource: resource.index)
        self._fields = {resource.id: self._inspect_fields(resource) for resource in ordered}
        self._dimensions = {resource.id: self._inspect_dimensions(resource) for resource in ordered}
        self._include = {resource.id: self._inspect_include(resource) for resource in ordered}
        self.dependencies: dict[str, tuple[str, ...]] = {
            node_id: _united((*self._fields[node_id], *self._dimensions[node_id], *self._include[node_id]))
            for node_id in self._fields
        }
        """Ids each resource depends on, resources in the order listed."""
        self.tainted: dict[str, tuple[FieldPath, ...]] = {INSTANCE: taint.own_paths(instance.gvk, rules)}
        """Where each resource may hold the value of a Secret, names included."""

    def nodes(self, order: tuple[str, ...], waves: Mapping[str, int]) -> tuple[Node, ...]:
        """In ``order``; resources of unknown kind are left out, they have been reported."""
        found: list[Node] = []
        for node_id in order:
            resource = self._resources[node_id]
            self._no_omitted_identity(resource)
            dimensions, iterators = self._for_each(resource)
            below = self.tainted | self._tainted_iterators(dimensions, iterators)
            fields = self._template(resource, iterators, below)
            include, ready = self._include_when(resource), self._ready_when(resource)
            if resource.kind is None:
                continue
            gvk = resource.kind.resource.gvk
            computed = tuple(item.path for item in fields if item.tainted)
            self.tainted[node_id] = tuple(dict.fromkeys((*taint.own_paths(gvk, self._rules), *computed)))
            node = Node(
                id=node_id,
                index=resource.index,
                resource=resource.kind.resource,
                template=resource.template,
                fields=fields,
                include_when=include,
                ready_when=ready,
                dependencies=self.dependencies[node_id],
                include_dependencies=_united(self._include[node_id]),
                order=waves[node_id],
                # a name is public: it is what the object is recorded under
                tainted_paths=tuple(
                    path for path in dict.fromkeys((*taint.own_paths(gvk), *computed)) if path not in _NAMES
                ),
                for_each=dimensions,
                external=resource.external,
                selecting=resource.selecting,
            )
            found.append(node)
        return tuple(found)

    # -- inspection

    def _inspect_fields(self, resource: Resource) -> Inspected:
        sites = [Site(resource.index, resource.id, item.path, item.expression) for item in resource.fields]
        found = [(site, self._inspector.template(site, resource.iterators)) for site in sites]
        self._distinct_items(resource, found)
        return found

    def _distinct_items(self, resource: Resource, fields: Inspected) -> None:
        """Every iterator must be part of an item's name, or two items would be one object."""
        known = {"metadata.name"}
        if resource.kind is None or resource.kind.resource.namespaced:
            known.add("metadata.namespace")
        identity = [referring for site, referring in fields if site.path in known]
        if None in identity:
            return
        used = {name for referring in identity if referring for name in referring.iterators}
        missing = [name for name in resource.iterators if name not in used]
        if missing:
            text = (
                f"failed to build dependency graph: node {quote(resource.id)}: all forEach dimensions must be used to "
                f"produce a unique resource identity, missing: [{' '.join(missing)}]"
            )
            self._faults.add(resource.index, text, resource=resource.id, path="metadata.name")

    def _inspect_dimensions(self, resource: Resource) -> Inspected:
        found: Inspected = []
        for name, expression in resource.for_each:
            if expression is not None:
                site = Site(resource.index, resource.id, ("forEach", name), expression)
                found.append((site, self._inspector.for_each(site, name, resource.iterators)))
        return found

    def _inspect_include(self, resource: Resource) -> Inspected:
        sites = _condition_sites(resource, "includeWhen", resource.include_when)
        return [(site, self._inspector.include_when(site)) for site in sites]

    def _no_omitted_identity(self, resource: Resource) -> None:
        """omit() where an object cannot do without a value."""
        known = {"metadata.name"}
        if not self._namespaced and resource.kind is not None and resource.kind.resource.namespaced:
            known.add("metadata.namespace")
        for site, referring in self._fields[resource.id]:
            if site.path in known and referring and uses_omit(referring.parsed):
                text = f"omit() cannot be used at path {quote(site.path)}"
                why = "the field is required and must resolve to a concrete value"
                self._faults.add_expression(site, f"resource {quote(resource.id)}: {text} — {why}")

    # -- types

    def _for_each(self, resource: Resource) -> tuple[tuple[Dimension, ...], dict[str, CelType]]:
        """The dimensions that compile, and the type of every iterator."""
        types: dict[str, CelType] = dict.fromkeys(resource.iterators, DYN)
        found: list[Dimension] = []
        for site, referring in self._dimensions[resource.id]:
            name = site.path.removeprefix("forEach.")
            program = referring and self._dimension(site, name, referring.parsed)
            if program:
                assert isinstance(program.result_type, ListType)
                types[name] = program.result_type.element
                found.append(Dimension(name, site.expression.text, program))
        return tuple(found), types

    def _dimension(self, site: Site, name: str, parsed: ParsedExpression) -> CompiledExpression | None:
        own = quote(site.resource or "")
        prefix = f"failed to validate resource {own}: node {own}: forEach iterator {quote(name)}"
        if uses_omit(parsed):
            self._faults.add_expression(site, f"{prefix}: {OMIT_MISPLACED}")
            return None
        try:
            program = typing.program(parsed, self._variables)
        except CelError as error:
            self._faults.add_expression(site, f"{prefix}: {error}", error)
            return None
        if not isinstance(program.result_type, ListType):
            if self._unknowable(site, program, parsed):
                return None
            got = quote(type_name(program.result_type))
            self._faults.add_expression(site, f"{prefix} must return a list, got {got}: type {got} is not a list type")
            return None
        return program

    def _tainted_iterators(
        self, dimensions: Iterable[Dimension], types: Mapping[str, CelType]
    ) -> dict[str, tuple[FieldPath, ...]]:
        """Items of a collection are tainted where the collection is; anything else made from a Secret altogether."""
        found: dict[str, tuple[FieldPath, ...]] = {}
        for dimension in dimensions:
            if not taint.reads_tainted(dimension.program.reads, self.tainted):
                continue
            whole = ListType(types[dimension.name])
            roots = {read.root for read in dimension.program.reads if self.tainted.get(read.root)}
            items = [root for root in roots if self._variables[root] == whole]
            found[dimension.name] = self.tainted[items[0]] if len(items) == 1 == len(roots) else ((),)
        return found

    def _template(
        self, resource: Resource, iterators: Mapping[str, CelType], tainted: Mapping[str, tuple[FieldPath, ...]]
    ) -> tuple[TemplateField, ...]:
        gvk = resource.kind and resource.kind.resource.gvk
        variables = {**self._variables, **iterators}
        found: list[TemplateField] = []
        for item, (site, referring) in zip(resource.fields, self._fields[resource.id], strict=True):
            program = referring and self._field_program(site, item.path, referring.parsed, variables)
            if program and referring:
                traced = (gvk and taint.holds_values(gvk, item.path, self._rules)) or taint.reads_tainted(
                    program.reads, tainted
                )
                iterates, omits = bool(referring.iterators), uses_omit(referring.parsed)
                found.append(TemplateField(item.path, item.expression.text, program, bool(traced), iterates, omits))
        return tuple(found)

    def _place(self, resource: Resource, path: FieldPath) -> CelType:
        """Type expected at a place of the template; a reference is no object of its kind."""
        known = self._variables[resource.id]
        if resource.external:
            return typing.reference_type(path)
        return typing.expected_type(known.element if isinstance(known, ListType) and resource.many else known, path)

    def _field_program(
        self, site: Site, path: FieldPath, parsed: ParsedExpression, variables: Mapping[str, CelType]
    ) -> CompiledExpression | None:
        prefix = f"failed to validate resource {quote(site.resource or '')}: "
        shown, where = quote(site.expression.text), f"at path {quote(site.path)}"
        try:
            program = typing.program(parsed, variables)
        except CelError as error:
            message = f"{prefix}failed to compile template expression {shown} {where}: {error}"
            self._faults.add_expression(site, message, error)
            return None
        expected = self._place(self._resources[site.resource or ""], path)
        why = assignable(program.result_type, expected)
        if why:
            types = f'returns type "{type_name(program.result_type)}" but expected "{type_name(expected)}"'
            where = f"type mismatch in resource {quote(site.resource or '')} {where}"
            self._faults.add_expression(site, f"{prefix}{where}: expression {shown} {types}: {why}")
            return None
        return program

    def _include_when(self, resource: Resource) -> tuple[Expression, ...]:
        found = [
            self._condition(site, "includeWhen", referring.parsed, self._variables)
            for site, referring in self._include[resource.id]
            if referring
        ]
        return tuple(item for item in found if item)

    def _ready_when(self, resource: Resource) -> tuple[Expression, ...]:
        """Sees the resource only: an item of a collection as ``each``, whatever else under its own id."""
        known = self._variables[resource.id]
        variables = {resource.id: known}
        if resource.for_each and isinstance(known, ListType):
            variables = {EACH: known.element}
        found: list[Expression | None] = []
        for site in _condition_sites(resource, "readyWhen", resource.ready_when):
            parsed = self._inspect_ready(site, *variables)
            if parsed:
                found.append(self._condition(site, "readyWhen", parsed, variables))
        return tuple(item for item in found if item)

    def _inspect_ready(self, site: Site, known: str) -> ParsedExpression | None:
        own = site.resource or ""
        prefix = f"failed to validate resource {quote(own)}: resource {quote(own)} readyWhen: "
        try:
            parsed = parse(site.expression.source, self._inspector.environment)
        except CelSyntaxError as error:
            self._faults.add_expression(site, f"{prefix}failed to inspect expression: parse error: {error}", error)
            return None
        problems = [f"references unknown identifiers: [{name}]" for name in identifiers(parsed) if name != known]
        problems += [f"uses unknown functions: [{{{name}}}]" for name in undeclared(parsed)]
        problems += [OMIT_MISPLACED] if uses_omit(parsed) else []
        for problem in problems:
            self._faults.add_expression(site, prefix + problem)
        return None if problems else parsed

    def _unknowable(self, site: Site, program: CompiledExpression, parsed: ParsedExpression) -> bool:
        """Whether its type is unknown only because something else is at fault, which was reported."""
        read = {*identifiers(parsed), site.resource}
        return program.result_type is DYN and not self._faults.unknown.isdisjoint(read)

    def _condition(
        self, site: Site, context: str, parsed: ParsedExpression, variables: Mapping[str, CelType]
    ) -> Expression | None:
        own, shown = quote(site.resource or ""), quote(site.expression.text)
        prefix = f"failed to validate resource {own}: "
        try:
            program = typing.program(parsed, variables)
        except CelError as error:
            message = f"{prefix}failed to type-check {context} expression {shown} in resource {own}: {error}"
            self._faults.add_expression(site, message, error)
            return None
        if not typing.is_condition(program.result_type):
            if self._unknowable(site, program, parsed):
                return None
            returned = f'but returns "{type_name(program.result_type)}"'
            message = (
                f"{context} expression {shown} in resource {own} must return bool or optional_type(bool), {returned}"
            )
            self._faults.add_expression(site, prefix + message)
            return None
        return Expression(site.expression.text, program)


def _condition_sites(resource: Resource, name: str, expressions: tuple[texts.Expression, ...]) -> list[Site]:
    return [
        Site(resource.index, resource.id, (name, position), expression)
        for position, expression in enumerate(expressions)
    ]


def _united(inspected: Iterable[tuple[Site, Referring | None]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, found in inspected if found for name in found.resources))
