"""Hand-written fragments of Kubernetes schemas: enough of each kind for the definitions of the tests."""

from __future__ import annotations

from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.graph.typing import OBJECT_META
from kro_es.schema.openapi import PRESERVE_UNKNOWN, KindSchema, Schema

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_POD_SPEC = "io.k8s.api.core.v1.PodSpec"
_TEXT: JsonObject = {"type": "string"}
_INTEGER: JsonObject = {"type": "integer", "format": "int32"}
_TEXT_MAP: JsonObject = {"type": "object", "additionalProperties": _TEXT}
_INT_OR_STRING: JsonObject = {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
_QUANTITY: JsonObject = {"oneOf": [{"type": "string"}, {"type": "number"}]}
_BYTES: JsonObject = {"type": "string", "format": "byte"}


def _ref(name: str) -> JsonObject:
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "default": {}}


def _object(**properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties}


def _list(items: JsonObject) -> JsonObject:
    return {"type": "array", "items": items}


_CONTAINER = _object(
    name=_TEXT,
    image=_TEXT,
    args=_list(_TEXT),
    env=_list(_object(name=_TEXT, value=_TEXT)),
    ports=_list(_object(containerPort=_INTEGER, name=_TEXT)),
    resources=_object(limits={"type": "object", "additionalProperties": _QUANTITY}),
)
_COMPONENTS: dict[str, JsonObject] = {
    _META: OBJECT_META,
    _POD_SPEC: _object(
        containers=_list(_CONTAINER), nodeSelector=_TEXT_MAP, restartPolicy=_TEXT, serviceAccountName=_TEXT
    ),
}


def _kind(api_version: str, kind: str, plural: str, properties: JsonObject, *, namespaced: bool = True) -> KindSchema:
    schema: JsonObject = {
        "type": "object",
        "properties": {"apiVersion": _TEXT, "kind": _TEXT, "metadata": _ref(_META), **properties},
    }
    resource = Resource(Gvk.parse(api_version, kind), plural, namespaced)
    return KindSchema(resource, Schema(schema, _COMPONENTS), digest=f"digest of {kind}")


_SELECTOR = _object(
    matchLabels=_TEXT_MAP,
    matchExpressions=_list(_object(key=_TEXT, operator=_TEXT, values=_list(_TEXT))),
)
_DEPLOYMENT = _kind(
    "apps/v1",
    "Deployment",
    "deployments",
    {
        "spec": _object(
            replicas=_INTEGER,
            paused={"type": "boolean"},
            selector=_SELECTOR,
            template=_object(metadata=_ref(_META), spec=_ref(_POD_SPEC)),
        ),
        "status": _object(
            availableReplicas=_INTEGER,
            readyReplicas=_INTEGER,
            replicas=_INTEGER,
            conditions=_list(_object(type=_TEXT, status=_TEXT)),
        ),
    },
)
_SERVICE_PORT = _object(name=_TEXT, port=_INTEGER, targetPort=_INT_OR_STRING)

KINDS: dict[Gvk, KindSchema] = {
    kind.resource.gvk: kind
    for kind in (
        _kind(
            "v1",
            "ConfigMap",
            "configmaps",
            {
                "data": _TEXT_MAP,
                "binaryData": {"type": "object", "additionalProperties": _BYTES},
                "immutable": {"type": "boolean"},
            },
        ),
        _kind(
            "v1",
            "Secret",
            "secrets",
            {"data": {"type": "object", "additionalProperties": _BYTES}, "stringData": _TEXT_MAP, "type": _TEXT},
        ),
        _kind(
            "v1",
            "Service",
            "services",
            {"spec": _object(clusterIP=_TEXT, ports=_list(_SERVICE_PORT), selector=_TEXT_MAP, type=_TEXT)},
        ),
        _kind("v1", "Pod", "pods", {"spec": _ref(_POD_SPEC), "status": _object(phase=_TEXT, podIP=_TEXT)}),
        _kind("v1", "Node", "nodes", {"spec": _object(unschedulable={"type": "boolean"})}, namespaced=False),
        _kind("v1", "Namespace", "namespaces", {"status": _object(phase=_TEXT)}, namespaced=False),
        _kind(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            {"spec": _object(group=_TEXT)},
            namespaced=False,
        ),
        _DEPLOYMENT,
        _kind("pu.test.io/v1", "Puw", "puws", {"spec": {"type": "object", PRESERVE_UNKNOWN: True}}),
        _kind("kro.run/v1alpha1", "Other", "others", {"spec": _object(name=_TEXT)}),
    )
}
"""The kinds the tests know; any other is not served."""
