"""Requests to the API server, and the only place where its refusals become our errors."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType

import aiohttp
import orjson
from yaml import YAMLError

from kro_es.api.objects import JsonObject, Resource
from kro_es.cluster.library import Configuration, config
from kro_es.cluster.transport import Body, Transport
from kro_es.errors import ApiError, FenceLost, UserError

REQUEST_SECONDS = 30.0
"""A write that was not answered by then has an unknown outcome."""
RENEWED_SECONDS = 60.0
"""How often the end of credentials that a plugin gave is looked at; they are renewed five minutes before it."""
_NO_YAML = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]|\xef\xbb\xbf|\xef\xbf[\xbe\xbf]")
"""What YAML folds or refuses and JSON takes: DEL, the controls U+0080 to U+009F, line separators, BOM, non-characters."""
_NO_PATH = b"404 page not found"
"""The API server's answer about a path it does not serve."""
_MOST_RETRIES = 5
_LONGEST_RETRY_AFTER = 10.0


def path_of(resource: Resource, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """URL path of a kind, an object or a subresource; ``namespace`` None or empty: all namespaces."""
    gvk = resource.gvk
    root = f"/apis/{gvk.group}/{gvk.version}" if gvk.group else f"/api/{gvk.version}"
    where = f"/namespaces/{namespace}" if resource.namespaced and namespace else ""
    return root + where + "/" + "/".join(part for part in (resource.plural, name, subresource) if part)


async def connect(
    kubeconfig: str | None, context: str | None = None, *, user_agent: str, concurrency: int = 64
) -> ApiClient:
    """A client for a kubeconfig, or for the cluster this process runs in. Raises UserError when neither is usable."""
    found = Configuration()
    renewal: Coroutine[object, object, None] | None = None
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" not in os.environ:
        _refuse_missing(os.environ.get("KUBECONFIG") or config.KUBE_CONFIG_DEFAULT_LOCATION)
    elif kubeconfig is not None:
        _refuse_missing(kubeconfig)
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
        else:
            loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, context=context, client_configuration=found
            )
            if hasattr(loader, "exec_plugin_expiry"):
                renewal = config.refresh_token(loader, found, RENEWED_SECONDS)  # type: ignore[no-untyped-call]
    except (config.ConfigException, YAMLError, TypeError, AttributeError) as error:
        raise UserError(
            f"no usable cluster configuration ({kubeconfig or 'the default kubeconfig'}): {' '.join(str(error).split())}"
        ) from error
    # two thread-pool hops per request for .netrc and proxy variables, measured at 140 microseconds
    found.client_session_kwargs = {"trust_env": False}
    found.connection_pool_maxsize = 0
    return ApiClient(found, user_agent, concurrency, renewal)


def _refuse_missing(paths: str) -> None:
    """The library would complain of a key that is not in the file. Raises UserError when none of them is there."""
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        raise UserError(
            f"no usable cluster configuration: there is no kubeconfig {paths}, name one with --kubeconfig or KUBECONFIG"
        )


