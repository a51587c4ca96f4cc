"""How fast the projections fold events that are in memory: one process, and two that share the streams."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from zlib import crc32

from kro_es.cli.garbage import collect_seldom
from kro_es.events.types import Event, NewEvent
from kro_es.projections.projection import Routes, Row
from kro_es.projections.registry import PROJECTIONS
from kro_es.projections.timeline import Timeline
from tests.benchmarks.figures import Figure
from tests.benchmarks.generator import Generator


def fold_figures(count: int) -> list[Figure]:
    """Without the timeline, which is a row of history an event, and with it."""
    one, history = _share(count, 0, 1), _share(count, 0, 1, history=True)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        # both begin when both have their events
        halves = [pool.submit(_share, count, part, 2) for part in range(2)]
        two = sum(half.result() for half in halves)
    return [
        Figure("fold.per_process", one, "events/s"),
        Figure("fold.per_process.history", history, "events/s"),
        Figure("fold.two_processes_ratio", two / one, "", two / one, "one process"),
    ]


def _share(count: int, part: int, parts: int, *, history: bool = False) -> float:
    """Events per second of one process for its part of the streams."""
    events = [
        _event(new, position)
        for position, new in enumerate((one for batch in Generator().batches(count) for one in batch), start=1)
        if crc32(new.stream.encode()) % parts == part
    ]
    projections = [one for one in PROJECTIONS if history or not isinstance(one, Timeline)]
    rows: dict[str, dict[str, Row | None]] = {projection.name: {} for projection in projections}
    collect_seldom()  # as the controller does
    began = time.perf_counter()
    for projection, of_it in zip(projections, Routes(projections).split(events), strict=True):
        mine = rows[projection.name]
        for event in of_it:
            for key in projection.keys(event):
                mine[key] = projection.fold(key, mine.get(key), event)
    return len(events) / (time.perf_counter() - began)


def _event(new: NewEvent, position: int) -> Event:
    return Event(
        position=position,
        stream=new.stream,
        stream_version=position,
        type=new.body.TYPE,
        type_version=1,
        body=new.body,
        subject=new.subject,
        actor=new.actor,
        occurred_at=new.occurred_at,
        recorded_at=new.occurred_at,
        resource_version=new.resource_version,
        cause=new.cause,
        correlation=new.correlation,
        event_id=new.event_id,
        cluster="bench",
    )
