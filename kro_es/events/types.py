"""One frozen dataclass per thing that happened, and the envelope every one of them travels in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from kro_es.api.objects import JsonObject, JsonValue

ActorSource: TypeAlias = Literal["manager", "audit", "audit-by-time", "cli", "controller", "unknown"]
"""``audit``: the user, by uid and resourceVersion of what the API server answered; ``audit-by-time``: by object, verb and time."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who, and how it is known: a field manager is a program, not a person."""

    name: str
    source: ActorSource


@dataclass(frozen=True, slots=True)
class Subject:
    """The object an event is about; every part may be empty when it does not apply."""

    group: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """One thing a decision read, as it was: a stream, its version, and the position of that version."""

    stream: str
    version: int
    position: int


@dataclass(frozen=True, slots=True)
class Write:
    """One write a decision intends; ``index`` is its place in the decision."""

    index: int
    verb: Literal["apply", "create", "delete", "patch", "put"]
    group: str
    version: str
    kind: str
    namespace: str
    name: str
    subresource: str = ""
    manager: str = ""
    node: str = ""
    digest: str = ""
    """Digest of the (redacted) body, so that an outcome can be matched to what was meant."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The state of one node of the graph when the decision was made, in kro's words (spec/03 §4.8)."""

    node: str
    state: str
    reason: str = ""


# --- observations -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectObserved:
    """An object as the API server showed it, without managedFields, secret leaves redacted."""

    TYPE: ClassVar[str] = "object.observed"
    object: JsonObject
    change: Literal["added", "modified", "listed", "response", "read"] = "modified"
    seen_late: bool = False
    """True when a relist found it: the change happened in a gap."""
    dropped: int = 0
    """Updates since the one before that changed nothing a person would call content: heartbeats, no-op writes."""


@dataclass(frozen=True, slots=True)
class ObjectDeleted:
    TYPE: ClassVar[str] = "object.deleted"
    how: Literal["watch", "response", "read"] = "watch"


@dataclass(frozen=True, slots=True)
class ObjectGoneUnseen:
    """A relist no longer has the object: it was deleted while nobody watched."""

    TYPE: ClassVar[str] = "object.gone_unseen"


@dataclass(frozen=True, slots=True)
class ObjectLeftSelection:
    """The object lives on but lost the label it was watched by."""

    TYPE: ClassVar[str] = "object.left_selection"


@dataclass(frozen=True, slots=True)
class WatchGap:
    """Nobody watched ``kind`` between the two times (microseconds since the epoch)."""

    TYPE: ClassVar[str] = "watch.gap"
    kind: str
    selector: str
    since: int
    until: int
    reason: str


@dataclass(frozen=True, slots=True)
class FieldsSeen:
    """What our field manager owns in a listed child that this log has no apply of (architecture §2)."""

    TYPE: ClassVar[str] = "fields.seen"
    fields_digest: str
    fields: JsonObject


@dataclass(frozen=True, slots=True)
class AuditMatched:
    """Who made the change that an observation shows, from the API server's audit log; the actor is the user."""

    TYPE: ClassVar[str] = "audit.matched"
    observation: int
    """Position of the observation."""
    groups: tuple[str, ...]
    source_ips: tuple[str, ...]
    user_agent: str
    verb: str
    impersonated_by: str
    """Who asked in the name of the actor; empty when it was the actor."""
    how: str
    audit_id: str


# --- definitions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RevisionIssued:
    """A definition's spec was accepted as a new, numbered revision."""

    TYPE: ClassVar[str] = "revision.issued"
    definition_uid: str
    definition: str
    number: int
    spec: JsonObject
    spec_hash: str
    generation: int
    topological_order: tuple[str, ...]
    instance_group: str
    instance_version: str
    instance_kind: str
    instance_plural: str
    engine: str
    schemas_digest: str
    tainted: dict[str, list[list[str | int]]] = field(default_factory=dict)
    """Node id (``status`` for the instance status) to the field paths that are redacted wherever recorded."""
    reason: str = ""
    """Why, when a person said so (rollback)."""
    rolled_back_to: int = 0
    schemas: dict[str, str] = field(default_factory=dict)
    """``apiVersion kind`` to the digest its schema is recorded under (``schema.recorded``)."""
    imported: bool = False
    """Taken over from a GraphRevision object that was there before this log."""


