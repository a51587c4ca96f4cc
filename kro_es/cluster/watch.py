"""List, then watch, for ever: every change of one kind in order, and an honest break where some may be missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from errno import ETIMEDOUT
from time import monotonic

import aiohttp
import orjson
from aiohttp.client_proto import ResponseHandler

from kro_es.api.objects import JsonObject, Resource
from kro_es.api.watch import EXPIRED, Broken, Burst, Changed, Listed, Watched, WatchItem
from kro_es.cluster.client import ApiClient, path_of
from kro_es.errors import ApiError

PAGE = 500
WATCH_SECONDS = 540
"""Asked of the server; a watch that ends by itself is resumed where it was, without a gap."""
LONGEST_SILENCE = 200
"""Seconds. A bookmark comes about every minute: after three that did not, somebody between us and the server may keep the
connection alive for nobody. A server without bookmarks is asked again where the watch was, which costs one request."""
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0
_GONE = "unanswered"
"""Why a watch broke whose connection was dead for a while before that was known."""


class Lines:
    """Splits a byte stream into lines of any length."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._rest += chunk
        if b"\n" not in chunk:
            return
        *whole, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        yield from (line for line in whole if line)


def delay(failures: int) -> float:
    """Seconds before the next try after so many failures in a row."""
    return min(FIRST_DELAY * 2.0 ** max(failures - 1, 0), LONGEST_DELAY)


async def list_pages(
    client: ApiClient, resource: Resource, namespace: str | None, selector: str | None, name: str = ""
) -> tuple[list[JsonObject], str]:
    """All objects and the resourceVersion of the list; list items get the apiVersion and kind they lack."""
    query = {"limit": str(PAGE), **_narrowed(selector, name)}
    objects: list[JsonObject] = []
    while True:
        page = await client.request("GET", path_of(resource, namespace), query=query)
        head = {"apiVersion": resource.gvk.api_version, "kind": resource.gvk.kind}
        objects += [{**head, **item} for item in page.get("items") or ()]
        following = page["metadata"].get("continue")
        if not following:
            return objects, page["metadata"]["resourceVersion"]
        query["continue"] = following


def _narrowed(selector: str | None, name: str) -> dict[str, str]:
    labels = {"labelSelector": selector} if selector else {}
    return labels | ({"fieldSelector": f"metadata.name={name}"} if name else {})


class _Pulse:
    """When the server was last known to be there; what breaks after a silence may have been broken since then."""

    def __init__(self) -> None:
        self._heard = self._opened = monotonic()
        self._doubtful = False

    def opened(self) -> None:
        self._opened = monotonic()

    def heard(self) -> None:
        self._heard, self._doubtful = monotonic(), False

    def silent(self) -> None:
        """The watch was taken up where it was, and no more came."""
        self._heard, self._doubtful = max(self._heard, self._opened), True

    def seconds(self, error: ApiError) -> float:
        """How long it may have been gone when this broke the watch."""
        return monotonic() - self._heard if self._doubtful or error.reason == _GONE else 0.0


async def watch(client: ApiClient, watched: Watched) -> AsyncIterator[WatchItem]:
    """Never ends by itself. A failed list is tried again, later and later; the reader decides what a break means.

    A silent watch is opened again and says so only when that fails: most servers that are silent have nothing to tell.
    """
    failures = 0
    version = ""
    pulse = _Pulse()
    while True:
        try:
            if not version:
                selector = watched.selector.text if watched.selector else None
                objects, version = await list_pages(client, watched.resource, watched.namespace, selector, watched.name)
                failures = 0
                pulse.heard()
                yield Listed(tuple(objects), version)
            pulse.opened()
            async for changes, at in _stream(client, watched, version):
                pulse.heard()
                # before a whole line that is no refusal nobody knows whether it goes on where it was
                resumed = failures > 0 and at != version
                failures, version = 0 if changes or at != version else failures, at
                if changes or resumed:
                    yield changes[0] if len(changes) == 1 else Burst(tuple(changes))
            pulse.heard()
        except TimeoutError:
            pulse.silent()
        except ApiError as error:
            failures += 1
            if error.status == 410:
                version = ""
            # a watch that resumes where it was has missed nothing: only a list after a break makes it a gap
            reason = EXPIRED if error.status == 410 else error.reason or "disconnect"
            yield Broken(reason, pulse.seconds(error))
            await asyncio.sleep(delay(failures))


async def _stream(client: ApiClient, watched: Watched, version: str) -> AsyncIterator[tuple[list[Changed], str]]:
    """What arrived at once, and the resourceVersion it leads to: more piles up while the reader was busy.

    Raises TimeoutError when nothing came for too long; ApiError.
    """
    query = {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(WATCH_SECONDS),
        **_narrowed(watched.selector.text if watched.selector else None, watched.name),
    }
    resource = watched.resource
    answer = await client.stream(path_of(resource, watched.namespace), query, silence=LONGEST_SILENCE)
    connection = answer.connection.protocol if answer.connection is not None else None
    lines = Lines()
    try:
        async for chunk in answer.content.iter_any():
            changes, version, refusal = _together(lines.feed(chunk), version)
            if changes or refusal is None:
                yield changes, version
            if refusal is not None:
                raise refusal
    except aiohttp.SocketTimeoutError:
        raise TimeoutError from None
    except (aiohttp.ClientError, OSError) as error:
        reason = _GONE if _unconfirmed(connection) else "disconnect"
        raise ApiError(0, reason, f"watch of {resource.plural}: {error}") from error
    finally:
        answer.close()


def _unconfirmed(connection: ResponseHandler | None) -> bool:
    """Whether the connection was given up because the peer's system confirmed nothing any more.

    What reading an answer raises has lost the reason; the connection keeps it.
    """
    lost = connection.exception() if connection is not None else None
    return isinstance(lost, OSError) and lost.errno == ETIMEDOUT


def _together(lines: Iterable[bytes], version: str) -> tuple[list[Changed], str, ApiError | None]:
    """The changes of some lines, the resourceVersion they lead to, and the refusal that ended them, if any."""
    changes: list[Changed] = []
    for line in lines:
        try:
            change, version = read_line(line)
        except ApiError as error:
            return changes, version, error
        if change is not None:
            changes.append(change)
    return changes, version, None


def read_line(line: bytes) -> tuple[Changed | None, str]:
    """A change and the resourceVersion it is at; a bookmark has no change. Raises ApiError for an ERROR line."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ApiError(410, "Undecodable", f"a line of the watch is no JSON: {error}") from error
    obj = event["object"]
    if event["type"] == "ERROR":
        raise ApiError(obj.get("code", 0), obj.get("reason", ""), obj.get("message", ""))
    at = obj["metadata"]["resourceVersion"]
    return (None, at) if event["type"] == "BOOKMARK" else (Changed(event["type"], obj), at)
