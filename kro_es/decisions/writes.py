"""A write that is planned: its description for the log, and the body that is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kro_es.api.objects import JsonObject, ObjectRef, Resource
from kro_es.events.types import Write

UID_CONFLICT = "UID conflict"
"""Stands for the error of a delete whose object was replaced meanwhile."""
FINALIZER, INVENTORY, STATUS, RELEASE = "finalizer and labels", "inventory", "status", "finalizer released"
NOTICE = "event"
"""``what`` of the writes to the instance itself, and of the Kubernetes Events about it."""


def delete_key(ref: ObjectRef) -> str:
    return f"delete {ref.key}"


Verb = Literal["apply", "create", "delete", "patch", "put"]


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """One write to the API server; writes of a lower ``stage`` are done before those of a higher one."""

    stage: int
    verb: Verb
    resource: Resource
    ref: ObjectRef
    body: JsonObject
    manager: str = ""
    subresource: str = ""
    node: str = ""
    digest: str = ""
    force: bool = True
    uid: str = ""
    """Precondition of a delete."""
    what: str = ""
    """For people: finalizer, inventory, status ..."""
    puts_back: JsonObject = field(default_factory=dict)
    """The drift it ends: {node, manager, since}, the position it was found at; 0: by this very decision."""

    def put_back(self, intent: int) -> JsonObject:
        """The drift as the outcome names it; empty when there is none."""
        return {**self.puts_back, "since": self.puts_back["since"] or intent} if self.puts_back else {}

    @property
    def key(self) -> str:
        """What its failure is known by for the rest of the pass: the object of a delete, the node, or what it is."""
        return delete_key(self.ref) if self.verb == "delete" else self.node or self.what

    def described(self, index: int) -> Write:
        gvk = self.resource.gvk
        return Write(
            index, self.verb, gvk.group, gvk.version, gvk.kind, self.ref.namespace, self.ref.name,
            self.subresource, self.manager, self.node, self.digest,
        )  # fmt: skip
