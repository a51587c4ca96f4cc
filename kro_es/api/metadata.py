"""Every label, annotation, finalizer and field manager of the wire contract, and the ids built from them (spec/03 §1-2)."""

from __future__ import annotations

import re

GROUP = "kro.run"
DEFINITION_API_VERSION = "kro.run/v1alpha1"
REVISION_API_VERSION = "internal.kro.run/v1alpha1"
DEFINITION_KIND = "ResourceGraphDefinition"
REVISION_KIND = "GraphRevision"

HISTORY_GROUP = "history.kro-es.dev"
"""API group of the questions that can be put to the log through the API server; each is a resource of it."""
HISTORY_VERSION = "v1alpha1"
WHOLE_LOG = "wholelog"
"""Whoever may ``get`` this resource of the group sees everything, and may put SQL to it, prove and export it."""

FINALIZER = "kro.run/finalizer"

LABELLER = "kro.run/labeller"
"""Field manager of finalizer and management labels on instances."""
PARENT_MANAGER = "kro.run/applyset-parent"
"""Field manager of the inventory on instances."""
CHILD_MANAGER = "kro.run/applyset"
"""Field manager of children; frozen, or fields dropped from a template would stay on older objects."""
CONTROLLER_MANAGER = "kro-es"
"""Field manager of our writes that kro has no name for: definitions, revisions, status."""
ROLLBACK_MANAGER = "kro-history"
"""Field manager of the command line when it puts an old definition back."""

OWNED = "kro.run/owned"
VERSION = "kro.run/kro-version"
DEFINITION_ID = "kro.run/resource-graph-definition-id"
DEFINITION_NAME = "kro.run/resource-graph-definition-name"
REVISION_HASH = "kro.run/graph-revision-hash"

INSTANCE_ID = "kro.run/instance-id"
INSTANCE_NAME = "kro.run/instance-name"
INSTANCE_NAMESPACE = "kro.run/instance-namespace"
INSTANCE_GROUP = "kro.run/instance-group"
INSTANCE_VERSION = "kro.run/instance-version"
INSTANCE_KIND = "kro.run/instance-kind"
NODE_ID = "kro.run/node-id"
COLLECTION_INDEX = "kro.run/collection-index"
COLLECTION_SIZE = "kro.run/collection-size"
MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "applyset.kubernetes.io/part-of"
APPLYSET_ID = "applyset.kubernetes.io/id"

TOOLING = "applyset.kubernetes.io/tooling"
GROUP_KINDS = "applyset.kubernetes.io/contains-group-kinds"
NAMESPACES = "applyset.kubernetes.io/additional-namespaces"
INVENTORY_HASH = "internal.kro.run/applyset-inventory-hash"
APPLY_ORDER = "internal.kro.run/apply-order"

RECONCILE = "kro.run/reconcile"
ALLOW_BREAKING = "kro.run/allow-breaking-changes"

HELD = "kro.run/held"
"""Annotation on what is held: where its spec comes from in the log, and the digest of it."""

PINNED = "kro.run/pinned"
"""Annotation on an instance that is pinned: the revision it stays on, and the hash of its spec."""
PINNED_INSTANCES = "kro.run/pinned-instances"
"""Annotation on a definition whose instances are pinned by labels: JSON, a list of {selector, namespace, pin, reason, by}."""
PINNED_REVISION = "kro.run/pinned-revision"
"""Label with the number alone, for who asks kubectl; nothing depends on it."""

RESERVED_PREFIXES = ("kro.run/", "internal.kro.run/")

_LABEL_VALUE = re.compile(r"(?!.*\n)([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")


def version_label(version: str) -> str:
    """The version as a label value: ``+`` becomes ``-`` only when the raw text is not a valid value (spec/03 §1)."""
    return version if _LABEL_VALUE.match(version) else version.replace("+", "-")


AGGREGATED = "rbac.kro.run/aggregate-to-controller=true"
"""Label of a ClusterRole whose rules the controller has too (deploy/rbac.yaml)."""
