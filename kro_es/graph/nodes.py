"""Resources to nodes: their expressions inspected, typed against their place, compiled and traced (phases G and I)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kro_es.cel.compiler import CompiledExpression
from kro_es.cel.errors import CelError, CelSyntaxError
from kro_es.cel.parser import ParsedExpression, parse
from kro_es.cel.references import identifiers
from kro_es.cel.types import CelType, assignable, type_name
from kro_es.graph import taint, typing
from kro_es.graph import template as texts
from kro_es.graph.faults import Faults, Site
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.node import Expression, Node, TemplateField
from kro_es.graph.references import OMIT_MISPLACED, Inspector, Referring, undeclared, uses_omit
from kro_es.graph.resources import Resource
from kro_es.schema.gotext import quote
from kro_es.schema.openapi import KindSchema


class NodeBuilder:
    """The resources of one definition; reports what is wrong and leaves out what cannot be compiled."""

    def __init__(self, resources: Iterable[Resource], variables: Mapping[str, CelType], faults: Faults) -> None:
        self._variables = variables
        self._faults = faults
        self._resources = {resource.id: resource for resource in reversed(list(resources))}
        self._inspector = Inspector(self._resources, faults)
        ordered = sorted(self._resources.values(), key=lambda resource: resource.index)
        self._fields = {resource.id: self._inspect_fields(resource) for resource in ordered}
        self._include = {resource.id: self._inspect_include(resource) for resource in ordered}
        self.dependencies: dict[str, tuple[str, ...]] = {
            resource.id: _united((*self._fields[resource.id], *self._include[resource.id])) for resource in ordered
        }
        """Ids each resource depends on, resources in the order listed."""

    def nodes(self, order: tuple[str, ...], waves: Mapping[str, int]) -> tuple[Node, ...]:
        """In ``order``; resources of unknown kind are left out, they have been reported."""
        tainted: dict[str, tuple[FieldPath, ...]] = {}
        found: list[Node] = []
        for node_id in order:
            resource = self._resources[node_id]
            if resource.kind is None:
                self._ready_when(resource)
                self._include_when(resource)
                self._template(resource, tainted)
                continue
            node = self._node(resource, resource.kind, waves[node_id], tainted)
            tainted[node_id] = node.tainted_paths
            found.append(node)
        return tuple(found)

    def _node(
        self, resource: Resource, kind: KindSchema, order: int, tainted: Mapping[str, tuple[FieldPath, ...]]
    ) -> Node:
        fields = self._template(resource, tainted)
        gvk = kind.resource.gvk
        paths = (*taint.own_paths(gvk), *(item.path for item in fields if item.tainted))
        return Node(
            id=resource.id,
            index=resource.index,
            resource=kind.resource,
            template=resource.template,
            fields=fields,
            include_when=self._include_when(resource),
            ready_when=self._ready_when(resource),
            dependencies=self.dependencies[resource.id],
            include_dependencies=_united(self._include[resource.id]),
            order=order,
            tainted_paths=tuple(dict.fromkeys(paths)),
        )

    # -- inspection

    def _inspect_fields(self, resource: Resource) -> list[tuple[Site, Referring | None]]:
        sites = [Site(resource.index, resource.id, item.path, item.expression) for item in resource.fields]
        return [(site, self._inspector.inspect(site)) for site in sites]

    def _inspect_include(self, resource: Resource) -> list[tuple[Site, Referring | None]]:
        sites = _condition_sites(resource, "includeWhen", resource.include_when)
        return [(site, self._inspector.inspect(site, "includeWhen")) for site in sites]

    # -- types

    def _template(self, resource: Resource, tainted: Mapping[str, tuple[FieldPath, ...]]) -> tuple[TemplateField, ...]:
        gvk = resource.kind and resource.kind.resource.gvk
        found: list[TemplateField] = []
        for item, (site, referring) in zip(resource.fields, self._fields[resource.id], strict=True):
            program = referring and self._field_program(site, item.path, referring.parsed)
            if program:
                traced = (gvk and taint.holds_values(gvk, item.path)) or taint.reads_tainted(program.reads, tainted)
                found.append(TemplateField(item.path, item.expression.text, program, bool(traced)))
        return tuple(found)

    def _field_program(self, site: Site, path: FieldPath, parsed: ParsedExpression) -> CompiledExpression | None:
        prefix = f"failed to validate resource {quote(site.resource or '')}: "
        shown, where = quote(site.expression.text), f'at path "{site.path}"'
        try:
            program = typing.program(parsed, self._variables)
        except CelError as error:
            message = f"{prefix}failed to compile template expression {shown} {where}: {error}"
            self._faults.add_expression(site, message, error)
            return None
        expected = typing.expected_type(self._variables[site.resource or ""], path)
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
        variables = {resource.id: self._variables[resource.id]}
        found: list[Expression | None] = []
        for site in _condition_sites(resource, "readyWhen", resource.ready_when):
            parsed = self._inspect_ready(site)
            if parsed:
                found.append(self._condition(site, "readyWhen", parsed, variables))
        return tuple(item for item in found if item)

    def _inspect_ready(self, site: Site) -> ParsedExpression | None:
        own = site.resource or ""
        prefix = f"failed to validate resource {quote(own)}: resource {quote(own)} readyWhen: "
        try:
            parsed = parse(site.expression.source)
        except CelSyntaxError as error:
            self._faults.add_expression(site, f"{prefix}failed to inspect expression: parse error: {error}", error)
            return None
        problems = [f"references unknown identifiers: [{name}]" for name in identifiers(parsed) if name != own]
        problems += [f"uses unknown functions: [{{{name}}}]" for name in undeclared(parsed)]
        problems += [OMIT_MISPLACED] if uses_omit(parsed) else []
        for problem in problems:
            self._faults.add_expression(site, prefix + problem)
        return None if problems else parsed

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
