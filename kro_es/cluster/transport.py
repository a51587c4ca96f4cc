"""The library's session on connections whose peer is noticed to be gone, also when it went without a word."""

from __future__ import annotations

import socket
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from kro_es.cluster.library import RESTClientObject

IDLE_SECONDS, PROBE_SECONDS, GONE_SECONDS = 30, 5, 45
"""A connection is probed after half a minute without a byte, and given up 15 s later (what other clients of Kubernetes do
by pings of HTTP/2), or 45 s after something was sent that the peer's system did not confirm."""


def open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Unconnected, with TCP keepalive as far as this system has it; TCP_USER_TIMEOUT is Linux's."""
    family, kind, protocol, *_ = address
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        # the name macOS has for the first of them
        "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE": IDLE_SECONDS,
        "TCP_KEEPINTVL": PROBE_SECONDS,
        "TCP_KEEPCNT": (GONE_SECONDS - IDLE_SECONDS) // PROBE_SECONDS,
        "TCP_USER_TIMEOUT": GONE_SECONDS * 1000,
    }
    for name, value in options.items():
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return found


class Body(aiohttp.BytesPayload):
    """Bytes that ``may_be_sent`` is asked about in the moment they are, head included; what it raises ends the request.

    Between the decision to send and the sending lie a connection that is made and turns of the loop: a process that
    was stopped there and goes on would send what it may not any more.
    """

    def __init__(self, value: bytes, may_be_sent: Callable[[], object]) -> None:
        super().__init__(value)
        self._may_be_sent = may_be_sent

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._may_be_sent()
        await super().write_with_length(writer, content_length)


class Transport(RESTClientObject):
    """The library asks to override this method for connections of one's own; the rest is as it comes."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, socket_factory=open_socket)
