"""Opens the log's endpoint: its own client, its own certificate, and the place the cluster is told about."""

from __future__ import annotations

import os
import time
from contextlib import AsyncExitStack

from kro_es.cluster import aggregation
from kro_es.cluster.client import connect
from kro_es.cluster.discovery import Discovery
from kro_es.controller.access import Access
from kro_es.controller.certificate import made
from kro_es.controller.endpoint import Endpoint
from kro_es.errors import UserError
from kro_es.settings import VERSION, Settings

_CONCURRENCY = 16
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 compared with, never bound here


async def open_endpoint(settings: Settings, address: str, stack: AsyncExitStack, now: int) -> None:
    """Serves at host:port until the stack is closed. Raises UserError for an address that is none."""
    host, port, advertised = addresses(address, os.environ.get("POD_IP", ""))
    # reviews must not wait for the controller's requests, nor these for reviews
    client = await connect(
        settings.kubeconfig, settings.context, user_agent=f"kro-es-history/{VERSION}", concurrency=_CONCURRENCY
    )
    stack.push_async_callback(client.close)
    namespace = os.environ.get("POD_NAMESPACE") or "kro-system"

    async def registered(certificate: str) -> aggregation.FrontProxy:
        proxy = await aggregation.front_proxy(client)
        await aggregation.register(client, namespace, (advertised, port), certificate)
        return proxy

    async def may_get(caller: aggregation.Caller, group: str, resource: str, where: str) -> bool:
        return await aggregation.may_get(client, caller, group, resource, where)

    access = Access(may_get, Discovery(client).resource_for_group_kind, time.monotonic)
    certificate = made(f"{aggregation.SERVICE}.{namespace}.svc", now)
    endpoint = Endpoint(settings.database, access, registered, certificate)
    stack.push_async_callback(endpoint.close)
    await endpoint.start(host or _EVERYWHERE[1], port)


def addresses(text: str, pod: str) -> tuple[str, int, str]:
    """Host and port to listen at, and the address others find us at. Raises UserError."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not port.isdigit():
        raise UserError(f"--history-address {text!r} has no port: write HOST:PORT, e.g. 0.0.0.0:8443")
    advertised = pod if host in _EVERYWHERE else host
    if not advertised:
        raise UserError("--history-address names no address of ours: set POD_IP, or write the address itself")
    return host, int(port), advertised
