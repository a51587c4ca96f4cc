"""One of several controllers acts: the holder of a Lease, until the moment another one may take it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.cluster.client import ApiClient, path_of
from kro_es.errors import ApiError, FenceLost, UserError

LEASES = Resource(Gvk("coordination.k8s.io", "v1", "Lease"), "leases", namespaced=True)
NAME = "kro-es"
WRITE_SECONDS = 10.0
"""Longest a write of a leader may take; who takes over from one that vanished waits this long on top of the lease."""
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; the clocks of two machines are never compared."""

    duration: float = 15.0
    renew: float = 5.0
    retry: float = 2.0
    margin: float = 1.0
    """How much earlier than its end a holder stops to act."""


class Lease:
    """``acquire``, then ``guard`` before every write, then ``release``; ``lost`` ends when the lease does."""

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        identity: str,
        timing: Timing = Timing(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self.identity = identity
        self._timing = timing
        self._clock = clock
        self._deadline = 0.0
        self._held: JsonObject = {}
        self._keeping: asyncio.Task[None] | None = None
        self.lost: asyncio.Future[FenceLost] = asyncio.get_running_loop().create_future()

    async def acquire(self) -> None:
        """Returns when this is the holder and nothing a predecessor sent can still arrive.

        Raises UserError when leases cannot be kept here, FenceLost when it was lost again while waiting.
        """
        seen: tuple[object, ...] | None = None
        since = self._clock()
        told = ""
        while True:
            live = await self._read()
            spec: JsonObject = (live or {}).get("spec") or {}
            holder = str(spec.get("holderIdentity") or "")
            mark = (holder, (live or {}).get("metadata", {}).get("resourceVersion"))
            if mark != seen:
                # Only our own clock counts: how long we have seen the record unchanged.
                seen, since = mark, self._clock()
            over = self._clock() - since > float(spec.get("leaseDurationSeconds") or self._timing.duration)
            if (not holder or over) and await self._take(live):
                break
            if holder and holder != told:
                told = holder
                logger.info("standing by", lease=f"{self._namespace}/{NAME}", holder=holder)
            await asyncio.sleep(self._timing.retry)
        self._keeping = asyncio.create_task(self._keep())
        if holder:
            logger.info("waiting out what the last holder may still have sent", holder=holder, seconds=WRITE_SECONDS)
            await asyncio.wait([self.lost], timeout=WRITE_SECONDS)
        if self.lost.done():
            raise self.lost.result()
        logger.info("leading", lease=f"{self._namespace}/{NAME}", identity=self.identity)

    def guard(self) -> float:
        """Seconds a write may take. Raises FenceLost when another controller may be the holder by now."""
        left = self._deadline - self._clock()
        if left <= 0 or self.lost.done():
            self._lose("it was not renewed in time")
            raise self.lost.result()
        return WRITE_SECONDS

    async def release(self) -> None:
        """Lets the next one begin at once; to be called when everything sent was answered."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping
        if self.lost.done():
            return
        self._deadline = 0.0
        with suppress(ApiError):
            await self._put({**self._held, "spec": {**self._held["spec"], "holderIdentity": ""}})

    async def _keep(self) -> None:
        while not self.lost.done():
            await asyncio.sleep(min(self._timing.renew, max(self._deadline - self._clock(), 0.0)))
            began = self._clock()
            if began >= self._deadline:
                self._lose("it was not renewed in time")
                return
            spec = {**self._held["spec"], "renewTime": _now()}
            try:
                await self._put({**self._held, "spec": spec})
            except ApiError as error:
                if error.conflict:
                    try:
                        await self._look_again()
                    except UserError as refused:
                        self._lose(str(refused))
                else:
                    logger.warning("the lease could not be renewed", error=error.message)
                    await asyncio.sleep(self._timing.margin)
            else:
                self._deadline = began + self._timing.duration - self._timing.margin

    async def _look_again(self) -> None:
        """An answer that was lost looks like a conflict: the holder is what counts."""
        live = await self._read()
        holder = str(((live or {}).get("spec") or {}).get("holderIdentity") or "")
        if live is None or holder != self.identity:
            self._lose(f"{holder or 'nobody'} holds it")
        else:
            self._held = live

    def _lose(self, why: str) -> None:
        self._deadline = 0.0
        if not self.lost.done():
            self.lost.set_result(FenceLost(f"lease {self._namespace}/{NAME} is lost: {why}"))

    async def _take(self, live: JsonObject | None) -> bool:
        began = self._clock()
        before = (live or {}).get("spec") or {}
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(round(self._timing.duration), 1),
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (1 if live else 0),
        }
        meta = {"name": NAME, "namespace": self._namespace}
        try:
            if live is None:
                new = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
                self._held = await self._request("POST", "", new)
            else:
                await self._put({**live, "spec": spec})
        except ApiError as error:
            if error.conflict or error.outcome_unknown:
                return False
            raise self._unusable(error) from error
        self._deadline = began + self._timing.duration - self._timing.margin
        return True

    async def _read(self) -> JsonObject | None:
        while True:
            try:
                return await self._request("GET", NAME, None)
            except ApiError as error:
                if error.not_found:
                    return None
                if not error.outcome_unknown:
                    raise self._unusable(error) from error
                logger.warning("the lease cannot be read", error=error.message)
                await asyncio.sleep(self._timing.retry)

    async def _put(self, lease: JsonObject) -> None:
        """The resourceVersion in it is the precondition."""
        self._held = await self._request("PUT", NAME, lease)

    async def _request(self, method: str, name: str, body: JsonObject | None) -> JsonObject:
        path = path_of(LEASES, self._namespace, name)
        return await self._client.request(method, path, body=body, limit=lambda: self._timing.renew)

    def _unusable(self, error: ApiError) -> UserError:
        return UserError(
            f"cannot keep a Lease in namespace {self._namespace}: {error.message}; create the namespace and allow get,"
            " create and update of leases in it (deploy/rbac.yaml), name another one by POD_NAMESPACE, or run one"
            " controller with --no-leader-elect"
        )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
