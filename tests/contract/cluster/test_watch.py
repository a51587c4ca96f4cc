"""The client and its watches against a server that is slow, silent, cut off, or no API server at all."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from kro_es.api.objects import Gvk, Resource
from kro_es.api.watch import Broken, Burst, Changed, Listed, Watched, WatchItem
from kro_es.cluster import client as clients
from kro_es.cluster import transport
from kro_es.cluster import watch as watching
from kro_es.cluster.client import ApiClient, connect
from kro_es.cluster.informers import Informers
from kro_es.cluster.kubernetes import KubernetesCluster
from kro_es.errors import ApiError, FenceLost

MAPS = Watched(Resource(Gvk("", "v1", "ConfigMap"), "configmaps", namespaced=True), None)
PATH = "/api/v1/configmaps"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def config_map(version: int) -> dict[str, object]:
    meta = {"name": "a", "namespace": "prod", "uid": "u1", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


class Server:
    """Lists one object; what watches are answered is scripted, one function each, the last one for all that follow."""

    def __init__(self) -> None:
        self.watches: list[Answer] = []
        self.asked: list[str] = []
        self.lists = 0
        self.deleted: list[object] = []
        self.refuse: Callable[[], web.Response] | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.refuse is not None:
            return self.refuse()
        if request.method == "DELETE":
            self.deleted.append(await request.json())
            return web.json_response({})
        if "watch" not in request.query:
            self.lists += 1
            body = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": config_map(7)["metadata"]}]}
            return web.json_response(body)
        self.asked.append(request.query["resourceVersion"])
        answer = self.watches.pop(0) if len(self.watches) > 1 else self.watches[0]
        return await answer(request)


async def silence(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await asyncio.Event().wait()
    return answer


def drop_all(taken: socket.socket) -> None:
    """What arrives there from now on is thrown away before the kernel answers it: a filter of one line, "keep 0 bytes"."""
    keep_nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(keep_nothing))
    with socket.socket(fileno=os.dup(taken.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER, a name the module lacks


def says(*lines: object, then: Answer | None = None) -> Answer:
    async def say(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for line in lines:
            await answer.write((line if isinstance(line, bytes) else orjson.dumps(line)) + b"\n")
        if then is not None:
            await asyncio.Event().wait()
        return answer

    return say


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(watching, "FIRST_DELAY", 0.0)
    return Server()


@pytest.fixture
async def client(server: Server, tmp_path: Path) -> AsyncIterator[ApiClient]:
    app = web.Application()
    app.router.add_get(PATH, server.answer)
    app.router.add_delete("/api/v1/namespaces/prod/configmaps/a", server.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_bytes(orjson.dumps(config))
    async with await connect(str(tmp_path / "kubeconfig"), user_agent="test") as opened:
        yield opened
    await runner.cleanup()


async def items(client: ApiClient, count: int) -> list[WatchItem]:
    found: list[WatchItem] = []
    async with asyncio.timeout(30):
        async for item in watching.watch(client, MAPS):
            found.append(item)
            if len(found) == count:
                break
    return found


def change(version: int, kind: str = "MODIFIED") -> dict[str, object]:
    return {"type": kind, "object": config_map(version)}


async def test_a_watch_that_falls_silent_is_begun_again_where_it_was(
    client: ApiClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands between may keep the connection alive for a server that is gone; most have nothing to tell."""
    monkeypatch.setattr(watching, "LONGEST_SILENCE", 0.2)
    server.watches = [silence, silence, says(change(9), then=silence)]
    listed, changed = await items(client, 2)
    assert isinstance(listed, Listed)
    assert isinstance(changed, Changed)
    assert (server.lists, server.asked) == (1, ["7", "7", "7"])


async def test_what_breaks_after_a_silence_may_have_been_broken_since_then(
    client: ApiClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LONGEST_SILENCE", 0.2)
    refused = says({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}})
    server.watches = [says(change(9), then=silence), refused, says(change(10)), refused, silence]
    found = await items(client, 6)
    assert [type(item) for item in found] == [Listed, Changed, Broken, Listed, Changed, Broken]
    after_silence, after_a_word = found[2], found[5]
    assert isinstance(after_silence, Broken)
    assert after_silence.silent >= 0.2
    assert after_a_word == Broken("expired", 0.0)


