"""The log is compressed with a dictionary learnt from it: what repeats in its objects is stored in fewer bytes from then on."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from kro_es.events.types import Actor, Event, LogRetrained
from kro_es.store.event_log import EventLog
from kro_es.store.learning import learn
from kro_es.store.maintenance import maintenance_event
from kro_es.store.sql import read_connection, run


@dataclass(frozen=True, slots=True)
class Retrained:
    """How many bytes the samples take with the dictionary before, and with the new one."""

    samples: int
    before: int
    after: int
    event: Event | None
    """None when the new one is no better: then nothing was changed."""


def retrain(engine: Engine, *, actor: Actor, now: int) -> Retrained:
    """Learns from what is stored; raises UserError for too little."""
    found = learn(engine)
    if found.after >= found.before:
        return Retrained(found.samples, found.before, found.after, None)
    with read_connection(engine) as connection, connection.begin():
        number = int(run(connection, "SELECT max(id) FROM dictionaries").scalar_one()) + 1
    event = maintenance_event(LogRetrained(number, found.samples), actor, now)
    appended = EventLog(engine).append([event], now=now, also=lambda connection, _: found.add(connection, number))[0]
    return Retrained(found.samples, found.before, found.after, appended)
