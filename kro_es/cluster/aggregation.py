"""What it takes to be a part of the API server: who may speak for a user, what the user may do, where we are found."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import orjson

from kro_es.api import metadata
from kro_es.api.objects import JsonObject
from kro_es.cluster.client import ApiClient
from kro_es.errors import ApiError, UserError

SERVICE = "kro-es-history"
_CONFIG = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_API_SERVICE = f"/apis/apiregistration.k8s.io/v1/apiservices/{metadata.HISTORY_VERSION}.{metadata.HISTORY_GROUP}"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Caller:
    """A user as the API server has authenticated them."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """How the API server shows that it speaks for a user: by a client certificate, and headers that count with it only."""

    authority: str
    """PEM of the authority that signs its certificate."""
    names: frozenset[str]
    """Common names the certificate may bear; empty: any."""
    user: tuple[str, ...]
    groups: tuple[str, ...]
    uid: tuple[str, ...]
    extra: tuple[str, ...]
    """Prefixes of header names; what follows is the key."""

    def caller(self, common_name: str, headers: Mapping[str, tuple[str, ...]]) -> Caller | None:
        """Who it speaks for; ``headers``: lower-case name to values. None: it may not, or named nobody."""
        if self.names and common_name not in self.names:
            return None
        name = next((headers[key][0] for key in self.user if headers.get(key)), "")
        if not name:
            return None
        uid = next((headers[key][0] for key in self.uid if headers.get(key)), "")
        groups = tuple(value for key in self.groups for value in headers.get(key, ()))
        extra = sorted(
            (unquote(key.removeprefix(prefix)), values)
            for prefix in self.extra
            for key, values in headers.items()
            if key.startswith(prefix)
        )
        return Caller(name, groups, uid, tuple(extra))


async def front_proxy(client: ApiClient) -> FrontProxy:
    """As the cluster publishes it. Raises UserError when its API server has no such thing set up, ApiError."""
    data = (await client.request("GET", _CONFIG)).get("data") or {}
    authority = data.get("requestheader-client-ca-file")
    if not authority:
        raise UserError("the API server speaks for nobody: it runs without --requestheader-client-ca-file")

    def names(key: str) -> tuple[str, ...]:
        return tuple(str(name) for name in orjson.loads(data.get(f"requestheader-{key}") or "[]"))

    def headers(key: str) -> tuple[str, ...]:
        return tuple(name.lower() for name in names(key))

    return FrontProxy(
        authority,
        frozenset(names("allowed-names")),
        headers("username-headers"),
        headers("group-headers"),
        headers("uid-headers"),
        headers("extra-headers-prefix"),
    )


async def may_get(client: ApiClient, caller: Caller, group: str, resource: str, namespace: str) -> bool:
    """Whether the cluster lets this user get every object of a resource; no namespace: in all of them. Raises ApiError."""
    spec: JsonObject = {
        "user": caller.name,
        "groups": list(caller.groups),
        "uid": caller.uid,
        "extra": {key: list(values) for key, values in caller.extra},
        "resourceAttributes": {"verb": "get", "group": group, "resource": resource, "namespace": namespace},
    }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool((await client.request("POST", _REVIEWS, body=body))["status"]["allowed"])


async def register(client: ApiClient, namespace: str, address: tuple[str, int], certificate: str) -> None:
    """Makes this process the one behind the service, and its certificate the one the API server expects there.

    Raises UserError when the service's manifests were not applied, ApiError.
    """
    host, port = address
    name = f"{SERVICE}-{'ipv6' if ':' in host else 'ipv4'}"
    labels = {
        "kubernetes.io/service-name": SERVICE,
        "endpointslice.kubernetes.io/managed-by": metadata.CONTROLLER_MANAGER,
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": labels},
        "addressType": "IPv6" if ":" in host else "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    bundle = base64.b64encode(certificate.encode()).decode()
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}"
    query = {"fieldManager": metadata.CONTROLLER_MANAGER, "force": "true"}
    try:
        await client.request("PATCH", path, query=query, body=endpoints, content_type=_APPLY)
        await client.request("PATCH", _API_SERVICE, body={"spec": {"caBundle": bundle}}, content_type=_MERGE)
    except ApiError as error:
        if error.not_found:
            raise UserError(
                f"the cluster does not know the history's API: kubectl apply -k deploy/history ({error})"
            ) from error
        raise
