"""What the reconcilers need from the world: a log to append to and read from, and a cluster; both have a fake in the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from typing import Protocol

from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.api.watch import Watched, WatchItem
from kro_es.decisions import load
from kro_es.events.types import Event, NewEvent
from kro_es.projections.projection import Row
from kro_es.schema.openapi import KindSchema


class Reader(load.Reader, Protocol):
    """What a pass may ask of the rows, and what is asked of all of them."""

    def all_rows(self, projection: str) -> Iterable[tuple[str, Row]]:
        """Every row with its key, ordered by key."""
        ...


class EventLog(Protocol):
    """Append returns only after the commit: nothing acts on what is not in the log."""

    async def append(self, events: Sequence[NewEvent]) -> tuple[Event, ...]:
        """One atomic group, in order; events whose identity is already the head of their stream are left out."""
        ...

    def submit(self, events: Sequence[NewEvent]) -> Awaitable[tuple[Event, ...]]:
        """:meth:`append` that is in line before it returns, whether there is room or not: for what ends a pass.

        Awaited, it is what ``append`` is; nothing that depends on the events may happen before.
        """
        ...


class Cluster(Protocol):
    """The Kubernetes API as the reconcilers use it; every refusal is an ``ApiError``."""

    async def kinds(self, gvks: Iterable[Gvk], custom: Mapping[tuple[str, str], str]) -> Mapping[Gvk, KindSchema]:
        """Schemas of the kinds that are served. ``custom``: group and kind to the name of the CRD that defines it."""
        ...

    async def resource_for_group_kind(self, group: str, kind: str) -> Resource | None: ...

    async def apply(self, resource: Resource, obj: JsonObject, manager: str, *, force: bool) -> JsonObject: ...

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> JsonObject | None: ...

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject: ...

    async def list_objects(
        self, resource: Resource, namespace: str | None, selector: str | None
    ) -> list[JsonObject]: ...

    async def create(self, resource: Resource, obj: JsonObject, manager: str) -> JsonObject: ...

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: JsonObject, *, manager: str, subresource: str = ""
    ) -> JsonObject: ...

    async def put_status(self, resource: Resource, obj: JsonObject, manager: str) -> JsonObject: ...

    async def wait_established(self, name: str) -> JsonObject: ...

    def watch(self, watched: Watched) -> AsyncIterator[WatchItem]: ...
