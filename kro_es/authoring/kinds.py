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

from kro_es.api.objects import Gvk, Resource
from kro_es.errors import UserError
from kro_es.schema.openapi import KindSchema, Schema


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