@dataclass(frozen=True, slots=True)
class RevisionRejected:
    """A definition's spec was refused; every fault is kept: failed attempts are history too."""

    TYPE: ClassVar[str] = "revision.rejected"
    definition_uid: str
    definition: str
    spec_hash: str
    generation: int
    faults: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class RevisionActivated:
    """From here on instances of the definition follow this revision."""

    TYPE: ClassVar[str] = "revision.activated"
    definition_uid: str
    definition: str
    number: int
    instances: int = 0
    """How many instances were known when it happened."""


@dataclass(frozen=True, slots=True)
class SchemaRecorded:
    """The schema of a kind as a revision was compiled against it, with all it refers to; once per content."""

    TYPE: ClassVar[str] = "schema.recorded"
    digest: str
    api_version: str
    kind: str
    plural: str
    namespaced: bool
    source: str
    """Digest the API server gave the document, or that of the CRD."""
    content: JsonObject


@dataclass(frozen=True, slots=True)
class CrdApplied:
    """The API of a definition's instances was created or changed for a revision; the changes as conditions word them."""

    TYPE: ClassVar[str] = "crd.applied"
    definition_uid: str
    definition: str
    number: int
    crd: str
    created: bool
    breaking: tuple[str, ...] = ()
    """Changes that were allowed by annotation although they break instances."""
    compatible: tuple[str, ...] = ()


# --- decisions, intents and outcomes ----------------------------------------------------------------------------


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
    """Drift found before that nobody put back and that is none any more: {node, manager, since}."""
    given: JsonObject = field(default_factory=dict)
    """What was read and is no row: ``failed`` writes of the same pass, lists of others that are ``unread``; by name."""
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


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """We meant to write and never learnt the outcome; closed at start, with what the list shows."""

    TYPE: ClassVar[str] = "outcome.unknown"
    intent: int
    index: int
    found: str


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
class InstanceGone:
    """The instance and everything it owned are proved gone; its finalizer was released."""

    TYPE: ClassVar[str] = "instance.gone"
    definition_uid: str
    nodes: tuple[str, ...] = ()
    """What was recorded of its nodes and of the items of its collections ends with it."""


# --- commands and the log itself --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommandRollback:
    """Somebody asked for an old spec to be written as the next revision."""

    TYPE: ClassVar[str] = "command.rollback"
    definition_uid: str
    definition: str
    to: int
    base: int
    """The newest revision when the plan was shown: the command's precondition."""
    spec_hash: str
    reason: str


@dataclass(frozen=True, slots=True)
class CommandInstanceRollback:
    """Somebody asked for the spec an instance had to be written again."""

    TYPE: ClassVar[str] = "command.instance_rollback"
    instance_uid: str
    to: int
    """Position of the log the spec is taken from."""
    base: int
    """Position of the observation the plan was made against: the command's precondition."""
    spec_digest: str
    reason: str


@dataclass(frozen=True, slots=True)
class CommandHold:
    """From here on this spec counts for a definition or an instance, whatever the cluster shows."""

    TYPE: ClassVar[str] = "command.hold"
    held_uid: str
    spec: JsonObject
    mark: str
    """Where the spec comes from and its digest; also in the object's annotation, so that a lost log is noticed."""
    reason: str


@dataclass(frozen=True, slots=True)
class CommandRelease:
    """What the cluster shows counts again."""

    TYPE: ClassVar[str] = "command.release"
    held_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class ControllerStarted:
    TYPE: ClassVar[str] = "controller.started"
    engine: str
    fence: int
    configuration: JsonObject = field(default_factory=dict)
    """Settings that decisions depend on."""


