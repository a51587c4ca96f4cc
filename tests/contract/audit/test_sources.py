"""The two sources of audit events: a file that grows and is rotated, and the webhook as the API server posts to it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import stat
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from cryptography import x509

from kro_es.cluster.client import connect
from kro_es.controller.audit import Audit, opened, read_token
from kro_es.controller.certificate import made
from kro_es.controller.keypair import KeyPair
from kro_es.errors import ApiError, UserError
from kro_es.events.types import NewEvent
from kro_es.settings import Settings
from tests.unit.events.test_audit import AT, audit, seen

TOKEN = "t" * 32


class Running:
    """A source that is read; ``named`` has who did what, as it becomes known."""

    def __init__(self, source: str, since: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.named: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.audit = Audit(source, own="kro-es", since=since, append=self._append, token=TOKEN, tls=tls)
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


BODY = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [5, without_time(), audit(7)]}
SHOWN = {"Authorization": f"Bearer {TOKEN}"}


async def posted(url: str, trusted: Path | None = None, **what: Any) -> int:
    """The status of the answer, as soon as somebody listens there."""
    context = ssl.create_default_context(cafile=trusted) if trusted else True
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.post(url, ssl=context, **what) as answer:
                    return answer.status
            except aiohttp.ClientSSLError:
                raise
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def test_the_webhook_takes_lists_of_those_who_show_the_token(running: list[Running]) -> None:
    port = free_port()
    running.append(Running(f"webhook:{port}"))
    one = running[0]
    one.audit.committed([seen(41, 7)])
    url = f"http://127.0.0.1:{port}/"
    assert await posted(url, json=BODY) == 401
    assert one.named.empty()
    for bad in (b"[]", b'{"items": 5}', b'{"items": {"a": 1}}', b"no json"):
        assert await posted(url, data=bad, headers=SHOWN) == 400
    assert await posted(url, json=BODY, headers=SHOWN) == 200
    assert await one.next() == ("dana", 41)


def key_pair(folder: Path) -> KeyPair:
    return KeyPair(folder / "audit.crt", folder / "audit.key", "127.0.0.1")


def now() -> int:
    return time.time_ns() // 1000


async def test_the_webhook_speaks_tls_with_a_certificate_that_is_made_once(
    running: list[Running], tmp_path: Path
) -> None:
    port, pair = free_port(), key_pair(tmp_path)
    running.append(Running(f"webhook:0.0.0.0:{port}", tls=pair.context(now())))
    one = running[0]
    one.audit.committed([seen(41, 7)])
    url, trusted = f"https://127.0.0.1:{port}/", tmp_path / "trusted.crt"
    shutil.copy(pair.certificate, trusted)
    assert await posted(url, trusted, json=BODY, headers=SHOWN) == 200
    assert await one.next() == ("dana", 41)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await posted(url, json=BODY, headers=SHOWN)
    with pytest.raises(aiohttp.ClientError):
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            await session.post(f"http://127.0.0.1:{port}/", json=BODY, headers=SHOWN)
    assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600
    before = pair.certificate.read_text()
    key_pair(tmp_path).context(now())
    assert pair.certificate.read_text() == before


async def test_the_api_server_is_told_where_to_post_as_the_manifest_says(
    running: list[Running], tmp_path: Path
) -> None:
    """With its address, certificate and token in place, the file leads there."""
    port, pair = free_port(), key_pair(tmp_path)
    running.append(Running(f"webhook:{port}", tls=pair.context(now())))
    manifest = yaml.safe_load((Path(__file__).parents[3] / "deploy" / "audit-webhook.yaml").read_text())
    cluster, user = manifest["clusters"][0]["cluster"], manifest["users"][0]["user"]
    assert cluster["server"].startswith("https://")
    cluster |= {"server": f"https://127.0.0.1:{port}/", "certificate-authority": str(pair.certificate)}
    user["token"] = TOKEN
    (tmp_path / "webhook").write_text(json.dumps(manifest))
    async with await connect(str(tmp_path / "webhook"), user_agent="kube-apiserver") as client, asyncio.timeout(30):
        while True:
            try:
                # what is posted there is accepted without a word
                assert await client.request("POST", "/", body=BODY) == {}
            except ApiError as error:
                if error.status:
                    raise
                await asyncio.sleep(0.05)
            else:
                break


async def test_a_renewed_certificate_is_borne_from_the_next_connection_on(
    running: list[Running], tmp_path: Path
) -> None:
    port, pair = free_port(), key_pair(tmp_path)
    running.append(Running(f"webhook:{port}", tls=pair.context(now())))
    url, first = f"https://127.0.0.1:{port}/", tmp_path / "first.crt"
    shutil.copy(pair.certificate, first)
    assert await posted(url, first, json=BODY, headers=SHOWN) == 200
    pair.certificate.write_text("half of it")
    assert await posted(url, first, json=BODY, headers=SHOWN) == 200
    certificate, key = made("127.0.0.1", now())
    pair.key.write_text(key)
    pair.certificate.write_text(certificate)
    assert await posted(url, pair.certificate, json=BODY, headers=SHOWN) == 200
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await posted(url, first, json=BODY, headers=SHOWN)


def given(tmp_path: Path, source: str, **more: Any) -> Audit:
    (tmp_path / "token").write_text(TOKEN)
    settings = Settings(database="sqlite://", audit_token_file=str(tmp_path / "token"), **more)
    return opened(settings, source, own="", since=0, append=lambda events: asyncio.sleep(0), now=now())


def test_a_token_goes_to_other_machines_over_tls_or_when_told_so(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "[::]", "10.0.0.7", "audit.example"):
        with pytest.raises(UserError, match="over plain HTTP from other machines: name --audit-certificate-file"):
            given(tmp_path, f"webhook:{host}:8443")
        given(tmp_path, f"webhook:{host}:8443", audit_plain_http=True)
    for host in ("127.0.0.1:", "[::1]:", "localhost:", ""):
        given(tmp_path, f"webhook:{host}8443")
    files = {"audit_certificate_file": str(tmp_path / "a.crt"), "audit_key_file": str(tmp_path / "a.key")}
    given(tmp_path, "webhook:audit.example:8443", **files)
    assert "audit.example" in {
        name.value for name in x509.load_pem_x509_certificate((tmp_path / "a.crt").read_bytes()).subject
    }


def test_files_that_are_no_certificate_with_its_key_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.crt").write_text("no certificate")
    files = {"audit_certificate_file": str(tmp_path / "a.crt"), "audit_key_file": str(tmp_path / "a.key")}
    with pytest.raises(UserError, match=r"a\.crt and .*a\.key are no certificate with its key, in PEM"):
        given(tmp_path, "webhook:8443", **files)
    with pytest.raises(UserError, match="belong together: name both"):
        given(tmp_path, "webhook:8443", audit_key_file=str(tmp_path / "a.key"))
    nowhere = {"audit_certificate_file": f"{tmp_path}/no/a.crt", "audit_key_file": f"{tmp_path}/no/a.key"}
    with pytest.raises(UserError, match=r"no certificate can be made: .*no/a.key"):
        given(tmp_path, "webhook:8443", **nowhere)


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
