"""What is done to a log as a whole is an event of it."""

from __future__ import annotations

from collections.abc import Callable
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

STREAM = "log"
Told: TypeAlias = Callable[[int, int], None]
"""Hears, while something long goes on, how many events are done, and of how many."""
_Maintenance: TypeAlias = LogPruned | LogRedacted | LogAdopted | LogCopied | LogRetrained | LogRebuilt


def silent(done: int, of: int) -> None:
    """Nobody wants to know."""


def maintenance_event(body: _Maintenance, actor: Actor, now: int) -> NewEvent:
    return NewEvent(STREAM, body, Subject(), actor, now)
