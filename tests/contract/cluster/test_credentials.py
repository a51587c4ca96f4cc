"""Every way a cluster lets us in: what a kubeconfig or a pod says ends up in the requests that are sent."""

from __future__ import annotations

import base64
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from aiohttp import web

from kro_es.cluster import client as clients
from kro_es.cluster.client import connect
from kro_es.cluster.library import config
from kro_es.controller.certificate import made
from tests.support import frontproxy
from tests.support.operator import free_port


class Seen:
    """Requests as they arrived, by path; what they came with, and as whom."""

    def __init__(self, secure: bool) -> None:
        port = free_port()
        self.url = f"{'https' if secure else 'http'}://127.0.0.1:{port}"
        self.port = port
        self.tokens: list[str] = []
        self.targets: list[str] = []
        self.certificates: list[str] = []
        self.server_names: list[str] = []
        self.shown: dict[str, str] = {"kind": "Status"}

    async def answer(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization", ""))
        self.targets.append(request.raw_path)
        certificate = request.get_extra_info("peercert")
        self.certificates += [item[0][1] for item in certificate["subject"]] if certificate else []
        return web.json_response(self.shown)


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Seen]:
    seen = Seen(context is not None)
    if context is not None:
        context.sni_callback = lambda _socket, name, _context: seen.server_names.append(name or "")
    runner = web.ServerRunner(web.Server(seen.answer))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", seen.port, ssl_context=context).start()
        yield seen
    finally:
        await runner.cleanup()


Write = Callable[..., str]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Write:
    """Path of a kubeconfig for this server and user."""

    def write(server: str, user: dict[str, Any], **cluster: Any) -> str:
        path = tmp_path / "config"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
            "users": [{"name": "u", "user": user}],
        }
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


def plugin(folder: Path, *statuses: dict[str, Any]) -> dict[str, Any]:
    """An exec section whose program gives these one after the other, the last one for ever."""
    program, count = folder / "plugin.py", folder / "count"
    program.write_text(
        f"import json, os, pathlib\n"
        f"path = pathlib.Path({str(count)!r})\n"
        f"number = int(path.read_text()) if path.exists() else 0\n"
        f"path.write_text(str(number + 1))\n"
        f"assert json.loads(os.environ['KUBERNETES_EXEC_INFO'])['kind'] == 'ExecCredential'\n"
        f"statuses = json.loads({json.dumps(json.dumps(statuses))})\n"
        f"status = statuses[min(number, len(statuses) - 1)]\n"
        f"status = {{**status, 'token': status.get('token', '') + os.environ.get('SUFFIX', '')}}\n"
        f"print(json.dumps({{'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': status}}))\n"
    )
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(program)],
            "env": [{"name": "SUFFIX", "value": "!"}],
            "interactiveMode": "Never",
        }
    }


async def sent(path: str | None, seen: Seen) -> str:
    """The Authorization header of one request."""
    async with await connect(path, user_agent="test") as client:
        assert await client.request("GET", "/version") == {"kind": "Status"}
    return seen.tokens[-1]


