"""A holder that can no longer tell whether it is one stops to act, and says so at once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from kro_es.cluster.client import ApiClient
from kro_es.cluster.lease import Lease, Timing
from kro_es.errors import ApiError, FenceLost

QUICK = Timing(duration=60.0, renew=0.01, retry=0.01, margin=0.1)
Object = dict[str, Any]


class Server:
    """Holds one Lease; what a verb is answered can be set."""

    def __init__(self) -> None:
        self.refusals: dict[str, ApiError] = {"GET": ApiError(404, "NotFound", "no lease")}

    async def request(self, method: str, path: str, *, body: Object | None = None, limit: object = None) -> Object:
        await asyncio.sleep(0)
        if method in self.refusals:
            raise self.refusals[method]
        return {**(body or {}), "metadata": {"resourceVersion": "1"}}


async def test_a_right_that_is_taken_away_while_leading_ends_the_leading() -> None:
    server = Server()
    lease = Lease(cast("ApiClient", server), "kro-system", "me", QUICK)
    await lease.acquire()
    assert lease.guard() > 0
    server.refusals = {"PUT": ApiError(409, "Conflict", "moved on"), "GET": ApiError(403, "Forbidden", "no right")}
    async with asyncio.timeout(30):
        lost = await asyncio.shield(lease.lost)
    assert "no right" in str(lost)
    with pytest.raises(FenceLost):
        lease.guard()
    await lease.release()


async def test_a_lease_somebody_else_took_is_lost() -> None:
    server = Server()
    lease = Lease(cast("ApiClient", server), "kro-system", "me", QUICK)
    await lease.acquire()
    server.refusals = {"PUT": ApiError(409, "Conflict", "moved on")}
    async with asyncio.timeout(30):
        lost = await asyncio.shield(lease.lost)
    assert "nobody holds it" in str(lost)
    await lease.release()


async def test_nothing_is_written_after_the_time_in_which_nobody_else_may_begin() -> None:
    now = [0.0]
    server = Server()
    lease = Lease(cast("ApiClient", server), "kro-system", "me", QUICK, clock=lambda: now[0])
    await lease.acquire()
    server.refusals = {"PUT": ApiError(0, "Unanswered", "no answer")}
    now[0] = QUICK.duration - QUICK.margin - 0.01
    assert lease.guard() > 0
    now[0] = QUICK.duration - QUICK.margin
    with pytest.raises(FenceLost, match="it was not renewed in time"):
        lease.guard()
    await lease.release()
