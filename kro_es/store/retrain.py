"""A dictionary learnt from the log itself: what repeats in its objects is stored in fewer bytes from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import zstandard
from sqlalchemy import Connection, Engine

from kro_es.errors import UserError
from kro_es.events.types import Actor, Event, LogRetrained
from kro_es.store.event_log import EventLog
from kro_es.store.maintenance import maintenance_event
from kro_es.store.packing import COMPRESSED, Packer
from kro_es.store.sql import marks, read_connection, run

_SIZE = 112_640
_SAMPLES = 20_000
_BYTES = 32_000_000
"""Of samples, at most."""
_FEWEST = 1000
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Retrained:
    """How many bytes the samples take with the dictionary before, and with the new one."""

    samples: int
    before: int
    after: int
    event: Event | None
    """None when the new one is no better: then nothing was changed."""


def retrain(engine: Engine, *, actor: Actor, now: int) -> Retrained:
    """Learns from payloads as they are stored, so from nothing that is not in the log; raises UserError for too few."""
    with read_connection(engine) as connection, connection.begin():
        old, number = Packer.load(connection), int(run(connection, "SELECT max(id) FROM dictionaries").scalar_one())
        samples = _samples(connection, old)
    # every other one is kept to measure with
    learnt, measured = samples[::2], samples[1::2]
    if len(learnt) < _FEWEST:
        raise UserError(f"the log is too young to learn from: {len(samples)} samples, {2 * _FEWEST} are needed")
    body = zstandard.train_dictionary(_SIZE, learnt).as_bytes()
    new = Packer({number + 1: body})
    before, after = (sum(len(packer.pack(bytes(text), 0)[1]) for text in measured) for packer in (old, new))
    if after >= before:
        return Retrained(len(samples), before, after, None)

    def carry_out(connection: Connection, _: Sequence[Event]) -> None:
        run(connection, "INSERT INTO dictionaries (id, body) VALUES (?, ?)", (number + 1, body))

    event = maintenance_event(LogRetrained(number + 1, len(samples)), actor, now)
    appended = EventLog(engine).append([event], now=now, also=carry_out)[0]
    return Retrained(len(samples), before, after, appended)


def _samples(connection: Connection, packer: Packer) -> list[bytes | bytearray | memoryview[int]]:
    """Payloads spread over the whole log: deltas and snapshots in the mix they have there."""
    head = int(run(connection, "SELECT position FROM log_head").scalar_one())
    step = max(1, head // _SAMPLES)
    places = range(head - head % step, 0, -step)
    found: list[bytes | bytearray | memoryview[int]] = []
    size = 0
    for start in range(0, len(places), _AT_ONCE):
        part = tuple(places[start : start + _AT_ONCE])
        sql = (
            f"SELECT encoding, payload FROM events WHERE position IN ({marks(len(part))}) AND encoding & ? > 0"  # noqa: S608
            " ORDER BY position DESC"
        )
        for encoding, payload in run(connection, sql, (*part, COMPRESSED)):
            if size > _BYTES:
                return found
            found.append(packer.unpack(encoding, bytes(payload)))
            size += len(found[-1])
    return found
