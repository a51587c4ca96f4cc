"""Builds everything from Settings and runs it until told to stop; the only wiring."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import structlog

from kro_es.cluster.client import ApiClient, connect
from kro_es.cluster.informers import Informers
from kro_es.cluster.kubernetes import KubernetesCluster
from kro_es.cluster.lease import Lease
from kro_es.controller import schedule
from kro_es.controller.assembly import Assembled, Given, assemble, started
from kro_es.controller.audit import Audit, guarded, opened
from kro_es.controller.loop import Loop
from kro_es.controller.queue import Queue
from kro_es.controller.recovery import Left, close_intents, recover
from kro_es.controller.telemetry import HIDDEN, Metrics, Probes
from kro_es.errors import FenceLost, UserError
from kro_es.events.from_watch import Origin
from kro_es.events.redaction import Redactor
from kro_es.events.types import Actor, ControllerStarted, ControllerStopped, Event, NewEvent, Subject
from kro_es.projections.registry import FOR_PEOPLE, NEEDED, PROJECTIONS
from kro_es.settings import VERSION, Settings
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.mirror import Mirror
from kro_es.store.reader import ReaderPool
from kro_es.store.writer import LogWriter, WriterClosed

logger = structlog.get_logger(__name__)
FAREWELL_SECONDS = 5.0
"""For the last words of a run; who stops a process gives it some thirty."""
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
    """Start order matters: cluster, lease, database, fence, closed intents, watches, workers."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._metrics = Metrics()
        self._queue = Queue(most=max(1, settings.workers * 3 // 4))
        self._loop: Loop | None = None
        self._writer: LogWriter | None = None
        self._lease: Lease | None = None
        self._standing_by = False
        self._audit: Audit | None = None

    async def run(self, stop: asyncio.Event) -> None:
        settings = self._settings
        key = redaction_key(settings)
        refuse_unfolded(settings)
        await self._probes()
        client = await connect(
            settings.kubeconfig, settings.context, user_agent=f"kro-es/{VERSION}", concurrency=settings.concurrency
        )
        self._stack.push_async_callback(client.close)
        cluster = KubernetesCluster(client)
        cluster_id = await cluster.cluster_id()
        if not await self._lead(client, stop):
            return
        log, pool, fence = await self._open_log(cluster_id)
        await self._serve_history()
        last_alive = log.last_heartbeat()
        writer = self._written_by(log)
        await self._hear_of_people(cluster, writer, last_alive)
        given = Given(writer, cluster, Origin(cluster_id, 0, Redactor.of(key)), pool.open, now_micros)
        assembled = assemble(given, self._queue, self._metrics, settings)
        assembled.world.ingest.gaps.last_seen_alive = last_alive
        self._loop = assembled.loop
        HIDDEN.texts = lambda: assembled.world.ingest.vault.texts
        with pool.open() as reader:
            left = recover(reader, assembled)
        await writer.append([_note(started(settings, fence))])
        if settings.install_crds:
            await cluster.install_own_crds()
        alive = beat_of(log, writer, stop)
        await self._watch_and_work(cluster, assembled, left, alive, stop)
        await farewell(alive, writer, _note(ControllerStopped(fence)))
        logger.info("stopped")

    async def _hear_of_people(self, cluster: KubernetesCluster, writer: LogWriter, since: int) -> None:
        source = self._settings.audit_source
        if source:
            own, append = await cluster.user(), writer.append
            self._audit = opened(self._settings, source, own=own, since=since, append=append, now=now_micros())

    def _written_by(self, log: EventLog) -> LogWriter:
        def committed(events: Sequence[Event]) -> None:
            # the loop is made after the writer
            assert self._loop is not None
            self._loop.committed(events)
            if self._audit is not None:
                self._audit.committed(events)

        writer = self._writer = LogWriter(log, clock=now_micros, on_commit=committed)
        self._stack.push_async_callback(writer.close)
        self._metrics.writable.set_function(lambda: int(writer.healthy))
        return writer

    async def _watch_and_work(
        self,
        cluster: KubernetesCluster,
        assembled: Assembled,
        left: Left,
        alive: Callable[[], None],
        stop: asyncio.Event,
    ) -> None:
        loop = assembled.loop
        informers = Informers(cluster.watch, loop.sink)
        self._stack.push_async_callback(informers.close)
        loop.attach(informers)

        async def tell_lost() -> None:
            # who ends, or may not write any more, says so elsewhere
            with suppress(FenceLost, WriterClosed):
                await assembled.world.ingest.tell_lost()

        beat = schedule.start(alive, loop.resync, self._settings.resync_hours, loop.look_again, tell_lost)
        self._stack.callback(beat.shutdown, wait=False)

        async def watching() -> None:
            await loop.start_watching(left.kinds, left.members, left.located)
            await close_intents(assembled.world, left.intents)
            loop.begin()
            # a crash before the first beat of the clock leaves a gap that begins here, not none
            await asyncio.to_thread(alive)

        auditing = asyncio.create_task(guarded(self._audit)) if self._audit else None
        try:
            await self._work(loop, watching(), stop)
        finally:
            if auditing is not None:
                await _cancelled((auditing,))

    async def _probes(self) -> None:
        probes = Probes(self._metrics.registry, lambda: self._loop is None or self._loop.failed is None, self._ready)
        await probes.start(self._settings.health_address, self._settings.metrics_address)
        self._stack.push_async_callback(probes.close)

    async def _serve_history(self) -> None:
        if self._settings.history_address is not None:
            # cryptography and the answers to every question, which most controllers are never asked
            from kro_es.controller.history import open_endpoint  # noqa: PLC0415

            await open_endpoint(self._settings, self._settings.history_address, self._stack, now_micros())

    def _ready(self) -> bool:
        """Who stands by is as ready as it can be; who acts is ready when it sees, may act, and can record."""
        if self._standing_by or self._loop is None or self._writer is None:
            return self._standing_by
        held = self._lease is None or not self._lease.lost.done()
        return held and self._loop.synced and self._loop.failed is None and self._writer.healthy

    async def _lead(self, client: ApiClient, stop: asyncio.Event) -> bool:
        """True when this controller may act; False when it was told to stop before."""
        wanted = self._settings.leader_elect
        if wanted if wanted is not None else not self._settings.database.startswith("sqlite"):
            namespace = os.environ.get("POD_NAMESPACE") or "kro-system"
            lease = self._lease = Lease(client, namespace, f"{socket.gethostname()}_{secrets.token_hex(4)}")
            # released when everything else is closed: what was sent is answered by then
            self._stack.push_async_callback(lease.release)
            self._standing_by = True
            tasks = asyncio.create_task(lease.acquire()), asyncio.create_task(stop.wait())
            await _first(tasks)
            if stop.is_set():
                return False
            self._standing_by = False
            client.guard = lease.guard
        self._metrics.leader.set(1)
        return True

    async def _open_log(self, cluster_id: str) -> tuple[EventLog, ReaderPool, int]:
        """The log with this controller as its one writer. In a thread: a lease is kept meanwhile."""
        engine = open_engine(self._settings.database)
        self._stack.callback(engine.dispose)
        mirror = None
        own, left = (PROJECTIONS, ()) if self._settings.projections == "all" else (NEEDED, FOR_PEOPLE)
        if engine.dialect.name != "sqlite":
            # A pass must never wait for a server in the middle of the loop: not for a round trip, not in an outage.
            mirror = Mirror(NEEDED)
            self._stack.callback(mirror.close)
        log = EventLog(engine, own, cluster=cluster_id, mirror=mirror, left=left)

        def open_it() -> int:
            migrate(engine)
            return log.issue_fence()

        fence = await asyncio.to_thread(open_it)
        return log, ReaderPool(mirror.engine if mirror else engine, NEEDED), fence

    async def _work(self, loop: Loop, start: Coroutine[None, None, None], stop: asyncio.Event) -> None:
        workers = [asyncio.create_task(loop.work()) for _ in range(self._settings.workers)]
        stopping = asyncio.create_task(stop.wait())
        watching = asyncio.create_task(start)
        assert self._writer is not None
        lost: list[asyncio.Future[Any]] = [self._writer.lost, *([self._lease.lost] if self._lease else [])]
        try:
            done, _ = await asyncio.wait((watching, stopping, *lost), return_when=asyncio.FIRST_COMPLETED)
            if watching in done:
                watching.result()
                logger.info("watching", workers=len(workers))
                done, _ = await asyncio.wait((*workers, stopping, *lost), return_when=asyncio.FIRST_COMPLETED)
            for end in lost:
                if end.done():
                    loop.failed = end.result()
                    logger.error("this controller stops acting", error=str(loop.failed))
                    raise loop.failed
            for task in done:
                task.result()
        finally:
            self._metrics.leader.set(0)
            await _cancelled((*workers, stopping, watching))
            self._queue.close()


async def farewell(
    alive: Callable[[], None], writer: LogWriter, end: NewEvent, seconds: float = FAREWELL_SECONDS
) -> None:
    """The end of this run goes into the log if that can be written: nobody waits for a disk that is full.

    What a log lacks of it is what a crash leaves, and the next start makes up for.
    """
    if not writer.healthy:
        return
    try:
        async with asyncio.timeout(seconds):
            await asyncio.to_thread(alive)
            await writer.append([end])
    except Exception as error:  # noqa: BLE001 whatever the database says, this run is over
        logger.warning("the end of this run is not in the log", error=str(error) or type(error).__name__)


def refuse_unfolded(settings: Settings) -> None:
    """Raises UserError where nobody folds what the controller is told to leave."""
    if settings.projections == "needed" and settings.database.startswith("sqlite"):
        raise UserError("--projections needed is for PostgreSQL: with SQLite nobody but the controller folds")


def beat_of(log: EventLog, writer: LogWriter, stop: asyncio.Event) -> Callable[[], None]:
    """Proof of life, for a thread of its own."""
    loop = asyncio.get_running_loop()

    def beat() -> None:
        log.heartbeat(now=now_micros())
        if log.mirror_lost and not stop.is_set():
            # nothing may be appended for long, and passes read it
            loop.call_soon_threadsafe(writer.submit, ())

    return beat


async def _first(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Waits for the first of them and ends the others; raises what it raised."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _cancelled(tasks)


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


def _note(body: ControllerStarted | ControllerStopped) -> NewEvent:
    return NewEvent("controller", body, Subject(), CONTROLLER, now_micros())
