"""Schemas for the types of variables: from the documents of files, and of kinds from a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from kro_es.api.objects import Gvk, JsonValue
from kro_es.cluster.client import connect
from kro_es.cluster.discovery import Discovery
from kro_es.errors import KindNotFound, UserError
from kro_es.graph.typing import OBJECT_META
from kro_es.schema.openapi import KindSchema, Schema
from kro_es.settings import VERSION

CRD = "CustomResourceDefinition"
_TEXT = {"type": "string"}


def schema_of_document(name: str, document: JsonValue) -> tuple[str, Schema]:
    """What a variable of this schema is called, and the schema; of a CRD, its kind and its storage version.

    Raises UserError when ``document``, read from ``name``, is neither a CRD nor an OpenAPI schema.
    """
    if not isinstance(document, dict):
        raise UserError(f"{name}: expected a {CRD} or an OpenAPI schema, found {type(document).__name__}")
    if document.get("kind") == CRD:
        return _of_crd(name, document)
    if not any(key in document for key in ("type", "properties", "additionalProperties", "items", "$ref", "allOf")):
        raise UserError(f"{name}: neither a {CRD} nor an OpenAPI schema (no type, no properties)")
    components = (document.get("components") or {}).get("schemas") or {}
    return "schema", Schema(document, components)


def _of_crd(name: str, crd: Mapping[str, JsonValue]) -> tuple[str, Schema]:
    try:
        kind = str(crd["spec"]["names"]["kind"])
        versions = [version for version in crd["spec"]["versions"] if version.get("storage")]
        node = dict(versions[0]["schema"]["openAPIV3Schema"])
        node["properties"] = {**node.get("properties", {}), "apiVersion": _TEXT, "kind": _TEXT, "metadata": OBJECT_META}
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{name}: not a usable {CRD}: {error!r} in spec.names or spec.versions") from None
    return kind, Schema(node)


def kinds_of_cluster(kinds: Iterable[Gvk], kubeconfig: str | None, context: str | None) -> dict[Gvk, KindSchema]:
    """Raises KindNotFound for a kind the cluster does not serve, UserError when there is no cluster to ask."""
    return asyncio.run(_served(list(kinds), kubeconfig, context))


async def _served(kinds: list[Gvk], kubeconfig: str | None, context: str | None) -> dict[Gvk, KindSchema]:
    async with await connect(kubeconfig, context, user_agent=f"kro-es/{VERSION}") as client:
        found = await Discovery(client).kinds(kinds)
    for gvk in kinds:
        if gvk not in found:
            raise KindNotFound(gvk.api_version, gvk.kind, group_known=True)
    return found
