"""The schema of a custom kind as the API server publishes it, from its CustomResourceDefinition."""

from __future__ import annotations

import hashlib

import orjson

from kro_es.api.objects import Gvk, JsonObject, JsonValue, Resource
from kro_es.errors import UserError
from kro_es.graph.typing import OBJECT_META
from kro_es.schema.openapi import KindSchema, Schema

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_EMBEDDED = "x-kubernetes-embedded-resource"
_TEXT: JsonObject = {"type": "string"}
_META: JsonObject = {"allOf": [{"$ref": f"#/components/schemas/{_OBJECT_META}"}]}


def of_crd(crd: JsonObject) -> dict[Gvk, KindSchema]:
    """Each served version of a CRD as the API server publishes it; a version without a schema takes anything.

    Raises UserError for a CRD that names no kind.
    """
    try:
        spec = crd["spec"]
        names, group, namespaced = spec["names"], spec["group"], spec["scope"] != "Cluster"
        kind, plural = str(names["kind"]), str(names["plural"])
        entries = [entry for entry in spec["versions"] if entry.get("served", True)]
        found = {Gvk(group, str(entry["name"]), kind): (entry.get("schema") or {}) for entry in entries}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"not a usable CustomResourceDefinition: {error!r} is missing or of the wrong type") from None
    return {
        gvk: _kind(Resource(gvk, plural, namespaced), schema.get("openAPIV3Schema")) for gvk, schema in found.items()
    }


def _kind(resource: Resource, schema: JsonValue) -> KindSchema:
    node: JsonObject = schema if isinstance(schema, dict) else {"x-kubernetes-preserve-unknown-fields": True}
    published = _embedded({**node, _EMBEDDED: True})
    digest = hashlib.sha256(orjson.dumps(node, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return KindSchema(resource, Schema(published, {_OBJECT_META: OBJECT_META}), digest)


def _embedded(node: JsonObject) -> JsonObject:
    """Objects of a kind of their own get the fields every object has."""
    found = dict(node)
    if found.get(_EMBEDDED) is True:
        given = found.get("properties") or {}
        found = {"type": "object", **found}
        found["properties"] = {**given, "apiVersion": _TEXT, "kind": _TEXT, "metadata": _META}
    if isinstance(found.get("properties"), dict):
        found["properties"] = {
            name: _embedded(value) for name, value in found["properties"].items() if isinstance(value, dict)
        }
    for name in ("items", "additionalProperties"):
        if isinstance(found.get(name), dict):
            found[name] = _embedded(found[name])
    return found
