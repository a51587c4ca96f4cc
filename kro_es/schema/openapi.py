"""The one schema type used everywhere: a lazy, read-only view on OpenAPI v3 JSON with its references resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kro_es.api.objects import JsonObject, JsonValue, Resource

PRESERVE_UNKNOWN = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
REF_PREFIX = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema node; ``components`` holds the documents that ``$ref`` points into (shared, never copied)."""

    node: JsonObject
    components: Mapping[str, JsonObject] = field(default_factory=dict, repr=False, compare=False)

    @property
    def resolved(self) -> JsonObject:
        """The node behind ``$ref`` or a single ``allOf`` (the form Kubernetes uses to add a default to a reference)."""
        node = self.node
        while True:
            ref = node.get("$ref")
            if ref is None and len(node.get("allOf") or ()) == 1:
                ref = node["allOf"][0].get("$ref")
            if ref is None:
                return node
            node = self.components[ref.removeprefix(REF_PREFIX)]

    @property
    def ref(self) -> str | None:
        """Name of the component this node refers to: what recursion is recognised by."""
        node = self.node
        target = node.get("$ref") or (node["allOf"][0].get("$ref") if len(node.get("allOf") or ()) == 1 else None)
        return target.removeprefix(REF_PREFIX) if target else None

    @property
    def type(self) -> str | None:
        found: str | None = self.resolved.get("type")
        return found

    @property
    def format(self) -> str | None:
        found: str | None = self.resolved.get("format")
        return found

    @property
    def preserve_unknown(self) -> bool:
        return bool(self.resolved.get(PRESERVE_UNKNOWN))

    @property
    def int_or_string(self) -> bool:
        node = self.resolved
        return bool(node.get(INT_OR_STRING)) or node.get("format") == "int-or-string"

    @property
    def items(self) -> Schema | None:
        node = self.resolved.get("items")
        return self._child(node) if node else None

    @property
    def additional(self) -> Schema | Literal[True] | None:
        """Schema of map values; True when anything is allowed; None when the object is closed or not a map."""
        node = self.resolved.get("additionalProperties")
        if node is True:
            return True
        return self._child(node) if isinstance(node, dict) else None

    def properties(self) -> Iterator[tuple[str, Schema]]:
        for name, node in (self.resolved.get("properties") or {}).items():
            yield name, self._child(node)

    def property(self, name: str) -> Schema | None:
        node = (self.resolved.get("properties") or {}).get(name)
        return None if node is None else self._child(node)

    def branches(self, key: Literal["oneOf", "anyOf"]) -> tuple[Schema, ...]:
        return tuple(self._child(node) for node in self.resolved.get(key) or ())

    def extension(self, name: str) -> JsonValue:
        """Value of ``x-kubernetes-<name>``, or None."""
        return self.resolved.get(f"x-kubernetes-{name}")

    def _child(self, node: JsonObject) -> Schema:
        return Schema(node, self.components)


@dataclass(frozen=True, slots=True)
class KindSchema:
    """A served kind together with the schema of its objects, and a digest of that schema."""

    resource: Resource
    schema: Schema
    digest: str = ""
    """Identifies the OpenAPI document the schema came from; recorded with each revision."""
