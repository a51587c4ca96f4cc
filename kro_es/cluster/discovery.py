"""Which kinds the server serves, and the schemas of their objects, fetched once per group-version and hash."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from kro_es.api.objects import Gvk, JsonObject, JsonValue, Resource
from kro_es.cluster.client import ApiClient
from kro_es.errors import ApiError
from kro_es.graph.published import of_crd
from kro_es.schema.openapi import KindSchema, Schema

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_GVK = "x-kubernetes-group-version-kind"
_KEPT_SECONDS, _MISSED_SECONDS = 10.0, 1.0
"""How long the place of a kind is taken as known, and that it has none: one that is served again must not wait for that."""
_T = TypeVar("_T")
_DROPPED = frozenset({"description", "example", "title"})


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


class Discovery:
    """Documents are kept by the hash the server gives them; a changed CRD changes the hash."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._documents: dict[str, dict[str, JsonObject]] = {}
        self._located: dict[tuple[str, str], tuple[float, Resource | None]] = {}
        self._under_way: dict[object, asyncio.Task[Any]] = {}

    async def kinds(self, gvks: Iterable[Gvk], custom: Mapping[tuple[str, str], str]) -> dict[Gvk, KindSchema]:
        """Schemas of the kinds that are served; the others are absent from the answer.

        For a kind that is absent from a served version, another kind of that version is in it: the version is known.
        ``custom``: group and kind to the name of its CRD. Such a schema is read from there: the OpenAPI documents
        follow a new or changed CRD only a second or two later.
        """
        found = await self._custom(gvks, custom)
        return {**await self._published(set(gvks) - found.keys()), **found}

    async def _custom(self, gvks: Iterable[Gvk], custom: Mapping[tuple[str, str], str]) -> dict[Gvk, KindSchema]:
        wanted = {gvk: custom[gvk.group, gvk.kind] for gvk in gvks if (gvk.group, gvk.kind) in custom}
        found: dict[Gvk, KindSchema] = {}
        for name in sorted(set(wanted.values())):
            try:
                crd = await self._client.request("GET", f"{_CRDS}/{name}")
            except ApiError as error:
                if not error.not_found:
                    raise
            else:
                found |= of_crd(crd)
        return {gvk: found[gvk] for gvk in wanted if gvk in found}

    async def _published(self, gvks: Iterable[Gvk]) -> dict[Gvk, KindSchema]:
        wanted = sorted(gvks)
        paths = (await self._client.request("GET", "/openapi/v3"))["paths"] if wanted else {}
        found: dict[Gvk, KindSchema] = {}
        for gvk in wanted:
            entry = paths.get(_root(gvk.group, gvk.version))
            served = await self._served(gvk) if entry else []
            if entry is None or not served:
                continue
            resource = next((item for item in served if item.gvk == gvk), None)
            if resource is None:
                other = next((item for item in served if item.gvk not in gvks), None)
                found |= {other.gvk: KindSchema(other, Schema({}), "")} if other else {}
                continue
            components = await self._components(entry["serverRelativeURL"])
            name = _component(components, gvk)
            if name is not None:
                node = {"$ref": f"#/components/schemas/{name}"}
                digest = entry["serverRelativeURL"].partition("hash=")[2]
                found[gvk] = KindSchema(resource, Schema(node, components), digest)
        return found

    async def resource(self, gvk: Gvk) -> Resource | None:
        """Where objects of the kind are found; None when it is not served."""
        return next((item for item in await self._served(gvk) if item.gvk == gvk), None)

    async def _served(self, gvk: Gvk) -> list[Resource]:
        """Every kind of the version; none when the version is not served."""
        try:
            served = await self._client.request("GET", f"/{_root(gvk.group, gvk.version)}")
        except ApiError as error:
            if error.not_found:
                return []
            raise
        return [
            Resource(Gvk(gvk.group, gvk.version, item["kind"]), item["name"], bool(item["namespaced"]))
            for item in served.get("resources") or ()
            if "/" not in item["name"]
        ]

    async def resource_for_group_kind(self, group: str, kind: str) -> Resource | None:
        """The kind at the group's preferred version, or at the first version that serves it.

        An answer is kept for a little while, and whoever asks meanwhile shares the question: deleting a thousand
        instances must not ask a thousand times.
        """
        asked, known = self._located.get((group, kind), (-math.inf, None))
        if time.monotonic() - asked < (_MISSED_SECONDS if known is None else _KEPT_SECONDS):
            return known
        return await self._shared((group, kind), lambda: self._locate(group, kind))

    async def _shared(self, key: object, ask: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """The answer to a question that is asked once, however many wait for it; one who gives up ends it for nobody else."""
        asking = self._under_way.get(key)
        if asking is None:
            asking = self._under_way[key] = asyncio.create_task(ask())
            asking.add_done_callback(lambda done: self._asked(key, done))
        found: _T = await asyncio.shield(asking)
        return found

    def _asked(self, key: object, done: asyncio.Task[Any]) -> None:
        del self._under_way[key]
        # a refusal that nobody waits for any more is not worth a line in the program's log
        done.cancelled() or done.exception()

    async def _locate(self, group: str, kind: str) -> Resource | None:
        found = None
        for version in await self._versions(group):
            found = await self.resource(Gvk(group, version, kind))
            if found is not None:
                break
        self._located[group, kind] = (time.monotonic(), found)
        return found

    async def _versions(self, group: str) -> list[str]:
        if not group:
            return ["v1"]
        try:
            served = await self._client.request("GET", f"/apis/{group}")
        except ApiError as error:
            if error.not_found:
                return []
            raise
        preferred = served["preferredVersion"]["version"]
        return [preferred, *(item["version"] for item in served["versions"] if item["version"] != preferred)]

    async def _components(self, url: str) -> dict[str, JsonObject]:
        if url not in self._documents:
            self._documents[url] = await self._shared(url, lambda: self._fetched(url))
        return self._documents[url]

    async def _fetched(self, url: str) -> dict[str, JsonObject]:
        document = await self._client.request("GET", url)
        components: dict[str, JsonObject] = _stripped(document.get("components", {}).get("schemas") or {})
        return components


def _component(components: dict[str, JsonObject], gvk: Gvk) -> str | None:
    wanted = {"group": gvk.group, "version": gvk.version, "kind": gvk.kind}
    for name, node in components.items():
        if node.get(_GVK) == [wanted]:
            return name
    return None


def _stripped(node: JsonValue) -> JsonValue:
    """The document without texts for people: they are most of its memory."""
    if isinstance(node, list):
        return [_stripped(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _stripped(value)
        for name, value in node.items()
        # a property may itself be called "description": only the text form is dropped
        if not (name in _DROPPED and not isinstance(value, dict))
    }