@dataclass(frozen=True, slots=True)
class ControllerStopped:
    TYPE: ClassVar[str] = "controller.stopped"
    fence: int


@dataclass(frozen=True, slots=True)
class LogPruned:
    """Observations of status that were older than the retention are gone; their leaves stay for the chain."""

    TYPE: ClassVar[str] = "log.pruned"
    before: int
    """Events recorded before this time (microseconds since the epoch) were looked at."""
    events: int
    first: int
    last: int
    """Positions of the first and the last of them."""
    digest: str
    """SHA-256 over their positions and leaves, in order."""
    chain: str
    """Chain of the log when it was pruned."""


@dataclass(frozen=True, slots=True)
class LogRedacted:
    """A value that slipped through was taken out of these events; their leaves stay, their content is not provable."""

    TYPE: ClassVar[str] = "log.redacted"
    positions: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class LogAdopted:
    """A restored or imported log may be acted upon from here on."""

    TYPE: ClassVar[str] = "log.adopted"
    origin: str


@dataclass(frozen=True, slots=True)
class LogCopied:
    """A copy of the log was begun: whoever redacts the log later knows where else to look."""

    TYPE: ClassVar[str] = "log.copied"
    to: str
    form: Literal["backup", "export"]


@dataclass(frozen=True, slots=True)
class LogRetrained:
    """From here on payloads are compressed with another dictionary, learnt from this log."""

    TYPE: ClassVar[str] = "log.retrained"
    dictionary: int
    samples: int


@dataclass(frozen=True, slots=True)
class LogRebuilt:
    """Rows of projections were folded anew from the log, beside the ones in use, and took their place."""

    TYPE: ClassVar[str] = "log.rebuilt"
    projections: tuple[str, ...]


Body: TypeAlias = (
    ObjectObserved
    | ObjectDeleted
    | ObjectGoneUnseen
    | ObjectLeftSelection
    | WatchGap
    | FieldsSeen
    | AuditMatched
    | RevisionIssued
    | RevisionRejected
    | RevisionActivated
    | SchemaRecorded
    | CrdApplied
    | ReconcileDecided
    | ResourceApplied
    | ResourceTakenOver
    | ResourceDeleted
    | WriteDone
    | WriteFailed
    | OutcomeUnknown
    | InstanceSettled
    | InstanceGone
    | CommandRollback
    | CommandInstanceRollback
    | CommandHold
    | CommandRelease
    | ControllerStarted
    | ControllerStopped
    | LogPruned
    | LogRedacted
    | LogAdopted
    | LogCopied
    | LogRetrained
    | LogRebuilt
)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact on its way into the log; position, version and recorded_at are the writer's to give."""

    stream: str
    body: Body
    subject: Subject
    actor: Actor
    occurred_at: int
    """Microseconds since the epoch, the clock of where it happened."""
    resource_version: int = 0
    cause: int = 0
    """Position of the event that led to this one; 0 when none is known."""
    correlation: str = ""
    """The rollout or command this belongs to."""
    event_id: str = ""
    """Hex identity of the fact for observations; empty for decisions (hash of stream and version)."""
    expected_version: int | None = None
    """Optimistic concurrency: the stream's version this was decided on; None appends at any version."""


@dataclass(frozen=True, slots=True)
class Event:
    """A fact in the log."""

    position: int
    stream: str
    stream_version: int
    type: str
    type_version: int
    body: Body
    subject: Subject
    actor: Actor
    occurred_at: int
    recorded_at: int
    resource_version: int
    cause: int
    correlation: str
    event_id: str
    cluster: str


def object_stream(key: str) -> str:
    """Stream of one object by reference (``ObjectRef.key``); it outlives deletion and re-creation."""
    return f"object/{key}"


def definition_stream(uid: str) -> str:
    return f"definition/{uid}"


def instance_stream(uid: str) -> str:
    return f"instance/{uid}"


Payload: TypeAlias = JsonValue
