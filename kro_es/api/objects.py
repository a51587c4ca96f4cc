"""Kubernetes objects as JSON, and the values that name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
"""Kubernetes JSON: the one place where ``Any`` is spelled."""
JsonObject: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True, order=True)
class Gvk:
    """Group, version and kind; the core group is the empty string."""

    group: str
    version: str
    kind: str

    @classmethod
    def parse(cls, api_version: str, kind: str) -> Gvk:
        """``apps/v1`` + ``Deployment``; raises ValueError when ``api_version`` has more than one slash."""
        parts = api_version.split("/")
        if len(parts) > 2:
            raise ValueError(f"unexpected GroupVersion string: {api_version}")
        return cls(parts[0] if len(parts) == 2 else "", parts[-1], kind)

    @classmethod
    def of(cls, obj: Mapping[str, JsonValue]) -> Gvk:
        return cls.parse(obj["apiVersion"], obj["kind"])

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_kind(self) -> str:
        """``Deployment.apps``; the core group is just ``ConfigMap`` (the form in the inventory annotation)."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def __str__(self) -> str:
        return f"{self.api_version}, Kind={self.kind}"


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A served kind: where its objects are found in the API."""

    gvk: Gvk
    plural: str
    namespaced: bool

    @property
    def name(self) -> str:
        """``deployments.apps``, or ``configmaps``: as kubectl takes it."""
        return f"{self.plural}.{self.gvk.group}" if self.gvk.group else self.plural

    @property
    def text(self) -> str:
        """``apps/v1, Resource=deployments``, the form kro prints (spec/03 §8)."""
        return f"{self.gvk.group}/{self.gvk.version}, Resource={self.plural}"


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """One object by name; ``namespace`` is empty for cluster-scoped kinds. The version is not part of identity."""

    group: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, obj: Mapping[str, JsonValue]) -> ObjectRef:
        meta = obj["metadata"]
        return cls(obj["apiVersion"].rpartition("/")[0], obj["kind"], meta.get("namespace", ""), meta["name"])

    @property
    def key(self) -> str:
        """``group/Kind/namespace/name``: unique, sortable, reversible by :meth:`from_key`."""
        return f"{self.group}/{self.kind}/{self.namespace}/{self.name}"

    @classmethod
    def from_key(cls, key: str) -> ObjectRef:
        group, kind, namespace, name = key.split("/", 3)
        return cls(group, kind, namespace, name)

    @property
    def group_kind(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.group_kind} {where}"


def labels(obj: Mapping[str, JsonValue]) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Mapping[str, JsonValue]) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def uid(obj: Mapping[str, JsonValue]) -> str:
    found: str = obj["metadata"].get("uid", "")
    return found


def resource_version(obj: Mapping[str, JsonValue]) -> int:
    """resourceVersion as an integer (ordered since Kubernetes 1.35, KEP-5504); 0 when absent."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def terminating(obj: Mapping[str, JsonValue]) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))
