"""What a dictionary can learn from the payloads of a log, so from nothing that is not in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import zstandard
from sqlalchemy import Connection, Engine

from kro_es.errors import UserError
from kro_es.store.packing import COMPRESSED, Packer
from kro_es.store.sql import marks, read_connection, run

_SIZE = 32_768
"""Larger ones, and more samples, are hardly better and take more memory."""
_SAMPLES = 5_000
_BYTES = 32_000_000
"""Of samples, at most."""
_FEWEST = 1000
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Learnt:
    """A dictionary, and how many bytes the samples it was measured with take without it and with it."""

    body: bytes
    samples: int
    before: int
    after: int

    def add(self, connection: Connection, number: int) -> None:
        """To the dictionaries of the database."""
        run(connection, "INSERT INTO dictionaries (id, body) VALUES (?, ?)", (number, self.body))


def learn(engine: Engine) -> Learnt:
    """Raises UserError for too few samples."""
    with _scanning(engine) as connection:
        old = Packer.load(connection)
        samples = _samples(connection, old)
    # every other one is kept to measure with
    learnt, measured = samples[::2], samples[1::2]
    if len(learnt) < _FEWEST:
        raise UserError(f"the log is too young to learn from: {len(samples)} samples, {2 * _FEWEST} are needed")
    body = zstandard.train_dictionary(_SIZE, learnt).as_bytes()
    new = Packer({1: body})
    before, after = (sum(len(packer.pack(bytes(text), 0)[1]) for text in measured) for packer in (old, new))
    return Learnt(body, len(samples), before, after)


@contextmanager
def _scanning(engine: Engine) -> Iterator[Connection]:
    """What is read once is not worth the memory a connection has for what is read often."""
    with read_connection(engine) as connection:
        driver = cast("Any", connection.connection.driver_connection) if engine.dialect.name == "sqlite" else None
        usual = driver and driver.execute("PRAGMA cache_size").fetchone()[0]
        if driver:
            driver.execute("PRAGMA cache_size = -1024")
        try:
            with connection.begin():
                yield connection
        finally:
            if driver:
                driver.execute(f"PRAGMA cache_size = {usual}")


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