class ApiClient:
    """kubernetes.aio for configuration, authentication and TLS; its session with our own bytes for the rest."""

    def __init__(
        self,
        configuration: Configuration,
        user_agent: str,
        concurrency: int,
        renewal: Coroutine[object, object, None] | None = None,
    ) -> None:
        """``renewal`` keeps the configuration's credentials good until the client is closed."""
        self._library = Transport(configuration)
        self._configuration = configuration
        self._base = str(configuration.host).rstrip("/")
        self._user_agent = user_agent
        self._slots = asyncio.Semaphore(concurrency)
        self._renewal = asyncio.create_task(renewal) if renewal is not None else None
        self.guard: Callable[[], float] = lambda: REQUEST_SECONDS
        """Asked before each write, and as it is sent: seconds it may take; raises FenceLost when it must not be sent."""

    async def __aenter__(self) -> ApiClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewal
        await self._library.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        limit: Callable[[], float] | None = None,
    ) -> JsonObject:
        """One request, answered by JSON. Raises ApiError; FenceLost for a write of a former leader.

        ``limit`` is asked for the seconds it may take, and once more as it is sent; for a write that is the guard.

        429 is retried (the server did nothing); a connection that broke is not: the caller knows what that means.
        """
        allowed = limit or (self.guard if method != "GET" else lambda: REQUEST_SECONDS)
        data = None if body is None else encoded(body)
        for attempt in range(_MOST_RETRIES):
            try:
                return await self._once(method, path, query, data, content_type, allowed)
            except ApiError as error:
                if error.status != 429 or attempt == _MOST_RETRIES - 1:
                    raise
                await asyncio.sleep(min(error.retry_after or 1.0, _LONGEST_RETRY_AFTER))
        raise AssertionError("unreachable")

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        data: bytes | None,
        content_type: str,
        allowed: Callable[[], float],
    ) -> JsonObject:
        headers = await self._headers(content_type if data is not None else None)
        try:
            async with (
                self._slots,
                self._session().request(
                    method,
                    self._base + path,
                    params=query,
                    data=None if data is None else Body(data, allowed),
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=allowed()),
                    proxy=self._configuration.proxy,
                    server_hostname=self._configuration.tls_server_name,
                ) as answer,
            ):
                text = await answer.read()
                if answer.status >= 400:
                    raise translated(answer.status, text, answer.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, FenceLost):
                raise error.__cause__ from None
            raise ApiError(0, "Unanswered", f"{method} {path}: {type(error).__name__} {error}".rstrip()) from error
        try:
            found: JsonObject = orjson.loads(text) if text else {}
        except orjson.JSONDecodeError as error:
            # a proxy's page, or an answer that was cut: what became of the request is not known
            raise ApiError(0, "Undecodable", f"{method} {path}: the answer is no JSON: {error}") from error
        return found

    async def stream(
        self, path: str, query: Mapping[str, str], *, silence: float | None = None
    ) -> aiohttp.ClientResponse:
        """An open answer to read lines from; the caller releases it. Raises ApiError.

        ``silence``: seconds without a byte after which reading raises TimeoutError: a peer that went away without a
        word never ends the answer. None: it may be silent for ever. The answer begins as soon as any other does.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS, sock_read=silence)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await self._session().get(
                    self._base + path,
                    params=query,
                    headers=await self._headers(None),
                    timeout=timeout,
                    proxy=self._configuration.proxy,
                    server_hostname=self._configuration.tls_server_name,
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(0, "Unanswered", f"watch {path}: {type(error).__name__} {error}".rstrip()) from error
        if answer.status >= 400:
            try:
                text = await answer.read()
            except (aiohttp.ClientError, TimeoutError):
                # the refusal counts, its words do not
                text = b""
            answer.release()
            raise translated(answer.status, text, answer.headers.get("Retry-After"))
        return answer

    def _session(self) -> aiohttp.ClientSession:
        if self._library.pool_manager is None:
            self._library.pool_manager = self._library._create_pool_manager()
        return self._library.pool_manager

    async def _headers(self, content_type: str | None) -> dict[str, str]:
        headers = {"User-Agent": self._user_agent, "Accept": "application/json"}
        if content_type is not None:
            headers["Content-Type"] = content_type
        token = (await self._configuration.auth_settings()).get("BearerToken")
        if token is not None and token["value"]:
            headers["Authorization"] = token["value"]
        return headers


def encoded(body: JsonObject) -> bytes:
    """JSON that reads the same as YAML: the API server takes an apply for YAML, which ends lines at U+2028 as well."""
    return _NO_YAML.sub(lambda found: f"\\u{ord(found[0].decode()):04x}".encode(), orjson.dumps(body))


def translated(status: int, text: bytes, retry_after: str | None) -> ApiError:
    """The ApiError for a refusal: the Status object's own words where there is one.

    That something is not there is believed of nobody but an API server: what a proxy without one behind it answers
    must not read as a child that is gone, or as a kind that is not served.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    ours = found.get("kind") == "Status" or "reason" in found or text.strip() == _NO_PATH
    if status == HTTPStatus.NOT_FOUND and not ours:
        told = f"HTTP 404 that is not of an API server: {text.decode(errors='replace')[:200].strip() or 'no text'}"
        return ApiError(0, "Undecodable", told)
    message = found.get("message") or _plain(status, text)
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return ApiError(status, found.get("reason") or "", message, retry_after=seconds)


def _plain(status: int, text: bytes) -> str:
    """A refusal that is no Status: a path nobody serves is told in the words every client of Kubernetes has for it."""
    if status == HTTPStatus.NOT_FOUND:
        return "the server could not find the requested resource"
    return text.decode(errors="replace")[:500].strip() or f"HTTP {status}"
