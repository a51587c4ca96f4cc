"""The whole controller in this process, on a fake cluster and a real event log: a pass takes milliseconds, a crash is exact."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from kro_es.api.objects import ObjectRef, resource_version
from kro_es.cluster.informers import Informers
from kro_es.controller.assembly import Assembled, Given, assemble, started
from kro_es.controller.queue import Queue
from kro_es.controller.recovery import close_intents, recover
from kro_es.controller.telemetry import Metrics
from kro_es.errors import ApiError
from kro_es.events.from_watch import Origin
from kro_es.events.redaction import Redactor
from kro_es.events.types import Actor, Event, NewEvent, Subject
from kro_es.history.replay import replay
from kro_es.history.replay_report import Report
from kro_es.projections.registry import NEEDED, PROJECTIONS
from kro_es.settings import Settings
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate
from kro_es.store.reader import ReaderPool, Snapshot
from kro_es.store.rebuild import compare, rebuild
from kro_es.store.verify import verify
from kro_es.store.writer import LogWriter
from tests.support.fake_cluster import Call, Connection, Fault
from tests.support.fake_server import FakeServer, Object

VERSION = "v1.2.3"
REST_SECONDS = 60.0
_KEY = b"k" * 32


class _Appends:
    """The log as the controller sees it; ``fault`` decides about each append as about each call."""

    def __init__(self, writer: LogWriter, connection: Connection, fault: Callable[[int], Fault | None]) -> None:
        self._writer = writer
        self._connection = connection
        self.fault = fault
        self.count = 0
        self.pending = 0

    async def append(self, events: Sequence[NewEvent]) -> tuple[Event, ...]:
        return await self._counted(events, self._writer.append) if events else ()

    def submit(self, events: Sequence[NewEvent]) -> Awaitable[tuple[Event, ...]]:
        return asyncio.ensure_future(self._counted(events, self._writer.submit))

    async def _counted(
        self, events: Sequence[NewEvent], append: Callable[[Sequence[NewEvent]], Awaitable[tuple[Event, ...]]]
    ) -> tuple[Event, ...]:
        self.count += 1
        fault = self.fault(self.count)
        if self._connection.dead or (fault is not None and fault.when == "before"):
            await self._die()
        self.pending += 1
        try:
            found = await append(events)
        finally:
            self.pending -= 1
        if fault is not None:
            await self._die()
        return found

    async def _die(self) -> None:
        self._connection.dead = True
        await asyncio.Event().wait()


class Controller:
    """One run of the controller, from start to stop or kill."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self.connection = Connection(inside.server, inside.fault)
        self.queue = Queue()
        self._engine = open_engine(inside.url)
        self._tasks: list[asyncio.Task[None]] = []
        self.assembled: Assembled
        self.metrics = Metrics()

    async def start(self) -> None:
        log = EventLog(self._engine, PROJECTIONS, cluster="cluster")
        fence = log.issue_fence()
        # A pass reads no projection that a controller may leave to others.
        pool = ReaderPool(self._engine, NEEDED)
        self.writer = LogWriter(log, clock=self._inside.clock, on_commit=self._committed)
        self.appends = _Appends(self.writer, self.connection, self._inside.append_fault)
        given = Given(
            self.appends,
            self.connection,
            Origin("cluster", 0, Redactor.of(self._inside.key)),
            pool.open,
            self._inside.clock,
        )
        self.assembled = assemble(given, self.queue, self.metrics, self._inside.settings)
        with pool.open() as reader:
            left = recover(reader, self.assembled)
        body = started(self._inside.settings, fence)
        await self.writer.append(
            [NewEvent("controller", body, Subject(), Actor("kro-es", "controller"), self._inside.clock())]
        )
        loop = self.assembled.loop
        self._informers = Informers(self.connection.watch, loop.sink)
        loop.attach(self._informers)
        self._tasks = [asyncio.create_task(loop.work()) for _ in range(4)]

        async def watching() -> None:
            await loop.start_watching(left.kinds, left.members, left.located)
            await close_intents(self.assembled.world, left.intents)
            loop.begin()

        self.watching = asyncio.create_task(watching())
        self._tasks.append(self.watching)

    def _committed(self, events: Sequence[Event]) -> None:
        self.assembled.loop.committed(events)

    @property
    def quiet(self) -> bool:
        """Nothing under way and nothing that was seen but not acted upon; retries that are not due do not count."""
        if self.connection.dead:
            return True
        server = self._inside.server
        watches = all(
            watcher.idle and (watcher.cursor == server.version or watcher.watched.kind_key in server.held)
            for watcher in server.watchers
        )
        working = self.queue.depth or self.queue.busy or self.appends.pending
        return self.watching.done() and watches and not working

    @property
    def unrest(self) -> str:
        """What is still under way, for a test that waits in vain."""
        server = self._inside.server
        behind = [
            f"{watcher.watched.kind_key} at {watcher.cursor} of {server.version}{'' if watcher.idle else ', busy'}"
            for watcher in server.watchers
            if not watcher.idle or watcher.cursor != server.version
        ]
        workers = [task for task in self._tasks if task.done()]
        return (
            f"queue {self.queue.depth}, busy {self.queue.busy}, appends {self.appends.pending}, watches {behind}, "
            f"ended {workers}, watching {self.watching.done()}, writer healthy {self.writer.healthy}"
        )

    async def end(self) -> None:
        """Everything stops where it is: nothing more is sent or recorded."""
        self.connection.dead = True
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._informers.close()
        self.queue.close()
        await self.writer.close()
        self._engine.dispose()


