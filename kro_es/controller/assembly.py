"""The parts of one controller put together, whatever log and cluster it is given; nothing runs yet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from kro_es.api.sensitive import parse_all
from kro_es.cel.declarations import ENVIRONMENTS
from kro_es.controller.definition_reconciler import Keep
from kro_es.controller.externals import ExternalWatches
from kro_es.controller.graphs import Graphs
from kro_es.controller.ingest import Ingest
from kro_es.controller.loop import Loop
from kro_es.controller.ports import Cluster, EventLog, Reader
from kro_es.controller.projector import Projector
from kro_es.controller.queue import Queue
from kro_es.controller.telemetry import Metrics
from kro_es.controller.vault import Vault
from kro_es.controller.world import World
from kro_es.decisions.load import Standing
from kro_es.decisions.taint import Taints
from kro_es.events.from_watch import Origin
from kro_es.events.types import ControllerStarted
from kro_es.settings import VERSION, Settings


@dataclass(frozen=True, slots=True)
class Given:
    """What a controller does not make itself."""

    log: EventLog
    cluster: Cluster
    origin: Origin
    open_reader: Callable[[], AbstractContextManager[Reader]]
    clock: Callable[[], int]
    """Microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Assembled:
    world: World
    projector: Projector
    loop: Loop


def assemble(given: Given, queue: Queue, metrics: Metrics, settings: Settings) -> Assembled:
    rules = parse_all(settings.redact)
    externals, taints = ExternalWatches(queue.add), Taints(rules)
    projector = Projector(queue, given.open_reader, externals)
    ingest = Ingest(
        given.log,
        given.cluster,
        given.origin,
        taints=taints,
        vault=Vault(),
        open_reader=given.open_reader,
        clock=given.clock,
    )
    metrics.dropped.set_function(lambda: ingest.dropped)
    world = World(
        log=given.log,
        cluster=given.cluster,
        ingest=ingest,
        origin=given.origin,
        taints=taints,
        graphs=Graphs(),
        externals=externals,
        open_reader=given.open_reader,
        clock=given.clock,
        engine=VERSION,
        standing=Standing(
            given.origin.redactor, taints, settings.label_version, settings.max_collection, settings.instance_events
        ),
        omit=settings.omit,
        environment=ENVIRONMENTS[settings.functions],
        rules=rules,
    )
    keep = Keep(settings.max_revisions, crd=not settings.allow_crd_deletion)
    return Assembled(world, projector, Loop(world, queue, projector, metrics, keep=keep))


def started(settings: Settings, fence: int) -> ControllerStarted:
    """The first event of a run: a replay of its decisions needs to know how it was told to behave."""
    configuration = {
        "label_version": settings.label_version,
        "max_collection": settings.max_collection,
        "omit": settings.omit,
        "functions": settings.functions,
        "instance_events": settings.instance_events,
        "redact": list(settings.redact),
    }
    return ControllerStarted(VERSION, fence, configuration)
