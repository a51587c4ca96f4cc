"""What every reconciler uses of the running controller, built once and never replaced."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from kro_es.api.objects import Resource
from kro_es.api.sensitive import Rule
from kro_es.cel.declarations import Environment
from kro_es.controller.externals import ExternalWatches
from kro_es.controller.graphs import Graphs
from kro_es.controller.ingest import Ingest
from kro_es.controller.ports import Cluster, EventLog, Reader
from kro_es.decisions.definition import Told
from kro_es.decisions.load import Standing
from kro_es.decisions.taint import Taints
from kro_es.events.from_watch import Origin


@dataclass(frozen=True, slots=True)
class World:
    """What every pass uses; built once."""

    log: EventLog
    cluster: Cluster
    ingest: Ingest
    origin: Origin
    taints: Taints
    graphs: Graphs
    externals: ExternalWatches
    open_reader: Callable[[], AbstractContextManager[Reader]]
    clock: Callable[[], int]
    engine: str
    standing: Standing
    omit: bool
    """Whether definitions may use omit()."""
    environment: Environment
    """The functions definitions may call."""
    rules: tuple[Rule, ...]
    """Fields whose values are never recorded, beside those of Secrets."""

    async def located(self, group: str, kind: str) -> Resource | None:
        """Where objects of the kind are; the server is asked when no watch of the kind is up. None: it is not served."""
        return self.ingest.located(group, kind) or await self.cluster.resource_for_group_kind(group, kind)

    def told(self) -> Told:
        """What a pass over a definition knows besides the rows, now."""
        return Told(self.clock(), self.engine, self.standing.version)
