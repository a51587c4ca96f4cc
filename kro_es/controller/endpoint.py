"""The log's endpoint behind the API server: who asks is known from there, what they may see is asked there.

It is an aggregated API: the API server authenticates the user, checks that they may ask at all, and hands the question on
over TLS with its own client certificate; nobody else gets as far as a request. Each question is
answered by a process of its own over a session of its own that can only read.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import structlog
from aiohttp import web

from kro_es.api import metadata
from kro_es.cluster.aggregation import Caller, FrontProxy
from kro_es.controller.access import Access, within
from kro_es.errors import ApiError, KroEsError, UserError
from kro_es.store.narrowed import Scope

logger = structlog.get_logger(__name__)
SECONDS = 50.0
"""An answer takes so long at most; the API server itself gives up after sixty."""
FOLLOW_SECONDS = 3600.0
AT_ONCE, WAITING, FOLLOWERS = 2, 16, 16
MOST_BYTES = 256 << 20
_LINE = 64 << 20
_ROOT = f"/apis/{metadata.HISTORY_GROUP}/{metadata.HISTORY_VERSION}"
_LATE = f"no answer within {SECONDS:g} s: narrow the question"
_RETRY, _AGAIN = 5.0, 60.0
_CLOSING_SECONDS = 1.0
"""Whoever follows would keep the controller from ending, and with it the Lease from its successor."""
Register = Callable[[str], Awaitable[FrontProxy]]
"""Tells the cluster where we are and which certificate we bear; the answer is who may speak for users."""


class Endpoint:
    """Serves from ``start`` to ``close``; whoever is asked must not take part in the controller's work."""

    def __init__(self, database: str, access: Access, register: Register, certificate: tuple[str, str]) -> None:
        self._database = database
        self._access = access
        self._register = register
        self._certificate = certificate
        self._proxy: FrontProxy | None = None
        self._context: ssl.SSLContext | None = None
        self._runner: web.AppRunner | None = None
        self._registering: asyncio.Task[None] | None = None
        self._answering = asyncio.Semaphore(AT_ONCE)
        self._asked = 0
        self._followers = 0
        self._ending: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        app = web.Application()
        app.router.add_get(_ROOT, self._discovery)
        app.router.add_get(_ROOT + "/{question}", self._question)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, max_line_size=65_536, shutdown_timeout=_CLOSING_SECONDS
        )
        await self._runner.setup()
        # until it is known who may speak for users this lets nobody in
        first = await asyncio.to_thread(_context, self._certificate, None)
        first.sni_callback = self._newest
        await web.TCPSite(self._runner, host, port, ssl_context=first).start()
        self._registering = asyncio.create_task(self._keep_registered())

    def _newest(self, handshake: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        """An authority that is no longer the cluster's vouches for nobody, also while this goes on listening."""
        if self._context is not None:
            handshake.context = self._context

    async def close(self) -> None:
        if self._registering is not None:
            self._registering.cancel()
            with suppress(asyncio.CancelledError):
                await self._registering
        if self._runner is not None:
            await self._runner.cleanup()
        if self._ending:
            await asyncio.wait(self._ending, timeout=_RETRY)

    async def _keep_registered(self) -> None:
        """The authority of the API server is renewed some day, and manifests are applied anew."""
        said = ""
        while True:
            try:
                proxy = await self._register(self._certificate[0])
                if self._proxy is None or self._proxy.authority != proxy.authority:
                    self._context = await asyncio.to_thread(_context, self._certificate, proxy.authority)
                self._proxy, found = proxy, ""
            except (KroEsError, OSError, ValueError) as error:
                # also an authority that is no certificate: the next one may be
                found = str(error)
            if found and found != said:
                logger.warning("the history cannot be reached through the API server", error=found)
            said = found
            await asyncio.sleep(_RETRY if found else _AGAIN)

    async def _discovery(self, _: web.Request) -> web.Response:
        version = f"{metadata.HISTORY_GROUP}/{metadata.HISTORY_VERSION}"
        return _json({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": []}, 200)

    def _caller(self, request: web.Request) -> Caller | None:
        """Whom the API server speaks for; None for everybody else, whatever their headers say."""
        certificate = request.get_extra_info("peercert")
        if not certificate or self._proxy is None:
            return None
        parts = dict(part for name in certificate.get("subject", ()) for part in name)
        headers: dict[str, tuple[str, ...]] = {}
        for key, value in request.headers.items():
            headers[key.lower()] = (*headers.get(key.lower(), ()), value)
        return self._proxy.caller(parts.get("commonName", ""), headers)

    async def _question(self, request: web.Request) -> web.StreamResponse:
        caller = self._caller(request)
        if caller is None:
            return _refused(401, "Unauthorized", "ask through the API server: it says who you are")
        question = [request.match_info["question"], *request.query.getall("arg", [])]
        follows = question[0] == "log" and request.query.get("watch") in ("true", "1")
        if self._asked >= WAITING or (follows and self._followers >= FOLLOWERS):
            return _refused(429, "TooManyRequests", "too many questions at once; ask again in a moment")
        self._followers += follows
        try:
            return await self._answer(request, caller, question, follows=follows)
        except ApiError as error:
            return _refused(503, "ServiceUnavailable", f"your rights could not be looked up: {error}")
        except KroEsError as error:
            return _refused(400, "BadRequest", str(error))
        except TimeoutError:
            return _refused(504, "Timeout", _LATE)
        finally:
            self._followers -= follows

    async def _answer(
        self, request: web.Request, caller: Caller, question: list[str], *, follows: bool
    ) -> web.StreamResponse:
        """The first page of what is followed is a question like any other; from then on it mostly waits."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + SECONDS
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self._turn())
            async with self._process() as process:
                async with asyncio.timeout_at(deadline):
                    first = await self._begun(process, caller, question)
                if follows:
                    await turn.aclose()
                    deadline = clock() + FOLLOW_SECONDS
                return await _passed_on(request, first, process, deadline)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        self._asked += 1
        try:
            async with self._answering:
                yield
        finally:
            self._asked -= 1

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        starting = asyncio.ensure_future(_start())
        try:
            yield await asyncio.shield(starting)
        finally:
            # whoever asked may go away at any moment, also before the process is there
            ending = asyncio.create_task(_end(starting))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _begun(self, process: asyncio.subprocess.Process, caller: Caller, question: list[str]) -> bytes:
        """The first of the answer, when the process knows what the caller may see."""
        whole = await self._access.whole(caller)
        await _tell(process, {"database": self._database, "question": question, "whole": whole})
        first = await _heard(process)
        scopes = _scopes(first)
        if scopes is None:
            return first
        seen = await self._access.open(caller, within(scopes, question))
        await _tell(process, {"open": [list(one) for one in seen]})
        return await _heard(process)


def _context(certificate: tuple[str, str], authority: str | None) -> ssl.SSLContext:
    """Lets in who shows a certificate of the authority (PEM); without one nobody. Raises OSError."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        # the library reads certificates from files only
        for name, text in zip(("crt", "key"), certificate, strict=True):
            (Path(folder) / name).write_text(text)
        found.load_cert_chain(f"{folder}/crt", f"{folder}/key")
    found.verify_mode = ssl.CERT_REQUIRED
    if authority is not None:
        found.load_verify_locations(cadata=authority)
    return found


async def _start() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kro_es.cli.answering",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE,
    )  # fmt: skip


async def _end(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    process = await starting
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    await process.wait()


async def _tell(process: asyncio.subprocess.Process, what: object) -> None:
    assert process.stdin is not None
    process.stdin.write(orjson.dumps(what) + b"\n")
    # a process that has ended is heard of as an answer without a beginning
    with suppress(ConnectionError):
        await process.stdin.drain()


async def _heard(process: asyncio.subprocess.Process) -> bytes:
    """A line. Raises UserError for one that is longer than any answer may be."""
    assert process.stdout is not None
    try:
        return await process.stdout.readline()
    except ValueError as error:
        raise UserError(f"a line of the answer is larger than {_LINE >> 20} MiB: narrow the question") from error


def _scopes(line: bytes) -> list[Scope] | None:
    found: Any = orjson.loads(line) if line else {}
    return [Scope(*one) for one in found["scopes"]] if "scopes" in found else None


async def _passed_on(
    request: web.Request, first: bytes, process: asyncio.subprocess.Process, deadline: float
) -> web.StreamResponse:
    """What goes wrong from here on is told in the answer: its beginning is on its way."""
    assert process.stdout is not None
    answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await answer.prepare(request)
    size, chunk = 0, first
    try:
        async with asyncio.timeout_at(deadline):
            if not chunk:
                raise UserError("the question could not be answered; the controller's own log says why")
            while chunk:
                size += len(chunk)
                if size > MOST_BYTES:
                    raise UserError(f"the answer is larger than {MOST_BYTES >> 20} MiB: narrow the question")
                await answer.write(chunk)
                chunk = await process.stdout.read(1 << 16)
    except (TimeoutError, UserError) as error:
        told = orjson.dumps({"error": str(error) or _LATE})
        await answer.write(b"\n" + told + b"\n")
    await answer.write_eof()
    return answer


def _json(value: object, status: int) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _refused(status: int, reason: str, message: str) -> web.Response:
    """As the API server words it, so that every client can show it."""
    found = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason}
    return _json({**found, "message": message}, status)
