"""Membership of an apply set: its id, the inventory on the parent, and the labels of its members (spec/03 §2, §7)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, Resource, annotations_of, labels

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]*\Z")
_DNS = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class Inventory:
    """Kinds (``Kind.group``) and foreign namespaces the members of an apply set may be in."""

    group_kinds: frozenset[str]
    namespaces: frozenset[str]


def _hashed(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def applyset_id(parent: ObjectRef) -> str:
    """Spec/03 §2.3; the version is not part of it, so changing the served version keeps ownership."""
    return f"applyset-{_hashed('.'.join((parent.name, parent.namespace, parent.kind, parent.group)))}-v1"


def inventory_hash(set_id: str, inventory: Inventory) -> str:
    kinds, namespaces = ",".join(sorted(inventory.group_kinds)), ",".join(sorted(inventory.namespaces))
    return f"sha256:{_hashed(chr(0).join((set_id, kinds, namespaces)))}"


def of_objects(objects: Iterable[JsonObject], namespace: str, *, cluster_scoped: bool) -> Inventory:
    """The batch of spec/03 §7.2: the instance's own namespace is never listed."""
    refs = [ObjectRef.of(obj) for obj in objects]
    foreign = {ref.namespace for ref in refs if ref.namespace and (cluster_scoped or ref.namespace != namespace)}
    return Inventory(frozenset(ref.group_kind for ref in refs), frozenset(foreign))


def parse_inventory(instance: Mapping[str, object]) -> Inventory:
    """What the instance's annotations list; a missing one lists nothing."""
    found = annotations_of(instance)
    return Inventory(_entries(found.get(metadata.GROUP_KINDS, "")), _entries(found.get(metadata.NAMESPACES, "")))


def _entries(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def validate_inventory(instance: Mapping[str, object], set_id: str) -> str | None:
    """The first fault in kro's words and order (spec/03 §7.1), or None."""
    found = annotations_of(instance)
    label = labels(instance).get(metadata.APPLYSET_ID, "")
    if label != set_id:
        return f'invalid {metadata.APPLYSET_ID} label: got "{label}", want "{set_id}"'
    tooling = found.get(metadata.TOOLING, "")
    if not tooling.startswith("kro/"):
        return f'invalid {metadata.TOOLING} annotation: "{tooling}" is not owned by kro'
    for key in (metadata.GROUP_KINDS, metadata.NAMESPACES):
        if key not in found:
            return f"missing required {key} annotation"
    fault = _faulty(found)
    if fault:
        return fault
    wanted = inventory_hash(set_id, parse_inventory(instance))
    got = found.get(metadata.INVENTORY_HASH)
    if got is not None and got != wanted:
        return f'invalid {metadata.INVENTORY_HASH} annotation: got "{got}", want "{wanted}"'
    return None


def _faulty(found: Mapping[str, str]) -> str | None:
    for part in found[metadata.GROUP_KINDS].split(",") if found[metadata.GROUP_KINDS] else ():
        kind, _, group = part.strip().partition(".")
        if not part.strip():
            return f"invalid {metadata.GROUP_KINDS} annotation: contains an empty group-kind"
        if not _KIND.match(kind):
            return f'invalid {metadata.GROUP_KINDS} annotation: invalid kind "{kind}"'
        if group and not _DNS.match(group):
            return f'invalid {metadata.GROUP_KINDS} annotation: invalid group "{group}": not a DNS-1123 subdomain'
    for part in found[metadata.NAMESPACES].split(",") if found[metadata.NAMESPACES] else ():
        if not _DNS.match(part.strip()):
            return f'invalid {metadata.NAMESPACES} annotation: invalid namespace "{part.strip()}": not a DNS-1123 label'
    return None


def inventory_metadata(inventory: Inventory, set_id: str, version: str) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and annotations of the parent (spec/03 §2.1)."""
    return {metadata.APPLYSET_ID: set_id}, {
        metadata.TOOLING: f"kro/{version}",
        metadata.GROUP_KINDS: ",".join(sorted(inventory.group_kinds)),
        metadata.NAMESPACES: ",".join(sorted(inventory.namespaces)),
        metadata.INVENTORY_HASH: inventory_hash(set_id, inventory),
    }


def instance_labels(definition: str, definition_uid: str, version: str) -> dict[str, str]:
    """The four management labels of an instance (spec/03 §2.1)."""
    return {
        metadata.OWNED: "true",
        metadata.VERSION: metadata.version_label(version),
        metadata.DEFINITION_ID: definition_uid,
        metadata.DEFINITION_NAME: definition,
    }


def child_labels(instance: JsonObject, resource: Resource, node: str, version: str) -> dict[str, str]:
    """Labels of a managed child (spec/03 §2.2); the namespace label only when the generated API is namespaced."""
    ref = ObjectRef.of(instance)
    found = {
        metadata.OWNED: "true",
        metadata.VERSION: metadata.version_label(version),
        metadata.INSTANCE_ID: instance["metadata"]["uid"],
        metadata.INSTANCE_NAME: ref.name,
        metadata.INSTANCE_GROUP: resource.gvk.group,
        metadata.INSTANCE_VERSION: resource.gvk.version,
        metadata.INSTANCE_KIND: resource.gvk.kind,
        metadata.MANAGED_BY: "kro",
        metadata.NODE_ID: node,
        metadata.PART_OF: applyset_id(ref),
    }
    return found | ({metadata.INSTANCE_NAMESPACE: ref.namespace} if resource.namespaced else {})


def item_labels(index: int, size: int) -> dict[str, str]:
    """Further labels of a collection's item: its place in the product of the lists, and how many there are."""
    return {metadata.COLLECTION_INDEX: str(index), metadata.COLLECTION_SIZE: str(size)}


def child_annotations(order: int) -> dict[str, str]:
    return {metadata.APPLY_ORDER: str(order)}
