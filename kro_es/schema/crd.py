"""The CustomResourceDefinition of a definition: the one kro would create, member for member (spec/01 §3)."""

from __future__ import annotations

import copy

from kro_es.api import metadata
from kro_es.api.definition import InstanceSchema, ResourceGraphDefinition
from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.schema.plural import plural

DEFAULT_COLUMNS: tuple[JsonObject, ...] = (
    {
        "name": "State",
        "type": "string",
        "jsonPath": ".status.state",
        "description": "The state of a ResourceGraphDefinition instance",
    },
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        "description": "Whether a ResourceGraphDefinition instance is ready",
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Age of the resource"},
)

_TEXT: JsonObject = {"type": "string"}
_CONDITION = {
    **dict.fromkeys(("type", "status", "reason", "message", "lastTransitionTime"), _TEXT),
    "observedGeneration": {"type": "integer"},
}
INJECTED_STATUS: JsonObject = {
    "state": _TEXT,
    "conditions": {"type": "array", "items": {"type": "object", "properties": _CONDITION}},
}
"""Status fields every instance has (spec/01 §4.5)."""


def instance_resource(schema: InstanceSchema) -> Resource:
    """Where instances are served."""
    gvk = Gvk(schema.group, schema.api_version, schema.kind)
    return Resource(gvk, plural(schema.kind), schema.namespaced)


def instance_schema(spec: JsonObject, status: JsonObject) -> JsonObject:
    """OpenAPI schema of an instance; ``status`` is the schema inferred from the author's expressions."""
    properties = {**copy.deepcopy(INJECTED_STATUS), **status.get("properties", {})}
    return {
        "type": "object",
        "properties": {
            "apiVersion": dict(_TEXT),
            "kind": dict(_TEXT),
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {**status, "type": "object", "properties": properties},
        },
    }


def generate(definition: ResourceGraphDefinition, schema: JsonObject) -> JsonObject:
    """The CRD with the labels that are known without a cluster; see :func:`crd_for`."""
    instance = definition.schema
    resource = instance_resource(instance)
    meta: JsonObject = {
        "name": f"{resource.plural}.{instance.group}",
        "labels": {**instance.labels, metadata.OWNED: "true", metadata.DEFINITION_NAME: definition.name},
    }
    if instance.annotations:
        meta["annotations"] = dict(instance.annotations)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": meta,
        "spec": {
            "group": instance.group,
            "scope": instance.scope,
            "names": _names(instance, resource),
            "versions": [_version(instance, schema)],
        },
    }


def crd_for(crd: JsonObject, name: str, uid: str, version: str) -> JsonObject:
    """``crd`` labelled with the definition's name and uid and the controller's version."""
    meta = crd["metadata"]
    labels = {
        **meta["labels"],
        metadata.DEFINITION_NAME: name,
        metadata.DEFINITION_ID: uid,
        metadata.VERSION: metadata.version_label(version),
    }
    return {**crd, "metadata": {**meta, "labels": labels}}


def _names(instance: InstanceSchema, resource: Resource) -> JsonObject:
    names: JsonObject = {
        "kind": instance.kind,
        "listKind": f"{instance.kind}List",
        "plural": resource.plural,
        "singular": instance.kind.lower(),
    }
    if instance.short_names:
        names["shortNames"] = list(instance.short_names)
    if instance.categories:
        names["categories"] = list(instance.categories)
    return names


def _version(instance: InstanceSchema, schema: JsonObject) -> JsonObject:
    columns = [dict(column) for column in instance.printer_columns or DEFAULT_COLUMNS]
    for column in columns:
        # zero is the server's default; sending it would read as a change
        if column.get("priority") == 0:
            del column["priority"]
    return {
        "name": instance.api_version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
