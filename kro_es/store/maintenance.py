"""What is done to a log as a whole is an event of it."""

from __future__ import annotations

from typing import TypeAlias

from kro_es.events.types import (
    Actor,
    LogAdopted,
    LogCopied,
    LogPruned,
    LogRebuilt,
    LogRedacted,
    LogRetrained,
    NewEvent,
    Subject,
)

_Maintenance: TypeAlias = LogPruned | LogRedacted | LogAdopted | LogCopied | LogRetrained | LogRebuilt


def maintenance_event(body: _Maintenance, actor: Actor, now: int) -> NewEvent:
    return NewEvent("log", body, Subject(), actor, now)
