"""Builds everything from Settings and runs it until told to stop; the only wiring."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog

from kro_es.cluster.client import connect
from kro_es.cluster.informers import Informers
from kro_es.cluster.kubernetes import KubernetesCluster
from kro_es.controller import schedule
from kro_es.controller.assembly import Given, assemble
from kro_es.controller.loop import Loop
from kro_es.controller.queue import Queue
from kro_es.controller.recovery import close_intents, recover
from kro_es.controller.telemetry import Metrics, Probes
from kro_es.errors import UserError
from kro_es.events.from_watch import Origin
from kro_es.events.redaction import Redactor
from kro_es.events.types import Actor, ControllerStarted, ControllerStopped, NewEvent, Subject
from kro_es.projections.registry import PROJECTIONS
from kro_es.settings import VERSION, Settings
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.reader import ReaderPool
from kro_es.store.writer import LogWriter

logger = structlog.get_logger(__name__)
CONTROLLER = Actor("kro-es", "controller")


def now_micros() -> int:
    """Microseconds since the epoch: the one clock of the controller."""
    return time.time_ns() // 1000


def redaction_key(settings: Settings) -> bytes:
    """The key that stands between a digest and the secret behind it; made once, readable by its owner only.

    Raises UserError when there is no file to keep it in.
    """
    path = settings.redaction_key_file
    if path is None:
        if not settings.database.startswith("sqlite"):
            raise UserError("--redaction-key-file is required with PostgreSQL: the key must live outside the database")
        path = settings.database.removeprefix("sqlite:///") + ".key"
    file = Path(path)
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32) + "\n")
    text = file.read_text().strip()
    if len(text) < 32:
        raise UserError(f"the redaction key in {file} is too short: 32 characters or more are needed")
    return text.encode()


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until the log says that another controller took over."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        await _Controller(settings, stack).run(stop)


class _Controller:
    """Start order matters: database, fence, cluster, closed intents, watches, workers."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._metrics = Metrics()
        self._queue = Queue()

    async def run(self, stop: asyncio.Event) -> None:
        settings = self._settings
        key = redaction_key(settings)
        engine = open_engine(settings.database)
        self._stack.callback(engine.dispose)
        migrate(engine)
        client = await connect(
            settings.kubeconfig, settings.context, user_agent=f"kro-es/{VERSION}", concurrency=settings.concurrency
        )
        self._stack.push_async_callback(client.close)
        cluster = KubernetesCluster(client)
        cluster_id = await cluster.cluster_id()
        log = EventLog(engine, PROJECTIONS, cluster=cluster_id)
        fence = log.issue_fence()
        last_alive = log.last_heartbeat()
        pool = ReaderPool(engine, PROJECTIONS)
        main: list[Loop] = []
        writer = LogWriter(
            log,
            clock=now_micros,
            on_commit=lambda events: main[0].committed(events),  # noqa: PLW0108 - the loop is made after the writer
        )
        self._stack.push_async_callback(writer.close)
        given = Given(writer, cluster, Origin(cluster_id, 0, Redactor.of(key)), pool.open, now_micros)
        assembled = assemble(given, self._queue, self._metrics, settings)
        world, loop = assembled.world, assembled.loop
        world.ingest.last_seen_alive = last_alive
        main.append(loop)
        with pool.open() as reader:
            left = recover(reader, assembled)
        await writer.append([_note(ControllerStarted(VERSION, fence))])
        if settings.install_crds:
            await cluster.install_own_crds()
        informers = Informers(cluster.watch, loop.sink)
        self._stack.push_async_callback(informers.close)
        loop.attach(informers)

        def alive() -> None:
            log.heartbeat(now=now_micros())

        beat = schedule.start(alive, loop.resync, settings.resync_hours)
        self._stack.callback(beat.shutdown, wait=False)
        probes = Probes(
            self._metrics, lambda: loop.failed is None, lambda: loop.synced and loop.failed is None and writer.healthy
        )
        await probes.start(settings.health_address, settings.metrics_address)
        self._stack.push_async_callback(probes.close)

        async def watching() -> None:
            await loop.start_watching(left.kinds, left.members)
            await close_intents(world, left.intents)
            # a crash before the first beat of the clock leaves a gap that begins here, not none
            alive()

        await self._work(loop, watching(), stop)
        log.heartbeat(now=now_micros())
        await writer.append([_note(ControllerStopped(fence))])
        logger.info("stopped", position=log.head())

    async def _work(self, loop: Loop, start: Coroutine[None, None, None], stop: asyncio.Event) -> None:
        workers = [asyncio.create_task(loop.work()) for _ in range(self._settings.workers)]
        stopping = asyncio.create_task(stop.wait())
        watching = asyncio.create_task(start)
        try:
            await asyncio.wait([watching, stopping], return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
                logger.info("watching", workers=len(workers))
            done, _ = await asyncio.wait([*workers, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*workers, stopping, watching):
                task.cancel()
            for task in (*workers, stopping, watching):
                with suppress(asyncio.CancelledError):
                    await task
            self._queue.close()


def _note(body: ControllerStarted | ControllerStopped) -> NewEvent:
    return NewEvent("controller", body, Subject(), CONTROLLER, now_micros())
