"""Definitions and instances of the scenarios (spec/03 §17): kind ``WebShop``, instance ``shop`` in ``team-a``."""

from __future__ import annotations

from typing import Any

from tests.support.steps import config_map, definition

Object = dict[str, Any]
SPEC = {
    "color": "string", "names": "[]string", "mon": "boolean", "ns": "string", "n": "integer", "key": "string",
    "team": "string", "wanted": "object",
}  # fmt: skip


def rgd(*resources: Object, name: str = "webshop-rgd", kind: str = "WebShop", **schema: Any) -> Object:
    return definition(name, kind, dict(SPEC), *resources, **schema)


def shop(name: str = "shop", kind: str = "WebShop", namespace: str = "team-a", **spec: Any) -> Object:
    meta = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "kro.run/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def cm(node: str, data: dict[str, str] | None = None, *, name: str = "", **more: Any) -> Object:
    return config_map(node, name or f"${{schema.metadata.name}}-{node}", data or {}, **more)


CFG = cm("cfg", {"color": "${schema.spec.color}"})
CFG["template"]["metadata"]["labels"] = {"tier": "web"}
