"""Many who ask for the same kind at once cost one question, whatever the answer; what one of them does concerns no other."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import pytest

from kro_es.api.objects import Gvk, JsonObject
from kro_es.cluster import discovery
from kro_es.cluster.client import ApiClient
from kro_es.cluster.discovery import Discovery
from kro_es.errors import ApiError

GVK = Gvk("acme.io", "v1", "Widget")
URL = "/openapi/v3/acme?hash=1"
SERVED: dict[str, JsonObject] = {
    "/apis/acme.io": {"preferredVersion": {"version": "v1"}, "versions": [{"version": "v1"}]},
    "/apis/acme.io/v1": {"resources": [{"name": "widgets", "kind": "Widget", "namespaced": True}]},
    "/openapi/v3": {"paths": {"apis/acme.io/v1": {"serverRelativeURL": URL}}},
    URL: {
        "components": {
            "schemas": {
                "Widget": {"x-kubernetes-group-version-kind": [{"group": "acme.io", "version": "v1", "kind": "Widget"}]}
            }
        }
    },
}


class Server:
    """Answers when it is let; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answering = asyncio.Event()
        self.served = dict(SERVED)
        self.fails = False

    async def request(self, method: str, path: str, **_: Any) -> JsonObject:
        self.asked[path] += 1
        await self.answering.wait()
        if self.fails:
            raise ApiError(503, "ServiceUnavailable", path)
        if path not in self.served:
            raise ApiError(404, "NotFound", path)
        return self.served[path]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def asked(server: Server) -> Discovery:
    return Discovery(cast(ApiClient, server))


async def at_once(server: Server, asked: Discovery, count: int) -> list[Any]:
    async with asyncio.timeout(30):
        waiting = [asyncio.create_task(asked.resource_for_group_kind(GVK.group, GVK.kind)) for _ in range(count)]
        while not server.asked:
            await asyncio.sleep(0)
        server.answering.set()
        return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("gone", [(), ("/apis/acme.io",), ("/apis/acme.io/v1",)], ids=["served", "group", "version"])
async def test_one_question_for_all(server: Server, asked: Discovery, gone: tuple[str, ...]) -> None:
    for path in gone:
        del server.served[path]
    found = await at_once(server, asked, 100)
    assert {one.plural if one else None for one in found} == {None if gone else "widgets"}
    assert set(server.asked.values()) == {1}
    # who comes a moment later asks nobody
    await asked.resource_for_group_kind(GVK.group, GVK.kind)
    assert set(server.asked.values()) == {1}


async def test_a_kind_that_was_not_there_is_found_when_it_comes(
    server: Server, asked: Discovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_MISSED_SECONDS", 0.0)
    group = server.served.pop("/apis/acme.io")
    assert await at_once(server, asked, 2) == [None, None]
    server.served["/apis/acme.io"] = group
    found = await asked.resource_for_group_kind(GVK.group, GVK.kind)
    assert found is not None
    assert found.plural == "widgets"


async def test_all_hear_of_a_refusal_and_the_next_asks_again(server: Server, asked: Discovery) -> None:
    server.fails = True
    assert {type(one) for one in await at_once(server, asked, 3)} == {ApiError}
    server.fails = False
    assert await asked.resource_for_group_kind(GVK.group, GVK.kind) is not None


async def test_one_who_gives_up_takes_the_answer_from_nobody(server: Server, asked: Discovery) -> None:
    first = asyncio.create_task(asked.resource_for_group_kind(GVK.group, GVK.kind))
    second = asyncio.create_task(asked.resource_for_group_kind(GVK.group, GVK.kind))
    async with asyncio.timeout(30):
        while not server.asked:
            await asyncio.sleep(0)
        first.cancel()
        server.answering.set()
        assert await second is not None
    assert first.cancelled()


async def test_a_schema_that_many_definitions_need_is_fetched_once(server: Server, asked: Discovery) -> None:
    server.answering.set()
    async with asyncio.timeout(30):
        found = await asyncio.gather(*(asked.kinds([GVK], {}) for _ in range(20)))
    assert all(GVK in one for one in found)
    assert server.asked[URL] == 1
