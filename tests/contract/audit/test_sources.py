"""The two sources of audit events: a file that grows and is rotated, and the webhook as the API server posts to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kro_es.controller.audit import Audit, read_token
from kro_es.errors import UserError
from kro_es.events.types import NewEvent
from tests.unit.events.test_audit import AT, audit, seen

TOKEN = "t" * 32


class Running:
    """A source that is read; ``named`` has who did what, as it becomes known."""

    def __init__(self, source: str, since: int = 0) -> None:
        self.named: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.audit = Audit(source, own="kro-es", since=since, append=self._append, token=TOKEN)
        self.task = asyncio.create_task(self.audit.run())

    async def _append(self, events: Sequence[NewEvent]) -> None:
        for event in events:
            self.named.put_nowait((event.actor.name, event.cause))

    async def next(self) -> tuple[str, int]:
        return await asyncio.wait_for(self.named.get(), 20)


@pytest.fixture
async def running() -> AsyncIterator[list[Running]]:
    found: list[Running] = []
    yield found
    for one in found:
        one.task.cancel()
        with suppress(asyncio.CancelledError):
            await one.task


def line(version: int, user: str) -> str:
    return json.dumps(audit(version, auditID=f"a{version}", user={"username": user})) + "\n"


def without_time() -> dict[str, Any]:
    """What one event lacks must not keep those behind it back."""
    return {name: value for name, value in audit(6).items() if name != "stageTimestamp"}


async def test_a_file_is_read_as_it_grows_and_after_its_rotation(running: list[Running], tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    running.append(Running(f"file:{log}"))
    one = running[0]
    one.audit.committed([seen(41, 7), seen(42, 8), seen(43, 9), seen(44, 10)])
    whole = line(7, "dana") + "no json\n" + json.dumps(without_time()) + "\n" + line(8, "erin")
    log.write_text(whole[:-20])
    assert await one.next() == ("dana", 41)
    with log.open("a") as stream:
        stream.write(whole[-20:])
    assert await one.next() == ("erin", 42)
    log.rename(tmp_path / "audit-1.log")
    log.write_text(line(9, "frank"))
    assert await one.next() == ("frank", 43)
    log.write_text(line(10, "g"))
    assert await one.next() == ("g", 44)


async def test_what_is_older_than_the_last_watch_is_passed_over(running: list[Running], tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line(7, "dana") + json.dumps(audit(8, stageTimestamp="2026-03-02T10:00:00.000000Z")) + "\n")
    running.append(Running(f"file:{log}", since=AT + 1_000_000))
    one = running[0]
    one.audit.committed([seen(41, 7), seen(42, 8)])
    assert await one.next() == ("dana", 42)
    assert one.named.empty()


async def test_the_webhook_takes_lists_of_those_who_show_the_token(running: list[Running]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running.append(Running(f"webhook:{port}"))
    one = running[0]
    one.audit.committed([seen(41, 7)])
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [5, without_time(), audit(7)]}
    url, headers = f"http://127.0.0.1:{port}/", {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session:
        for _ in range(200):
            with suppress(aiohttp.ClientConnectionError):
                async with session.post(url, json=body) as answer:
                    assert answer.status == 401
                break
            await asyncio.sleep(0.05)
        assert one.named.empty()
        for bad in (b"[]", b'{"items": 5}', b'{"items": {"a": 1}}', b"no json"):
            async with session.post(url, data=bad, headers=headers) as answer:
                assert answer.status == 400
        async with session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 200
    assert await one.next() == ("dana", 41)


@pytest.mark.parametrize("source", ["audit.log", "file:", "http:80", "webhook:x"])
def test_a_source_that_is_none_is_told_with_what_there_is(source: str) -> None:
    with pytest.raises(UserError, match=r"write file:PATH or webhook:\[HOST:\]PORT"):
        Audit(source, own="", since=0, append=lambda events: asyncio.sleep(0), token=TOKEN)


def test_a_webhook_without_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a webhook needs --audit-token-file"):
        Audit("webhook:8443", own="", since=0, append=lambda events: asyncio.sleep(0))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        read_token(str(tmp_path / "empty"))
    with pytest.raises(UserError, match="cannot be read"):
        read_token(str(tmp_path / "none"))
