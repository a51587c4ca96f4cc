"""Probes and metrics over HTTP, fed from outside the pure calls."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from kro_es.errors import UserError
from kro_es.events.redaction import scrub


@dataclass(slots=True)
class Metrics:
    """kro's names where it has them (spec/04 §9), ``kro_es_`` for what only an event-sourced controller has."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    reconciles: Counter = field(init=False)
    errors: Counter = field(init=False)
    seconds: Histogram = field(init=False)
    depth: Gauge = field(init=False)
    events: Counter = field(init=False)
    position: Gauge = field(init=False)
    dropped: Gauge = field(init=False)
    leader: Gauge = field(init=False)
    writable: Gauge = field(init=False)

    def __post_init__(self) -> None:
        registry = self.registry
        self.reconciles = Counter("reconcile", "Passes", ["kind"], registry=registry)
        self.errors = Counter("reconcile_errors", "Passes that failed", ["kind"], registry=registry)
        self.seconds = Histogram("reconcile_duration_seconds", "Time of one pass", ["kind"], registry=registry)
        self.depth = Gauge("kro_es_queue_length", "Keys waiting for a pass", registry=registry)
        self.events = Counter("kro_es_events", "Events committed", ["type"], registry=registry)
        self.position = Gauge("kro_es_log_position", "Position of the log's head", registry=registry)
        self.leader = Gauge("kro_es_leader", "1 while this controller is the one that acts", registry=registry)
        self.writable = Gauge("kro_es_log_writable", "0 while the log's database cannot be written", registry=registry)
        self.dropped = Gauge(
            "kro_es_observations_dropped", "Updates without any change of content, not recorded", registry=registry
        )


class Hidden:
    """Clear texts that no log line may show, whoever writes it."""

    def __init__(self) -> None:
        self.texts: Callable[[], Iterable[str]] = tuple

    def __call__(self, _logger: object, _method: str, line: object) -> str:
        """Takes them out of a line that is ready to be written, tracebacks included."""
        return scrub(str(line), self.texts())


HIDDEN = Hidden()
"""There is one log of a process; the controller tells it what it holds in clear."""


def configure_logging(level: str) -> None:
    """One JSON object a line on stderr, as log collectors read them. Raises UserError for a level nobody knows."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise UserError(f"unknown log level {level!r}: debug, info, warning or error")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            HIDDEN,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host or "0.0.0.0", int(port)  # noqa: S104 - ":8079" means every interface, as in kro


class Probes:
    """``/healthz`` and ``/readyz`` on one address, ``/metrics`` on another; the same address serves all three."""

    def __init__(self, registry: CollectorRegistry, healthy: Callable[[], bool], ready: Callable[[], bool]) -> None:
        self._registry = registry
        self._healthy = healthy
        self._ready = ready
        self._runners: list[web.AppRunner] = []

    async def start(self, health_address: str, metrics_address: str) -> None:
        health = [web.get("/healthz", self._answer(self._healthy)), web.get("/readyz", self._answer(self._ready))]
        metrics = [web.get("/metrics", self._metrics_page)]
        if health_address == metrics_address:
            await self._serve(health_address, [*health, *metrics])
            return
        await self._serve(health_address, health)
        await self._serve(metrics_address, metrics)

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _serve(self, address: str, routes: list[web.RouteDef]) -> None:
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        host, port = _address(address)
        await web.TCPSite(runner, host, port).start()

    @staticmethod
    def _answer(good: Callable[[], bool]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(_: web.Request) -> web.StreamResponse:
            return web.Response(text="ok" if good() else "not ok", status=200 if good() else 503)

        return handle

    async def _metrics_page(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")
