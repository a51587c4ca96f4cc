"""What is done to a log as a whole is an event of it."""

from __future__ import annotations

from kro_es.events.types import Actor, LogAdopted, LogCopied, LogPruned, LogRebuilt, LogRedacted, NewEvent, Subject


def maintenance_event(
    body: LogPruned | LogRedacted | LogAdopted | LogCopied | LogRebuilt, actor: Actor, now: int
) -> NewEvent:
    return NewEvent("log", body, Subject(), actor, now)