class Inside:
    """A fake cluster, a log, and the controller that runs now; made by the fixture ``inside``."""

    def __init__(self, database: Path) -> None:
        self.server = FakeServer()
        self.url = f"sqlite:///{database}"
        self.settings = Settings(database=self.url, label_version=VERSION)
        self.key = _KEY
        self.fault: Callable[[Call], Fault | None] = lambda call: None
        self.append_fault: Callable[[int], Fault | None] = lambda number: None
        self.controller: Controller | None = None
        self._clock = threading.Lock()
        self.rest_seconds = REST_SECONDS

    def clock(self) -> int:
        """A millisecond later each time it is asked; ``pass_time`` makes it jump."""
        with self._clock:
            self.server.now += 1000
            return self.server.now

    # --- runs of the controller ---------------------------------------------------------------------------------

    async def start(self) -> None:
        self.controller = Controller(self)
        await self.controller.start()
        await self.rest()

    async def end(self) -> None:
        if self.controller is not None:
            await self.controller.end()
            self.controller = None

    async def restart(self) -> None:
        await self.end()
        await self.start()

    async def moment(self) -> None:
        """The controller goes on for a little."""
        await asyncio.sleep(0.0005)

    async def rest(self) -> None:
        """Until nothing is under way; retries wait for ``pass_time``."""
        assert self.controller is not None
        deadline, quiet = time.monotonic() + self.rest_seconds, 0
        while quiet < 3:
            await asyncio.sleep(0.0005)
            quiet = quiet + 1 if self.controller.quiet else 0
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not come to rest: {self.controller.unrest}")
            task = self.controller.watching
            if task.done() and not task.cancelled() and task.exception() is not None:
                task.result()

    async def pass_time(self, seconds: int = 10) -> None:
        """Retries that wait are due now."""
        assert self.controller is not None
        self.server.now += seconds * 1_000_000
        for key in list(self.controller.queue._timers):
            self.controller.queue.add(key)
        await self.rest()

    @property
    def retrying(self) -> bool:
        assert self.controller is not None
        return bool(self.controller.queue._timers)

    # --- what a user does ---------------------------------------------------------------------------------------

    async def create(self, *objects: Object, manager: str = "kubectl") -> None:
        for obj in objects:
            self.server.create(obj, manager)
        await self.rest()

    async def define(self, *definitions: Object) -> None:
        """Definitions, all of them active afterwards; an edited one replaces the one of its name."""
        for wanted in definitions:
            name = wanted["metadata"]["name"]
            if self.server.find("ResourceGraphDefinition", name) is None:
                self.server.create(wanted)
            else:
                live = self.get("ResourceGraphDefinition", name)
                self.server.update({**live, "spec": wanted["spec"]})
            await self.rest()
            status = self.get("ResourceGraphDefinition", name)["status"]
            assert status["state"] == "Active", [c["message"] for c in status["conditions"] if c["status"] == "False"]

    async def edit(
        self,
        kind: str,
        name: str,
        body: Object,
        *,
        manager: str = "kubectl",
        namespace: str = "team-a",
        status: bool = False,
    ) -> None:
        """A merge patch."""
        self.server.patch(self.ref(kind, name, namespace), body, manager, status=status)
        await self.rest()

    async def delete(self, kind: str, name: str, namespace: str = "team-a") -> None:
        self.server.delete(self.ref(kind, name, namespace))
        await self.rest()

    def ref(self, kind: str, name: str, namespace: str = "team-a") -> ObjectRef:
        found = [
            ref
            for ref in self.server.objects
            if (ref.kind, ref.name) == (kind, name) and ref.namespace in ("", namespace)
        ]
        if not found:
            raise ApiError(404, "NotFound", f"no {kind} {name} in {namespace}: {sorted(map(str, self.server.objects))}")
        return found[0]

    # --- what a user sees ---------------------------------------------------------------------------------------

    def get(self, kind: str, name: str, namespace: str = "team-a") -> Object:
        return self.server.get(self.ref(kind, name, namespace))

    def names(self, kind: str) -> list[str]:
        return sorted(ref.name for ref in self.server.objects if ref.kind == kind)

    def message(self, name: str = "shop") -> str:
        """Of ResourcesReady."""
        return self.condition(name)[2]

    def data(self, name: str, namespace: str = "team-a") -> dict[str, str]:
        found: dict[str, str] = self.get("ConfigMap", name, namespace)["data"]
        return found

    def condition(
        self, name: str = "shop", type_: str = "ResourcesReady", kind: str = "WebShop"
    ) -> tuple[str, str, str]:
        """Status, reason and message."""
        obj = self.get(kind, name)
        found = {item["type"]: item for item in obj["status"]["conditions"]}
        assert found[type_]["observedGeneration"] == obj["metadata"]["generation"]
        return found[type_]["status"], found[type_]["reason"], found[type_]["message"]

    def state(self, name: str = "shop", kind: str = "WebShop") -> str:
        found: str = self.get(kind, name)["status"]["state"]
        return found

    def versions(self) -> dict[str, int]:
        return {ref.key: resource_version(obj) for ref, obj in self.server.objects.items()}

    @property
    def calls(self) -> list[Call]:
        assert self.controller is not None
        return self.controller.connection.calls

    def writes(self, since: int = 0) -> list[tuple[str, str, str]]:
        """Verb, kind and name of every write after that many calls."""
        return [
            (call.verb, call.ref.kind, call.ref.name) for call in self.calls[since:] if call.verb not in ("get", "list")
        ]

    def events(self) -> list[Event]:
        engine = open_engine(self.url)
        try:
            return LogReader(engine).read(0, 1_000_000)
        finally:
            engine.dispose()

    def rows(self, projection: str) -> dict[str, dict[str, Any]]:
        engine = open_engine(self.url)
        try:
            with ReaderPool(engine, PROJECTIONS).open() as reader:
                assert isinstance(reader, Snapshot)
                return {key: dict(row) for key, row in reader.all_rows(projection)}
        finally:
            engine.dispose()

    def log_faults(self) -> list[str]:
        """What is wrong with the chain; nothing, always."""
        engine = open_engine(self.url)
        try:
            return [str(fault) for fault in verify(engine).faults]
        finally:
            engine.dispose()

    def replayed(self) -> Report:
        """Every decision about an instance, made again from the log."""
        engine = open_engine(self.url)
        try:
            self.server.uninstalled.clear()
            return replay(LogReader(engine), self.server.kinds(), _KEY)
        finally:
            engine.dispose()

    def row_faults(self) -> list[str]:
        """Rows that are not what a rebuild from zero makes of the log."""
        engine, other = open_engine(self.url), create_engine("sqlite://")
        try:
            migrate(other)
            rebuild(engine, PROJECTIONS, other)
            return [str(fault) for fault in compare(engine, other, PROJECTIONS)]
        finally:
            engine.dispose()


def empty_database(path: Path) -> Path:
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


def copied(template: Path, path: Path) -> Path:
    for suffix in ("", "-wal"):
        if Path(f"{template}{suffix}").exists():
            shutil.copy(f"{template}{suffix}", f"{path}{suffix}")
    return path
