"""Every thing that can happen, and the envelope each of them travels in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from kro_es.events.actions import (
    InstanceGone,
    InstancePinned,
    InstanceSettled,
    InstanceUnpinned,
    OutcomeUnknown,
    ReconcileDecided,
    ResourceApplied,
    ResourceDeleted,
    ResourceTakenOver,
    WriteDone,
    WriteFailed,
    WriteUnsent,
)
from kro_es.events.commands import (
    CommandHold,
    CommandInstanceRollback,
    CommandPin,
    CommandPinSelector,
    CommandRelease,
    CommandRollback,
    CommandUnpin,
    CommandUnpinSelector,
    ControllerStarted,
    ControllerStopped,
    LogAdopted,
    LogCopied,
    LogPruned,
    LogRebuilt,
    LogRedacted,
    LogRetrained,
)
from kro_es.events.definitions import CrdApplied, RevisionActivated, RevisionIssued, RevisionRejected, SchemaRecorded
from kro_es.events.observations import (
    AuditMatched,
    FieldsSeen,
    ObjectDeleted,
    ObjectGoneUnseen,
    ObjectLeftSelection,
    ObjectObserved,
    WatchGap,
    WatchLost,
    WatchResumed,
)
from kro_es.events.parts import Actor, ActorSource, Input, NodeReport, Subject, Write

__all__ = [
    "Actor",
    "ActorSource",
    "AuditMatched",
    "Body",
    "CommandHold",
    "CommandInstanceRollback",
    "CommandPin",
    "CommandPinSelector",
    "CommandRelease",
    "CommandRollback",
    "CommandUnpin",
    "CommandUnpinSelector",
    "ControllerStarted",
    "ControllerStopped",
    "CrdApplied",
    "Event",
    "FieldsSeen",
    "Input",
    "InstanceGone",
    "InstancePinned",
    "InstanceSettled",
    "InstanceUnpinned",
    "LogAdopted",
    "LogCopied",
    "LogPruned",
    "LogRebuilt",
    "LogRedacted",
    "LogRetrained",
    "NewEvent",
    "NodeReport",
    "ObjectDeleted",
    "ObjectGoneUnseen",
    "ObjectLeftSelection",
    "ObjectObserved",
    "OutcomeUnknown",
    "ReconcileDecided",
    "ResourceApplied",
    "ResourceDeleted",
    "ResourceTakenOver",
    "RevisionActivated",
    "RevisionIssued",
    "RevisionRejected",
    "SchemaRecorded",
    "Subject",
    "WatchGap",
    "WatchLost",
    "WatchResumed",
    "Write",
    "WriteDone",
    "WriteFailed",
    "WriteUnsent",
    "definition_stream",
    "instance_stream",
    "object_stream",
]

Body: TypeAlias = (
    ObjectObserved
    | ObjectDeleted
    | ObjectGoneUnseen
    | ObjectLeftSelection
    | WatchGap
    | WatchLost
    | WatchResumed
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
    | WriteUnsent
    | OutcomeUnknown
    | InstanceSettled
    | InstanceGone
    | InstancePinned
    | InstanceUnpinned
    | CommandRollback
    | CommandInstanceRollback
    | CommandHold
    | CommandRelease
    | CommandPin
    | CommandUnpin
    | CommandPinSelector
    | CommandUnpinSelector
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
