"""A definition and the schemas of its kinds to a ResourceGraph, or every fault of the definition in document order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from kro_es.api.definition import ResourceGraphDefinition
from kro_es.api.objects import Gvk, JsonObject
from kro_es.api.sensitive import Rule
from kro_es.cel.declarations import FULL, Environment
from kro_es.cel.errors import CelError
from kro_es.cel.types import DYN, CelType, ListType
from kro_es.graph import dag, status_schema, typing, validate
from kro_es.graph.conditions import compile_conditions
from kro_es.graph.faults import SCHEMA, STATUS, Faults
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.hash import spec_hash
from kro_es.graph.node import AuthorCondition, Node, ResourceGraph, StatusField
from kro_es.graph.nodes import NodeBuilder
from kro_es.graph.references import INSTANCE, Inspector
from kro_es.graph.resources import Resource, ResourceReader, required_kinds
from kro_es.graph.status import compile_status
from kro_es.schema import crd, simple
from kro_es.schema.gotext import quote
from kro_es.schema.openapi import PRESERVE_UNKNOWN, KindSchema

__all__ = ["compile_graph", "required_kinds"]

_ANY_SPEC: JsonObject = {"type": "object", PRESERVE_UNKNOWN: True}


def compile_graph(
    definition: ResourceGraphDefinition,
    kinds: Mapping[Gvk, KindSchema],
    version: str = "devel",
    *,
    omit: bool = True,
    environment: Environment = FULL,
    rules: tuple[Rule, ...] = (),
) -> ResourceGraph:
    """Raises DefinitionErrors; a fault of one resource hides no fault of another.

    ``omit``: whether omit() may be used (kro's feature gate CELOmitFunction). ``environment``: the functions there are.
    ``rules``: fields whose values are never recorded, nor what is computed from them.
    """
    faults = Faults()
    validate.naming(definition, faults)
    spec = _spec_schema(definition, faults)
    reader = ResourceReader(definition, kinds, faults)
    resources = [reader.read(index) for index in range(len(definition.resources))]
    faults.unknown.update(resource.id for resource in resources if resource.kind is None)
    variables = _variables(definition, spec, resources)
    inspector = Inspector((resource.id for resource in resources), faults, omit=omit, environment=environment)
    instance = crd.instance_resource(definition.schema)
    builder = NodeBuilder(resources, variables, faults, inspector, instance=instance, rules=rules)
    order, waves = _order(resources, builder, faults)
    nodes = builder.nodes(order, waves)
    status = compile_status(definition.schema.status, variables, builder.tainted, faults, environment)
    inferred = _status_schema(status, faults)
    block = definition.schema.status.get("conditions")
    conditions = compile_conditions(block, variables, builder.tainted, faults, environment)
    faults.raise_if_any()
    schema = crd.instance_schema(spec, inferred)
    return ResourceGraph(
        definition=definition.name,
        instance=instance,
        nodes=nodes,
        status=status,
        crd=crd.crd_for(crd.generate(definition, schema), definition.name, definition.uid, version),
        spec_hash=spec_hash(definition),
        topological_order=order,
        tainted_status=_tainted_status(status, conditions or ()),
        schemas_digest=_digest(nodes, kinds),
        conditions=conditions,
    )


def _spec_schema(definition: ResourceGraphDefinition, faults: Faults) -> JsonObject:
    """Anything goes in a spec whose schema is at fault, so that expressions on it are not blamed as well."""
    try:
        return simple.to_openapi(definition.schema.spec, definition.schema.types)
    except simple.SimpleSchemaError as error:
        prefix = f"failed to build resourcegraphdefinition {quote(definition.name)}: "
        for fault in error.faults:
            message = f"{prefix}failed to build OpenAPI schema for instance: {fault.message}"
            faults.add(SCHEMA, message, path=f"spec.schema.{fault.path}")
        faults.unknown.add(INSTANCE)
        return dict(_ANY_SPEC)


def _variables(definition: ResourceGraphDefinition, spec: JsonObject, resources: list[Resource]) -> dict[str, CelType]:
    """What expressions may name; a resource of unknown kind is dyn."""
    schema = crd.instance_schema(spec, {"type": "object"})
    found: dict[str, CelType] = {}
    for resource in resources:
        unknown = ListType(DYN) if resource.many else DYN
        known = (
            typing.resource_type(resource.kind.schema, resource.id, many=resource.many) if resource.kind else unknown
        )
        found.setdefault(resource.id, known)
    found[INSTANCE] = typing.instance_type(schema, namespaced=definition.schema.namespaced)
    return found


def _order(
    resources: list[Resource], builder: NodeBuilder, faults: Faults
) -> tuple[tuple[str, ...], Mapping[str, int]]:
    """Topological order and waves; as listed when a cycle leaves none."""
    dependencies = builder.dependencies
    try:
        return dag.topological_order(dependencies), dag.waves(dependencies)
    except dag.CycleError as error:
        index = next(item.index for item in resources if item.id == error.cycle[0])
        faults.add(index, f"failed to build dependency graph: {error}", resource=error.cycle[0])
        return tuple(dependencies), dict.fromkeys(dependencies, 0)


def _status_schema(status: tuple[StatusField, ...], faults: Faults) -> JsonObject:
    try:
        return status_schema.infer((item.path, item.program.result_type) for item in status)
    except CelError as error:
        text = f"{status_schema.FAILED}failed to generate status schema from CEL types: {error}"
        faults.add(STATUS, text, path="status")
        return {"type": "object"}


def _tainted_status(status: tuple[StatusField, ...], conditions: tuple[AuthorCondition, ...]) -> tuple[FieldPath, ...]:
    """The free texts of every condition when one may hold the value of a Secret: entries move within the list."""
    texts: tuple[FieldPath, ...] = (("conditions", 0, "reason"), ("conditions", 0, "message"))
    fields = tuple(item.path for item in status if item.tainted)
    return (*fields, *texts) if any(item.tainted for item in conditions) else fields


def _digest(nodes: tuple[Node, ...], kinds: Mapping[Gvk, KindSchema]) -> str:
    found = sorted({(node.resource.gvk.api_version, node.resource.gvk.kind) for node in nodes})
    lines = [f"{version} {kind} {kinds[Gvk.parse(version, kind)].digest}" for version, kind in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
