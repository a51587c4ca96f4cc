"""The kinds a definition may use: those that ship with the package, and those of CustomResourceDefinitions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import orjson
import zstandard

from kro_es.api.objects import Gvk, JsonObject, JsonValue, Resource
from kro_es.errors import UserError
from kro_es.graph.typing import OBJECT_META
from kro_es.schema.openapi import KindSchema, Schema

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_EMBEDDED = "x-kubernetes-embedded-resource"
_TEXT: JsonObject = {"type": "string"}
_META: JsonObject = {"allOf": [{"$ref": f"#/components/schemas/{_OBJECT_META}"}]}


class UnknownVersion(UserError):
    """No schemas of this Kubernetes version come with the package."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """Schemas of one Kubernetes version."""

    version: str
    """Of the API server they were taken from, e.g. ``v1.36.3``."""
    kinds: Mapping[Gvk, KindSchema]


def versions() -> tuple[str, ...]:
    """Minor versions that ship, newest first."""
    names = (entry.name for entry in (resources.files(__package__) / "schemas").iterdir())
    found = [name.removesuffix(".json.zst") for name in names if name.endswith(".json.zst")]
    return tuple(sorted(found, key=lambda name: [int(part) for part in name.split(".")], reverse=True))


def shipped(version: str | None = None) -> Shipped:
    """``1.36``, ``v1.36`` or ``1.36.3``; None takes the newest. Raises UnknownVersion."""
    there = versions()
    if version is None:
        return _load(there[0])
    found = re.match(r"v?(\d+\.\d+)(\.\d+)?$", version)
    if found is None or found[1] not in there:
        raise UnknownVersion(f"no schemas of Kubernetes {version} ship with kro-es; there are {', '.join(there)}")
    return _load(found[1])


@cache
def _load(name: str) -> Shipped:
    packed = (resources.files(__package__) / "schemas" / f"{name}.json.zst").read_bytes()
    bundle = orjson.loads(zstandard.decompress(packed))
    components = bundle["components"]
    digest = hashlib.sha256(packed).hexdigest()
    kinds: dict[Gvk, KindSchema] = {}
    for api_version, kind, plural, namespaced, component in bundle["kinds"]:
        gvk = Gvk.parse(api_version, kind)
        schema = Schema({"$ref": f"#/components/schemas/{component}"}, components)
        kinds[gvk] = KindSchema(Resource(gvk, plural, namespaced), schema, digest)
    return Shipped(bundle["version"], kinds)


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