async def test_an_answer_that_never_begins_is_given_up_as_any_other(
    client: ApiClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 0.2)

    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.watches = [never, says(change(9), then=silence)]
    _, broken, changed = await items(client, 3)
    assert broken == Broken("Unanswered")
    assert isinstance(changed, Changed)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a socket throw away what arrives")
async def test_a_peer_that_vanishes_without_a_word_is_noticed_by_its_system_confirming_nothing(
    client: ApiClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No packet of ours is answered any more, nor refused: a node that lost its power, a gateway that forgot us."""
    for name, seconds in (("IDLE_SECONDS", 1), ("PROBE_SECONDS", 1), ("GONE_SECONDS", 2)):
        monkeypatch.setattr(transport, name, seconds)

    async def vanishes(request: web.Request) -> web.StreamResponse:
        answer = await says(change(8))(request)
        assert request.transport is not None
        drop_all(request.transport.get_extra_info("socket"))
        await asyncio.Event().wait()
        return answer

    server.watches = [vanishes, says(change(9), then=silence)]
    _, _, broken, changed = await items(client, 4)
    assert isinstance(broken, Broken)
    assert broken.reason == "unanswered"
    assert broken.silent >= 1
    assert isinstance(changed, Changed)
    assert (server.lists, server.asked) == (1, ["7", "8"])


async def test_connections_are_probed_as_other_clients_of_kubernetes_do(client: ApiClient, server: Server) -> None:
    server.watches = [silence]
    answer = await client.stream(PATH, {"watch": "1", "resourceVersion": "7"})
    assert answer.connection is not None
    assert answer.connection.transport is not None
    options = answer.connection.transport.get_extra_info("socket").getsockopt
    assert options(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    if sys.platform == "linux":
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        assert [options(socket.IPPROTO_TCP, name) for name in names] == [30, 5, 3, 45_000]
    answer.close()


async def test_a_watch_that_ends_goes_on_after_the_last_bookmark(client: ApiClient, server: Server) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "40"}}}
    server.watches = [says(change(9), bookmark), says(change(41), change(42), then=silence)]
    _, first, second = await items(client, 3)
    assert isinstance(first, Changed)
    versions = (
        [one.object["metadata"]["resourceVersion"] for one in second.changes] if isinstance(second, Burst) else []
    )
    assert versions in (["41", "42"], [])
    assert server.asked == ["7", "40"]


async def test_a_quiet_watch_that_goes_on_after_a_break_says_so(client: ApiClient, server: Server) -> None:
    """Nothing was missed: what is not said here would be a gap in the log, hours long, when it breaks for good."""
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "40"}}}
    cut = {"type": "ERROR", "object": {"code": 500, "reason": "InternalError", "message": "etcd leader changed"}}
    server.watches = [says(cut), says(bookmark, then=silence)]
    assert (await items(client, 3))[1:] == [Broken("InternalError"), Burst(())]


@pytest.mark.parametrize("gone", [{"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}, b"{no json"])
async def test_after_what_cannot_be_resumed_it_lists_again(client: ApiClient, server: Server, gone: object) -> None:
    server.watches = [says(change(9), gone), says(then=silence)]
    found = await items(client, 4)
    assert [type(item) for item in found] == [Listed, Changed, Broken, Listed]
    assert found[2] == Broken("expired")
    assert server.lists == 2


async def test_a_delete_is_of_one_object_and_of_no_other_that_bears_its_name_now(
    client: ApiClient, server: Server
) -> None:
    cluster = KubernetesCluster(client)
    assert await cluster.delete(MAPS.resource, "prod", "a", "u1") == {}
    assert server.deleted == [{"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "u1"}}]
    server.refuse = lambda: web.json_response({"reason": "Conflict", "message": "uid"}, status=409)
    with pytest.raises(ApiError) as refused:
        await cluster.delete(MAPS.resource, "prod", "a", "u0")
    assert refused.value.conflict
    server.refuse = lambda: web.json_response({"kind": "Status", "reason": "NotFound", "message": "gone"}, status=404)
    assert await cluster.delete(MAPS.resource, "prod", "a", "u1") is None


async def test_a_write_that_may_not_be_sent_any_more_when_its_turn_comes_is_not(
    client: ApiClient, server: Server
) -> None:
    asked = 0

    def guard() -> float:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise FenceLost("stopped between the decision to send and the sending")
        return 10.0

    client.guard = guard
    with pytest.raises(FenceLost, match="between"):
        await KubernetesCluster(client).delete(MAPS.resource, "prod", "a", "u1")
    asked = -10
    await KubernetesCluster(client).delete(MAPS.resource, "prod", "a", "u2")
    assert server.deleted == [{"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u2"}}]


async def test_an_answer_that_is_no_json_leaves_open_what_became_of_the_request(
    client: ApiClient, server: Server
) -> None:
    server.refuse = lambda: web.Response(text="<html>a proxy's page</html>")
    with pytest.raises(ApiError) as refused:
        await client.request("GET", PATH)
    assert refused.value.outcome_unknown
    assert "the answer is no JSON" in refused.value.message


async def test_whoever_waits_for_a_kind_that_may_not_be_listed_is_told(client: ApiClient, server: Server) -> None:
    taken: list[WatchItem] = []

    async def sink(watched: Watched, item: WatchItem) -> None:
        taken.append(item)

    server.watches = [silence]
    server.refuse = lambda: web.json_response({"reason": "Forbidden", "message": "no", "kind": "Status"}, status=403)
    informers = Informers(lambda watched: watching.watch(client, watched), sink)
    async with asyncio.timeout(30):
        for _ in range(2):
            with pytest.raises(ApiError, match="the controller may not list and watch configmaps"):
                await informers.ensure(MAPS)
        server.refuse = None
        while not any(isinstance(item, Listed) for item in taken):
            await asyncio.sleep(0.01)
        await informers.ensure(MAPS)
    await informers.close()


@pytest.mark.parametrize("error", [ApiError(503, "Unavailable", "not now"), ValueError("a fault of ours")])
async def test_what_a_sink_could_not_take_is_an_interruption(error: Exception) -> None:
    taken: list[WatchItem] = []
    again = asyncio.Event()

    async def sink(watched: Watched, item: WatchItem) -> None:
        if isinstance(item, Changed) and not taken:
            taken.append(item)
            raise error
        if taken:
            taken.append(item)
            again.set()

    async def shown(watched: Watched) -> AsyncIterator[WatchItem]:
        yield Listed((), "1")
        yield Changed("ADDED", {})
        await asyncio.Event().wait()

    informers = Informers(shown, sink)
    await informers.ensure(MAPS)
    async with asyncio.timeout(30):
        while len(taken) < 4:
            await again.wait()
            again.clear()
    await informers.close()
    assert [type(item) for item in taken] == [Changed, Broken, Listed, Changed]


async def test_what_broke_while_this_process_was_stopped_may_have_broken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of a connection is seen when the process goes on; what it missed began when it stopped."""
    clock = [1_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    coming: asyncio.Queue[WatchItem] = asyncio.Queue()
    taken: asyncio.Queue[WatchItem] = asyncio.Queue()

    async def watch(_: Watched) -> AsyncIterator[WatchItem]:
        while True:
            yield await coming.get()

    async def sink(_: Watched, item: WatchItem) -> None:
        taken.put_nowait(item)

    async def said(item: WatchItem, later: float) -> WatchItem:
        clock[0] += later
        coming.put_nowait(item)
        return await taken.get()

    informers = Informers(watch, sink)
    async with asyncio.timeout(30):
        coming.put_nowait(Listed((), "1"))
        await informers.ensure(MAPS)
        assert await taken.get() == Listed((), "1")
        assert await said(Broken("disconnect"), 0.5) == Broken("disconnect", 0.0)
        assert await said(Broken("disconnect"), 120.0) == Broken("disconnect", 120.0)
        assert await said(Broken("Unanswered", 200.0), 2.0) == Broken("Unanswered", 200.0)
        for _ in range(30):
            await said(Broken("disconnect"), 2.0)
        assert await said(Broken("disconnect"), 2.0) == Broken("disconnect", 0.0)
    await informers.close()
