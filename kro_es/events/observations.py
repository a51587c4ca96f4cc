"""What was seen of the cluster, and when nobody looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from kro_es.api.objects import JsonObject


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
class WatchLost:
    """Nobody watches ``kind`` since then, and has not for a while: what changes is not seen yet. The gap itself comes later."""

    TYPE: ClassVar[str] = "watch.lost"
    kind: str
    selector: str
    since: int
    reason: str


@dataclass(frozen=True, slots=True)
class WatchResumed:
    """A lost watch of ``kind`` leaves no gap: it went on where it was, or nobody needs it any more."""

    TYPE: ClassVar[str] = "watch.resumed"
    kind: str
    selector: str
    needed: bool = True


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
