"""Kinds that only the API server in memory has, besides those of the graph tests."""

from __future__ import annotations

from typing import Any

from kro_es.api.objects import Gvk, Resource
from kro_es.graph.typing import OBJECT_META
from kro_es.schema.openapi import KindSchema, Schema

Object = dict[str, Any]


def own_kinds() -> dict[Gvk, KindSchema]:
    text: Object = {"type": "string"}
    meta = {"apiVersion": text, "kind": text, "metadata": OBJECT_META}
    number = {"type": "integer"}
    database = {
        "type": "object",
        "properties": {
            **meta,
            "spec": {"type": "object", "properties": {"size": text}},
            "status": {"type": "object", "properties": {"endpoint": text, "ready": {"type": "boolean"}, "n": number}},
        },
    }
    role = {"type": "object", "properties": {**meta, "rules": {"type": "array", "items": {"type": "object"}}}}
    event = {"type": "object", "properties": {**meta, "message": text}}
    kinds = [
        KindSchema(Resource(Gvk("", "v1", "Event"), "events", True), Schema(event), "ev"),
        KindSchema(Resource(Gvk("db.test", "v1", "Database"), "databases", True), Schema(database), "db"),
        KindSchema(
            Resource(Gvk("rbac.authorization.k8s.io", "v1", "ClusterRole"), "clusterroles", False), Schema(role), "cr"
        ),
    ]
    return {kind.resource.gvk: kind for kind in kinds}
