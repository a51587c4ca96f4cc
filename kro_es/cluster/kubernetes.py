"""The Kubernetes API as the controller uses it: reads, server-side apply, guarded deletes, status, CRDs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import yaml

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.api.watch import Watched, WatchItem
from kro_es.cluster.client import ApiClient, path_of
from kro_es.cluster.discovery import Discovery
from kro_es.cluster.watch import list_pages, watch
from kro_es.errors import ApiError
from kro_es.schema.openapi import KindSchema

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_CRDS = Resource(
    Gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), "customresourcedefinitions", namespaced=False
)
_NAMESPACES = Resource(Gvk("", "v1", "Namespace"), "namespaces", namespaced=False)
ESTABLISHED_SECONDS = 30.0
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_POLL = 0.05
"""The API server needs some tens of milliseconds to establish a CRD; a watch per CRD would cost more than it saves."""
_SHIPPED = Path(__file__).parent / "manifests"
_CHECKOUT = Path(__file__).parents[2] / "deploy" / "crds"


class KubernetesCluster:
    """Implements the controller's ``Cluster`` port."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._discovery = Discovery(client)

    async def cluster_id(self) -> str:
        """uid of the kube-system namespace: as good an identity as a cluster has. Either right to it is enough."""
        try:
            found, _ = await list_pages(self._client, _NAMESPACES, None, None, "kube-system")
        except ApiError as error:
            if error.status != 403:
                raise
            found = [await self._client.request("GET", path_of(_NAMESPACES, None, "kube-system"))]
        if not found:
            raise ApiError(404, "NotFound", "the cluster has no namespace kube-system")
        return str(found[0]["metadata"]["uid"])

    async def kinds(self, gvks: Iterable[Gvk], custom: Mapping[tuple[str, str], str]) -> Mapping[Gvk, KindSchema]:
        return await self._discovery.kinds(gvks, custom)

    async def resource_for_group_kind(self, group: str, kind: str) -> Resource | None:
        return await self._discovery.resource_for_group_kind(group, kind)

    async def apply(self, resource: Resource, obj: JsonObject, manager: str, *, force: bool) -> JsonObject:
        """Server-side apply; a 409 without ``force`` means that another manager owns one of the fields."""
        meta = obj["metadata"]
        path = path_of(resource, meta.get("namespace"), meta["name"])
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self._client.request("PATCH", path, query=query, body=obj, content_type=_APPLY)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> JsonObject | None:
        """Delete exactly this object; None when it was gone already. 409: another object has the name now."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        try:
            return await self._client.request("DELETE", path_of(resource, namespace, name), body=body)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        return await self._client.request("GET", path_of(resource, namespace, name))

    async def list_objects(self, resource: Resource, namespace: str | None, selector: str | None) -> list[JsonObject]:
        return (await list_pages(self._client, resource, namespace, selector))[0]

    async def create(self, resource: Resource, obj: JsonObject, manager: str, *, dry_run: bool = False) -> JsonObject:
        path = path_of(resource, obj["metadata"].get("namespace"))
        return await self._client.request("POST", path, query=_query(manager, dry_run=dry_run), body=obj)

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: JsonObject, *, manager: str, subresource: str = ""
    ) -> JsonObject:
        path = path_of(resource, namespace, name, subresource)
        return await self._client.request(
            "PATCH", path, query={"fieldManager": manager}, body=body, content_type=_MERGE
        )

    async def put_status(self, resource: Resource, obj: JsonObject, manager: str) -> JsonObject:
        """Replace the status; the object's resourceVersion is the precondition."""
        meta = obj["metadata"]
        path = path_of(resource, meta.get("namespace"), meta["name"], "status")
        return await self._client.request("PUT", path, query={"fieldManager": manager}, body=obj)

    async def replace(self, resource: Resource, obj: JsonObject, manager: str, *, dry_run: bool = False) -> JsonObject:
        """Replace the object; its resourceVersion is the precondition."""
        meta = obj["metadata"]
        path = path_of(resource, meta.get("namespace"), meta["name"])
        return await self._client.request("PUT", path, query=_query(manager, dry_run=dry_run), body=obj)

    async def user(self) -> str:
        """Who the API server says is asking."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self._client.request("POST", _REVIEW, body=body)
        found: str = answer["status"]["userInfo"]["username"]
        return found

    async def wait_established(self, name: str) -> JsonObject:
        """The CRD once its API is served. Raises ApiError at once when its names collide with another CRD's.

        One that is served already goes on under the names it has: a short name of another CRD is no reason to stop.
        """
        deadline = asyncio.get_running_loop().time() + ESTABLISHED_SECONDS
        while True:
            crd = await self.get(_CRDS, "", name)
            found = {item["type"]: item for item in (crd.get("status") or {}).get("conditions") or ()}
            if found.get("Established", {}).get("status") == "True":
                return crd
            refused = found.get("NamesAccepted", {})
            if refused.get("status") == "False":
                raise ApiError(409, "NamesNotAccepted", f"CRD {name}: {refused.get('message', 'names are taken')}")
            if asyncio.get_running_loop().time() > deadline:
                raise ApiError(504, "Timeout", f"CRD {name} was not established within {ESTABLISHED_SECONDS:.0f} s")
            await asyncio.sleep(_POLL)

    async def install_own_crds(self) -> None:
        """The two CRDs of kro, applied and established."""
        folder = _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT
        for file in sorted(folder.glob("*.yaml")):
            crd = yaml.safe_load(file.read_text())  # our own manifest: no input of a user is parsed here
            await self.apply(_CRDS, crd, metadata.CONTROLLER_MANAGER, force=True)
            await self.wait_established(crd["metadata"]["name"])

    def watch(self, watched: Watched) -> AsyncIterator[WatchItem]:
        return watch(self._client, watched)


def _query(manager: str, *, dry_run: bool) -> dict[str, str]:
    """``dry_run``: everything is checked, admission too, and nothing is kept."""
    return {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}
