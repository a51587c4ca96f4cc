"""What the watches show, handed to an ingest whose log and cluster are in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.api.selector import Selector
from kro_es.api.watch import Watched
from kro_es.controller.ingest import Ingest
from kro_es.controller.vault import Vault
from kro_es.decisions.taint import Taints
from kro_es.errors import ApiError
from kro_es.events.from_watch import Origin
from kro_es.events.redaction import Redactor
from kro_es.events.types import Event, NewEvent
from kro_es.projections.projection import Row

CONFIG_MAPS = Watched(
    Resource(Gvk("", "v1", "ConfigMap"), "configmaps", True), Selector.parse({"matchLabels": {"owned": "yes"}})
)
SECRETS = Watched(Resource(Gvk("", "v1", "Secret"), "secrets", True), None)


class Log:
    """What would be appended, and in which commits."""

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self.commits: list[int] = []

    async def append(self, events: Sequence[NewEvent]) -> tuple[Event, ...]:
        self.events += events
        self.commits.append(len(events))
        return ()

    @property
    def types(self) -> list[type]:
        return [type(event.body) for event in self.events]


class _Rows:
    """Recorded rows, as a restarted controller finds them."""

    position = 0

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._rows = list(rows)

    def row(self, projection: str, key: str) -> Row | None:
        return None

    def all_rows(self, projection: str) -> list[tuple[str, Row]]:
        return []

    def rows(self, projection: str, column: str, value: object) -> list[Row]:
        return [row for row in self._rows if row[column] == value]


class Live:
    """The one question ingest asks the API server: is it still there?"""

    def __init__(self, *objects: JsonObject) -> None:
        self._objects = {ObjectRef.of(obj).name: obj for obj in objects}
        self.refusal: ApiError | None = None

    forbidden = False

    async def list_objects(self, resource: Resource, namespace: str | None, selector: str | None) -> list[JsonObject]:
        if self.forbidden:
            raise ApiError(403, "Forbidden", "may not list")
        return []

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        if self.refusal is not None:
            raise self.refusal
        if name not in self._objects:
            raise ApiError(404, "NotFound", f"{name} not found")
        return self._objects[name]


def ingest_for(log: Log, *, rows: Sequence[Row] = (), live: Sequence[JsonObject] = (), cluster: Any = None) -> Ingest:
    @contextmanager
    def reader() -> Iterator[Any]:
        yield _Rows(rows)

    cluster = cluster or Live(*live)
    origin = Origin("cluster", 0, Redactor.of(b"k" * 32))
    return Ingest(log, cluster, origin, taints=Taints(), vault=Vault(), open_reader=reader, clock=lambda: 1_000)


def observed(
    name: str = "a", version: int = 1, *, kind: str = "ConfigMap", uid: str = "", **content: Any
) -> JsonObject:
    meta = {"name": name, "namespace": "n", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **content}


def row(name: str) -> Row:
    obj = observed(name)
    obj["metadata"]["labels"] = {"owned": "yes"}
    found = {"kind_key": "/ConfigMap", "namespace": "n", "name": name, "uid": f"uid-{name}", "object": obj}
    return {**found, "resource_version": 1}
