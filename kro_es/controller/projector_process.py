"""``kro-es projector``: folds projections beside the controller until told to stop, with probes and metrics of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kro_es.controller.telemetry import Probes
from kro_es.errors import UserError
from kro_es.projections.projection import Projection
from kro_es.projections.registry import FOR_PEOPLE
from kro_es.store.engine import open_engine
from kro_es.store.projecting import Place, Projecting

logger = structlog.get_logger(__name__)
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


@dataclass(frozen=True, slots=True)
class ProjectorSettings:
    """How ``kro-es projector`` behaves; every field has a flag of the same name."""

    database: str
    """``postgresql://...``."""
    projections: tuple[str, ...] = ()
    """Names; empty: all that a controller may leave to others."""
    health_address: str = "127.0.0.1:8079"
    metrics_address: str = "127.0.0.1:8078"


@dataclass(slots=True)
class ProjectorMetrics:
    """Of every projection the process names, whoever folds it."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    position: Gauge = field(init=False)
    behind: Gauge = field(init=False)
    active: Gauge = field(init=False)
    delay: Histogram = field(init=False)
    stretches: Counter = field(init=False)

    def __post_init__(self) -> None:
        registry, of = self.registry, ["projection"]
        self.position = Gauge("kro_es_projection_position", "Last event folded", of, registry=registry)
        self.behind = Gauge("kro_es_projection_lag_events", "Events not folded yet", of, registry=registry)
        self.active = Gauge("kro_es_projection_active", "1 while this process folds it", of, registry=registry)
        self.stretches = Counter("kro_es_projection_commits", "Transactions with rows of it", of, registry=registry)
        self.delay = Histogram(
            "kro_es_projection_delay_seconds",
            "From the record of an event to its fold, for the last event of each transaction",
            of,
            buckets=_BUCKETS,
            registry=registry,
        )

    def tell(self, places: Sequence[Place], now: int) -> None:
        for place in places:
            self.position.labels(place.name).set(place.position)
            self.behind.labels(place.name).set(place.behind)
            self.active.labels(place.name).set(int(place.active))
            if place.newest:
                self.stretches.labels(place.name).inc()
                self.delay.labels(place.name).observe(max(now - place.newest, 0) / 1e6)


async def run(settings: ProjectorSettings) -> None:
    """Until SIGTERM or SIGINT. Raises UserError for another database than PostgreSQL, or a projection nobody knows."""
    projections = chosen(settings.projections)
    try:
        engine = open_engine(settings.database)
    except ValueError as error:
        raise UserError(f"--database: {error}") from error
    if engine.dialect.name != "postgresql":
        raise UserError("kro-es projector is for PostgreSQL: with SQLite the controller folds every projection itself")
    projecting = Projecting(engine, projections, f"kro-es projector {socket.gethostname()}/{os.getpid()}")
    metrics, stop = ProjectorMetrics(), threading.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    working = asyncio.create_task(
        asyncio.to_thread(projecting.work, stop, lambda places: metrics.tell(places, time.time_ns() // 1000))
    )
    probes = Probes(metrics.registry, lambda: not working.done(), lambda: projecting.healthy and not working.done())
    try:
        await probes.start(settings.health_address, settings.metrics_address)
        await working
        logger.info("stopped")
    finally:
        stop.set()
        await asyncio.wait((working,))
        await probes.close()
        engine.dispose()


def chosen(names: Sequence[str]) -> tuple[Projection, ...]:
    """Raises UserError for what is no projection a controller may leave to others."""
    known = {projection.name: projection for projection in FOR_PEOPLE}
    for name in names:
        if name not in known:
            raise UserError(f"--projection: {name!r} is none that a controller leaves to others: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) or FOR_PEOPLE
