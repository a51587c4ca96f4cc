"""What people asked for, the runs of the controller, and what was done to the log itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from kro_es.api.objects import JsonObject


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
class CommandPin:
    """From here on an instance runs this revision of its definition, whatever revision becomes active."""

    TYPE: ClassVar[str] = "command.pin"
    instance_uid: str
    definition_uid: str
    definition: str
    number: int
    mark: str
    """The revision and the hash of its spec; also in the object's annotation, so that the pin outlives the log."""
    reason: str


@dataclass(frozen=True, slots=True)
class CommandUnpin:
    """The instance follows the active revision again."""

    TYPE: ClassVar[str] = "command.unpin"
    instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class CommandPinSelector:
    """From here on every instance of a definition with these labels runs this revision, those that come later too."""

    TYPE: ClassVar[str] = "command.pin_selector"
    definition_uid: str
    definition: str
    namespace: str
    """Empty: instances of every namespace."""
    selector: str
    number: int
    mark: str
    """As of :class:`CommandPin`; an annotation on the definition has it, so that the pin outlives the log."""
    reason: str
    imported: bool = False
    """Not asked for now: found on the definition by a log that did not know it."""


@dataclass(frozen=True, slots=True)
class CommandUnpinSelector:
    """No instance is pinned by these labels any more."""

    TYPE: ClassVar[str] = "command.unpin_selector"
    definition_uid: str
    definition: str
    namespace: str
    selector: str
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
