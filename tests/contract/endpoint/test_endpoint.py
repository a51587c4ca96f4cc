"""The endpoint over TLS: whom it believes, what it does under load, and that nothing of a question stays behind."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil
import pytest

from kro_es.api.objects import Resource
from kro_es.cluster.aggregation import Caller, FrontProxy
from kro_es.controller import endpoint as served
from kro_es.controller.access import Access
from kro_es.controller.certificate import made
from kro_es.controller.endpoint import Endpoint
from kro_es.errors import ApiError
from tests.support import frontproxy
from tests.support.incident import END, write_incident
from tests.support.operator import free_port

DANA = {"X-Remote-User": "dana", "X-Remote-Group": "system:authenticated"}
ROOT = "/apis/history.kro-es.dev/v1alpha1"


class Cluster:
    """One user's rights, and a running endpoint."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = self.trusted = folder
        """Where the certificate of who asks is, and the authority the cluster names."""
        self.database = database
        self.rights: set[tuple[str, str]] = set()
        self.failing = False
        self.port = free_port()
        self.endpoint: Endpoint

    async def may_get(self, caller: Caller, group: str, resource: str, namespace: str) -> bool:
        if self.failing:
            raise ApiError(500, "InternalError", "the webhook authorizer does not answer")
        return caller.name == "dana" and (resource, namespace) in self.rights

    async def located(self, group: str, kind: str) -> Resource | None:
        return None

    async def registered(self, certificate: str) -> FrontProxy:
        authority = (self.trusted / "front-proxy-ca.crt").read_text()
        users, groups = ("x-remote-user",), ("x-remote-group",)
        return FrontProxy(authority, frozenset({frontproxy.NAME}), users, groups, (), ())

    async def ask(
        self, question: str, *args: str, certificate: bool = True, headers: dict[str, str] = DANA, query: str = ""
    ) -> tuple[int, str]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(self.folder / "front-proxy.crt", self.folder / "front-proxy.key")
        given = "&".join([*(f"arg={arg}" for arg in args), *([query] if query else [])])
        url = f"https://127.0.0.1:{self.port}{ROOT}/{question}?{given}"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=context) as answer:
            return answer.status, await answer.text()

    async def known(self) -> None:
        """Returns when the endpoint knows who may speak for users."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.ask("log", headers={})
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)
                else:
                    return

    async def rows(self, question: str, *args: str) -> list[dict[str, Any]]:
        status, text = await self.ask(question, *args)
        assert status == 200, text
        said = [orjson.loads(line) for line in text.splitlines()]
        assert said[-1] == {"exit": 0}, said
        found: list[dict[str, Any]] = next(one["answer"]["rows"] for one in said if "answer" in one)
        return found


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr(served, "_AGAIN", 0.1)
    database = write_incident(f"sqlite:///{tmp_path}/log.db")
    frontproxy.write(tmp_path)
    found = Cluster(tmp_path, database)
    access = Access(found.may_get, found.located, asyncio.get_running_loop().time)
    endpoint = Endpoint(database, access, found.registered, made("localhost", END))
    found.endpoint = endpoint
    await endpoint.start("127.0.0.1", found.port)
    await found.known()
    yield found
    await endpoint.close()
    assert children() == []


def children() -> list[str]:
    found = psutil.Process().children(recursive=True)
    return [" ".join(one.cmdline()) for one in found if "kro_es.cli.answering" in one.cmdline()]


async def test_a_user_is_told_what_they_may_get(cluster: Cluster) -> None:
    cluster.rights = {("webshops", "staging"), ("deployments", "staging")}
    found = await cluster.rows("log")
    assert {(row["object"], row["namespace"]) for row in found} == {
        ("webshop/shop", "staging"), ("deployment/shop", "staging"),
    }  # fmt: skip
    assert '"rows":[]' in (await cluster.ask("log", headers={"X-Remote-User": "eve"}))[1]


async def test_nobody_learns_by_guessing_whether_a_namespace_is_there(cluster: Cluster) -> None:
    """``prod`` is in the log, the other is nowhere; the answers must not differ."""
    cluster.rights = {("webshops", "staging")}
    there, nowhere = [(await cluster.ask("log", "-n", name))[1] for name in ("prod", "prodx")]
    assert there == nowhere.replace("prodx", "prod")
    assert "left out is what you may not get in the cluster" in there


async def test_who_has_no_certificate_gets_no_connection(cluster: Cluster) -> None:
    with pytest.raises(aiohttp.ClientError):
        await cluster.ask("log", certificate=False)


async def test_a_certificate_without_a_user_is_nobody(cluster: Cluster) -> None:
    assert (await cluster.ask("log", headers={}))[0] == 401


async def test_a_certificate_of_another_authority_is_not_let_in(cluster: Cluster, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    frontproxy.write(other)
    cluster.folder = other
    with pytest.raises(aiohttp.ClientError):
        await cluster.ask("log")


async def test_an_authority_the_cluster_has_replaced_vouches_for_nobody(cluster: Cluster, tmp_path: Path) -> None:
    before, after = cluster.folder, tmp_path / "after"
    after.mkdir()
    frontproxy.write(after)
    assert (await cluster.ask("log"))[0] == 200
    cluster.folder = cluster.trusted = after
    await cluster.known()
    assert (await cluster.ask("log"))[0] == 200
    cluster.folder = before
    with pytest.raises(aiohttp.ClientError):
        await cluster.ask("log")


async def test_rights_that_cannot_be_looked_up_open_nothing(cluster: Cluster) -> None:
    cluster.failing = True
    status, text = await cluster.ask("log")
    assert status == 503
    assert "your rights could not be looked up: the webhook authorizer does not answer" in text


async def test_an_answer_that_takes_too_long_is_given_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "SECONDS", 0.0)
    status, text = await cluster.ask("log")
    assert (status, orjson.loads(text)["reason"]) == (504, "Timeout")


async def test_more_questions_than_can_wait_are_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "WAITING", 1)
    found = sorted([status for status, _ in await asyncio.gather(*(cluster.ask("log") for _ in range(3)))])
    assert found[0] == 200
    assert found[-1] == 429


async def test_only_what_is_followed_has_the_time_of_a_follower(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "SECONDS", 0.0)
    assert (await cluster.ask("doctor", "webshop/shop", query="watch=true"))[0] == 504
    assert (await cluster.ask("log", "-f", query="watch=true"))[0] == 504


async def test_an_endpoint_that_closes_does_not_wait_for_followers(cluster: Cluster) -> None:
    cluster.rights = {("wholelog", "")}
    asking = asyncio.create_task(cluster.ask("log", "-f", query="watch=true"))
    while not children():
        await asyncio.sleep(0.02)
    async with asyncio.timeout(served.SECONDS):
        await cluster.endpoint.close()
    await asyncio.gather(asking, return_exceptions=True)


async def test_an_answer_that_is_too_large_is_cut_and_says_so(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.rights = {("wholelog", "")}
    monkeypatch.setattr(served, "MOST_BYTES", 1000)
    status, text = await cluster.ask("log")
    assert status == 200
    assert "the answer is larger than" in orjson.loads(text.splitlines()[-1])["error"]


async def test_whoever_goes_away_is_not_followed_for(cluster: Cluster) -> None:
    cluster.rights = {("wholelog", "")}
    asking = asyncio.create_task(cluster.ask("log", "-f", query="watch=true"))
    while not children():
        await asyncio.sleep(0.02)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    while children():
        await asyncio.sleep(0.02)


async def test_a_mistake_in_the_question_is_told_in_the_answer(cluster: Cluster) -> None:
    _, text = await cluster.ask("rollback", "x")
    assert "is no question that can be asked through the cluster" in text
    _, text = await cluster.ask("log", "--nope")
    assert "No such option: --nope" in text
