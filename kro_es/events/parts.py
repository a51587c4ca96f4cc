"""What several kinds of events are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

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
