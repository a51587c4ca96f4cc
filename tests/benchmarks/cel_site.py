"""What the expressions of the benchmark read: an instance, its Deployment and its Service, with their schemas."""

from __future__ import annotations

from kro_es.api.objects import JsonObject
from kro_es.cel.types import CelType, from_openapi
from kro_es.graph.typing import OBJECT_META
from kro_es.schema.openapi import Schema

EXPRESSIONS = (
    "schema.spec.name",
    'schema.spec.name + "-svc"',
    'schema.spec.name + "-" + schema.metadata.namespace + "-" + string(schema.spec.replicas)',
    "schema.spec.enabled ? schema.spec.replicas : 0",
    "has(dep.status.availableReplicas) && schema.spec.enabled",
    "dep.status.readyReplicas == dep.spec.replicas",
    'dep.status.conditions.exists(c, c.type == "Available" && c.status == "True")',
    "schema.spec.ports.map(p, p + 1000)",
    'schema.spec.env.filter(e, e.value != "").map(e, {"name": e.name, "value": e.value})',
    '{"app": schema.spec.name, "tier": "web"}',
    '["--verbose", schema.spec.name] + schema.spec.args',
    'schema.spec.name.startsWith("sh") && schema.spec.image.contains(":") && size(schema.spec.args) > 0'
    ' && "app" in dep.metadata.labels',
)

_TEXT: JsonObject = {"type": "string"}
_WHOLE: JsonObject = {"type": "integer"}
_TEXTS: JsonObject = {"type": "array", "items": _TEXT}
_TEXT_MAP: JsonObject = {"type": "object", "additionalProperties": _TEXT}


def _struct(**properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties}


def _list(**properties: JsonObject) -> JsonObject:
    return {"type": "array", "items": _struct(**properties)}


def _kind(**properties: JsonObject) -> JsonObject:
    return _struct(apiVersion=_TEXT, kind=_TEXT, metadata=OBJECT_META, **properties)


_CONTAINER = {"name": _TEXT, "image": _TEXT, "args": _TEXTS, "env": _list(name=_TEXT, value=_TEXT)}
_SCHEMAS = {
    "schema": _kind(
        spec=_struct(
            name=_TEXT,
            image=_TEXT,
            replicas=_WHOLE,
            enabled={"type": "boolean"},
            ports={"type": "array", "items": _WHOLE},
            env=_list(name=_TEXT, value=_TEXT),
            args=_TEXTS,
        )
    ),
    "dep": _kind(
        spec=_struct(replicas=_WHOLE, template=_struct(spec=_struct(containers=_list(**_CONTAINER)))),
        status=_struct(
            observedGeneration=_WHOLE,
            availableReplicas=_WHOLE,
            readyReplicas=_WHOLE,
            conditions=_list(type=_TEXT, status=_TEXT, reason=_TEXT, message=_TEXT, lastUpdateTime=_TEXT),
        ),
    ),
    "svc": _kind(
        spec=_struct(clusterIP=_TEXT, selector=_TEXT_MAP, ports=_list(name=_TEXT, port=_WHOLE, protocol=_TEXT))
    ),
}


def variables() -> dict[str, CelType]:
    found = {name: from_openapi(Schema(schema), f"__type_{name}") for name, schema in _SCHEMAS.items()}
    return {name: of for name, of in found.items() if of is not None}


def _metadata(name: str) -> JsonObject:
    owned = {f"f:field-{number}": {"f:value": {}, "f:name": {}} for number in range(30)}
    return {
        "name": name,
        "namespace": "prod",
        "uid": "6c1f8f0e-3d7a-4c57-9d8e-0c6f3f4f7a11",
        "resourceVersion": "48151",
        "generation": 4,
        "creationTimestamp": "2025-03-01T10:20:30Z",
        "labels": {"app": "shop", "tier": "web", "app.kubernetes.io/managed-by": "kro"},
        "annotations": {"deployment.kubernetes.io/revision": "4", "note": "n" * 100},
        "managedFields": [{"manager": "kro", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": owned}],
    }


def objects() -> dict[str, JsonObject]:
    env = [{"name": f"SETTING_{number}", "value": "on" if number % 2 else ""} for number in range(6)]
    spec = {
        "name": "shop",
        "image": "registry.example.com/shop:1.4.2",
        "replicas": 3,
        "enabled": True,
        "ports": [8080, 8081, 8082, 8083, 8084, 8085],
        "env": env,
        "args": ["--listen", ":8080"],
    }
    container = {"name": "app", "image": spec["image"], "args": spec["args"], "env": env}
    conditions = [
        {"type": of, "status": "True", "reason": f"{of}Reason", "message": "m" * 60, "lastUpdateTime": "2025-03-01"}
        for of in ("Progressing", "Available")
    ]
    counts = {"observedGeneration": 4, "availableReplicas": 3, "readyReplicas": 3}
    return {
        "schema": {"apiVersion": "kro.run/v1", "kind": "Shop", "metadata": _metadata("shop"), "spec": spec},
        "dep": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata("shop"),
            "spec": {"replicas": 3, "template": {"spec": {"containers": [container]}}},
            "status": {**counts, "conditions": conditions},
        },
        "svc": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata("shop-svc"),
            "spec": {
                "clusterIP": "10.0.0.7",
                "selector": {"app": "shop"},
                "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            },
        },
    }