async def test_a_token_in_the_file_beside_it_and_a_password(kubeconfig: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file")
    async with serving() as seen:
        assert await sent(kubeconfig(seen.url, {"token": "abc"}), seen) == "Bearer abc"
        assert await sent(kubeconfig(seen.url, {"tokenFile": "token"}), seen) == "Bearer from-file"
        basic = base64.b64encode(b"dana:secret").decode()
        assert await sent(kubeconfig(seen.url, {"username": "dana", "password": "secret"}), seen) == f"Basic {basic}"
        assert await sent(kubeconfig(seen.url, {}), seen) == ""


async def test_a_plugin_gives_a_token(kubeconfig: Write, tmp_path: Path) -> None:
    async with serving() as seen:
        assert await sent(kubeconfig(seen.url, plugin(tmp_path, {"token": "minted"})), seen) == "Bearer minted!"


async def test_a_token_of_a_plugin_is_renewed_before_it_ends(
    kubeconfig: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "RENEWED_SECONDS", 0.02)
    short, long = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
    statuses = {"token": "first", "expirationTimestamp": short}, {"token": "second", "expirationTimestamp": long}
    path_of = plugin(tmp_path, *statuses)
    async with serving() as seen, await connect(kubeconfig(seen.url, path_of), user_agent="test") as client:
        while not seen.tokens or seen.tokens[-1] == "Bearer first!":
            await client.request("GET", "/version")
        assert seen.tokens[-1] == "Bearer second!"
    assert (tmp_path / "count").read_text() == "2"


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # how the library asks the provider
async def test_an_identity_provider_is_asked_for_a_new_token_when_the_old_one_ended(kubeconfig: Write) -> None:
    def token(end: int) -> str:
        return f"e30.{base64.b64encode(json.dumps({'exp': end}).encode()).decode().rstrip('=')}.sig"

    def user(issuer: str, end: int) -> dict[str, Any]:
        known = {"client-id": "kro", "client-secret": "s", "refresh-token": "r", "idp-issuer-url": issuer}
        return {"auth-provider": {"name": "oidc", "config": {**known, "id-token": token(end)}}}

    async with serving() as seen, serving() as issuer:
        assert (
            await sent(kubeconfig(seen.url, user(issuer.url, 4_000_000_000)), seen) == f"Bearer {token(4_000_000_000)}"
        )
        assert issuer.targets == []
        issuer.shown = {"token_endpoint": f"{issuer.url}/token", "id_token": "renewed", "refresh_token": "r2"}
        assert await sent(kubeconfig(seen.url, user(issuer.url, 1_000_000_000)), seen) == "Bearer renewed"
        assert issuer.targets == ["/.well-known/openid-configuration", "/token"]


async def test_client_certificates_and_the_servers_name(kubeconfig: Write, tmp_path: Path) -> None:
    frontproxy.write(tmp_path)
    certificate, key = made("apiserver.test", time.time_ns() // 1000)
    (tmp_path / "tls.crt").write_text(certificate)
    (tmp_path / "tls.key").write_text(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "front-proxy-ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    in_files = {"client-certificate": "front-proxy.crt", "client-key": "front-proxy.key"}
    encoded = {
        f"{name}-data": base64.b64encode((tmp_path / file).read_bytes()).decode() for name, file in in_files.items()
    }
    trusted = {"certificate-authority": "tls.crt", "tls-server-name": "apiserver.test"}
    async with serving(context) as seen:
        for user in (in_files, encoded, plugin_certificate(tmp_path)):
            await sent(kubeconfig(seen.url, user, **trusted), seen)
        assert seen.certificates == [frontproxy.NAME] * 3
        assert set(seen.server_names) == {"apiserver.test"}
        await sent(kubeconfig(seen.url, in_files, **{"insecure-skip-tls-verify": True}), seen)


def plugin_certificate(folder: Path) -> dict[str, Any]:
    pem = {
        "clientCertificateData": (folder / "front-proxy.crt").read_text(),
        "clientKeyData": (folder / "front-proxy.key").read_text(),
    }
    found = plugin(folder, pem)
    program = folder / "plugin.py"
    program.write_text(
        program.read_text().replace("'token': status.get('token', '') + os.environ.get('SUFFIX', '')", "")
    )
    return found


async def test_a_proxy_on_the_way(kubeconfig: Write) -> None:
    async with serving() as proxy:
        await sent(kubeconfig("http://apiserver.test:8080", {"token": "abc"}, **{"proxy-url": proxy.url}), proxy)
        assert proxy.targets == ["http://apiserver.test:8080/version"]


async def test_a_pod_reads_the_token_of_its_account_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = made("localhost", time.time_ns() // 1000)
    (tmp_path / "ca.crt").write_text(certificate)
    (tmp_path / "tls.key").write_text(key)
    (tmp_path / "token").write_text("first")
    monkeypatch.setattr(config.incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(config.incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    # it is read again after a minute
    at_once = SimpleNamespace(datetime=datetime, timedelta=lambda minutes: timedelta(0))
    monkeypatch.setattr(config.incluster_config, "datetime", at_once)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "tls.key")
    async with serving(context) as seen:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(seen.port))
        async with await connect(None, user_agent="test") as client:
            await client.request("GET", "/version")
            (tmp_path / "token").write_text("second")
            await client.request("GET", "/version")
        assert seen.tokens == ["bearer first", "bearer second"]
