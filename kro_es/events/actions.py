"""What was decided about an instance, what was written, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from kro_es.api.objects import JsonObject
from kro_es.events.parts import Input, NodeReport, Write


@dataclass(frozen=True, slots=True)
class ReconcileDecided:
    """A pass that acts: what it read, what it is about to write, and how every node stands."""

    TYPE: ClassVar[str] = "reconcile.decided"
    at: int
    """The clock event, microseconds since the epoch."""
    position: int
    """The log position everything was read at."""
    inputs: tuple[Input, ...]
    writes: tuple[Write, ...]
    nodes: tuple[NodeReport, ...] = ()
    """Every node of the graph; empty for definitions."""
    revision: int = 0
    definition_uid: str = ""
    engine: str = ""
    state: str = ""
    drift: tuple[JsonObject, ...] = ()
    """Fields of ours somebody changed: {node, path, from, to, manager}.

    Where it is not put back (suspended) also {kind, namespace, name}; where it was found before, {since}: that position.
    """
    accepted: tuple[JsonObject, ...] = ()
    """Drift found before that nobody put back and that is none any more, or is another hand's now: {node, manager, since}."""
    given: JsonObject = field(default_factory=dict)
    """What was read and is no row: ``failed`` writes of the same pass, lists of others that are ``unread``; by name.

    About a definition: the digests of the ``schemas`` it was compiled against, and what the API server made of its API.
    """
    why: str = ""


@dataclass(frozen=True, slots=True)
class ResourceApplied:
    """The API server took a child; the object itself is the ``object.observed`` committed with this event."""

    TYPE: ClassVar[str] = "resource.applied"
    intent: int
    index: int
    node: str
    """Id of the node; for an item of a collection followed by ``/namespace/name``, here and in all outcomes."""
    desired_digest: str
    owned_digest: str
    fields_digest: str
    fields: JsonObject | None
    """Our fieldsV1 entry; only the first time this set is seen in the log, else None."""
    created: bool
    changed: bool
    adopted: tuple[str, ...] = ()
    """Other field managers the object already had."""
    puts_back: JsonObject = field(default_factory=dict)
    """The drift this ends, when an earlier try did not: {node, manager, since}, the position of the decision that found it."""


@dataclass(frozen=True, slots=True)
class ResourceTakenOver:
    """A live child already is what its node wants, by fields our manager owns already: recorded, not written.

    So it is after a start on an empty log over a converged cluster, whoever wrote it.
    """

    TYPE: ClassVar[str] = "resource.taken_over"
    node: str
    desired_digest: str
    owned_digest: str
    fields_digest: str
    position: int = 0
    """The log position everything was read at; 0: recorded before that was noted."""
    served_by: str = ""
    """uid of the definition whose graph wants it so."""
    given: JsonObject = field(default_factory=dict)
    """As in :class:`ReconcileDecided`."""


@dataclass(frozen=True, slots=True)
class ResourceDeleted:
    """A delete of ours was accepted (or the object was already gone)."""

    TYPE: ClassVar[str] = "resource.deleted"
    intent: int
    index: int
    node: str
    gone: bool


@dataclass(frozen=True, slots=True)
class WriteDone:
    """Any other write of ours that succeeded: metadata, status, CRD, GraphRevision, finalizer."""

    TYPE: ClassVar[str] = "write.done"
    intent: int
    index: int
    what: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class WriteFailed:
    TYPE: ClassVar[str] = "write.failed"
    intent: int
    index: int
    node: str
    status: int
    reason: str
    message: str
    puts_back: JsonObject = field(default_factory=dict)
    """The drift it should have ended: {node, manager, since}, the position of the decision that found it."""


@dataclass(frozen=True, slots=True)
class WriteUnsent:
    """A write of a decision that was never sent: one before it had failed, or had left nothing to tell."""

    TYPE: ClassVar[str] = "write.unsent"
    intent: int
    index: int
    after: str
    """What failed: a node, or ``finalizer and labels``, ``inventory``, ``status``; empty when it had become needless."""
    puts_back: JsonObject = field(default_factory=dict)
    """As in :class:`WriteFailed`."""


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """We meant to write and never learnt the outcome; closed at start, with what the list shows."""

    TYPE: ClassVar[str] = "outcome.unknown"
    intent: int
    index: int
    found: str
    puts_back: JsonObject = field(default_factory=dict)
    """As in :class:`WriteFailed`."""


@dataclass(frozen=True, slots=True)
class InstanceSettled:
    """The instance reached a state: ``ACTIVE`` at a revision, or an error it stays in."""

    TYPE: ClassVar[str] = "instance.settled"
    definition_uid: str
    revision: int
    generation: int
    state: str
    ready: bool
    message: str = ""
    position: int = 0
    """The log position everything was read at."""
    given: JsonObject = field(default_factory=dict)
    """As in :class:`ReconcileDecided`."""


@dataclass(frozen=True, slots=True)
class InstancePinned:
    """The pin of a selector selects the instance from here on."""

    TYPE: ClassVar[str] = "instance.pinned"
    definition_uid: str
    definition: str
    number: int
    mark: str
    selector: str
    by: int
    """Position of the command."""
    asked_by: str
    reason: str
    position: int = 0
    """As in :class:`ResourceTakenOver`, like the next two."""
    served_by: str = ""
    given: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstanceUnpinned:
    """No pin of a selector selects the instance any more: it follows the active revision."""

    TYPE: ClassVar[str] = "instance.unpinned"
    definition_uid: str
    selector: str
    position: int = 0
    """As in :class:`ResourceTakenOver`, like the next two."""
    served_by: str = ""
    given: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstanceGone:
    """The instance and everything it owned are proved gone; its finalizer was released."""

    TYPE: ClassVar[str] = "instance.gone"
    definition_uid: str
    nodes: tuple[str, ...] = ()
    """What was recorded of its nodes and of the items of its collections ends with it."""
