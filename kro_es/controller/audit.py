"""Who it was: the API server's audit events, from its file or its webhook, joined to what was observed."""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

import orjson
import structlog
from aiohttp import web

from kro_es.api import metadata
from kro_es.api.objects import JsonValue
from kro_es.controller.keypair import KeyPair
from kro_es.errors import KroEsError, UserError
from kro_es.events.audit import Attributions, AuditRecord, parse
from kro_es.events.types import Event, NewEvent
from kro_es.schema.plural import plural
from kro_es.settings import Settings

logger = structlog.get_logger(__name__)
_POLL = 0.2
"""Seconds between two looks at the file: there is no portable news of another program's writes."""
_AT_ONCE = 1 << 20
_MOST_BYTES = 64 << 20
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_FORMS = "file:PATH or webhook:[HOST:]PORT"
_Found = TypeVar("_Found")
Append = Callable[[Sequence[NewEvent]], Awaitable[object]]


class Audit:
    """Reads one source until cancelled; what was observed is told by :meth:`committed`, in the loop's thread."""

    def __init__(  # noqa: PLR0913 - what a source is, and what a webhook is told besides
        self,
        source: str,
        *,
        own: str,
        since: int,
        append: Append,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        plain: bool = False,
    ) -> None:
        """``since``: microseconds; older audit events are passed over. ``tls``: what a webhook speaks by.

        Without it a webhook listens where only this machine can speak to it, or anywhere if that is ``plain`` said.
        Raises UserError for a source that is none.
        """
        self._kind, _, self._where = source.partition(":")
        if self._kind not in ("file", "webhook") or not self._where:
            raise UserError(f"{source!r} is no source of audit events: write {_FORMS}")
        if self._kind == "webhook" and not self._where.rpartition(":")[2].isdigit():
            raise UserError(f"{source!r} has no port: write {_FORMS}")
        if self._kind == "webhook" and not token:
            raise UserError("a webhook needs --audit-token-file: whoever may post there can name any user")
        self._host = webhook_host(source)
        if self._kind == "webhook" and tls is None and not plain and self._host not in _LOOPBACK:
            raise UserError(
                f"{source} would take its token over plain HTTP from other machines: name --audit-certificate-file and "
                "--audit-key-file (they are made where there are none), or say --audit-plain-http where TLS is put before it"
            )
        self._since = since
        self._append = append
        self._token = token
        self._tls = tls
        self._attributions = Attributions(_plural, own)
        self._matched: asyncio.Queue[Sequence[NewEvent]] = asyncio.Queue()

    def committed(self, events: Sequence[Event]) -> None:
        self._put(self._attributions.observed(events))

    def _put(self, found: Sequence[NewEvent]) -> None:
        if found:
            self._matched.put_nowait(found)

    async def run(self) -> None:
        """Until cancelled."""
        reading = asyncio.create_task(self._file() if self._kind == "file" else self._webhook())
        writing = asyncio.create_task(self._write())
        try:
            await asyncio.gather(reading, writing)
        finally:
            for task in (reading, writing):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _write(self) -> None:
        while True:
            await self._append(await self._matched.get())

    def _take(self, records: Iterable[AuditRecord | None]) -> None:
        self._put(self._attributions.audited([one for one in records if one is not None and one.at >= self._since]))

    async def _file(self) -> None:
        async for lines in tail(Path(self._where)):
            self._take(_record(line, orjson.loads) for line in lines if line.strip())

    async def _webhook(self) -> None:
        port = int(self._where.rpartition(":")[2])
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post("/", self._posted)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, port, ssl_context=self._tls).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _posted(self, request: web.Request) -> web.Response:
        """An ``EventList``, as the API server posts it."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return web.Response(status=401, text="a bearer token is needed")
        try:
            items = orjson.loads(await request.read())["items"]
        except (ValueError, KeyError, TypeError) as error:
            return web.Response(status=400, text=f"no EventList of audit.k8s.io: {error}")
        if not isinstance(items, list):
            return web.Response(status=400, text="no EventList of audit.k8s.io: its items are no list")
        self._take(_record(item, lambda found: found) for item in items)
        return web.Response(status=200)


def webhook_host(source: str) -> str:
    """Where ``webhook:[HOST:]PORT`` listens; empty for another source."""
    kind, _, where = source.partition(":")
    return (where.rpartition(":")[0].strip("[]") or _LOOPBACK[0]) if kind == "webhook" else ""


def _record(found: _Found, read: Callable[[_Found], JsonValue]) -> AuditRecord | None:
    """One that cannot be read must not keep the others back."""
    try:
        return parse(read(found))
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        logger.warning("an audit event cannot be read", error=f"{type(error).__name__}: {error}")
        return None


async def tail(path: Path) -> AsyncIterator[list[bytes]]:
    """Whole lines from the beginning of the file on, as it grows; after a rotation, those of the new file."""
    reader = _Tail(path)
    try:
        while True:
            lines, more = await asyncio.to_thread(reader.read)
            if lines:
                yield lines
            if not more:
                await asyncio.sleep(_POLL)
    finally:
        reader.close()


class _Tail:
    """The file as far as it was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: BinaryIO | None = None
        self._rest = b""

    def read(self) -> tuple[list[bytes], bool]:
        """The next whole lines, and whether there may be more at once."""
        if self._stream is None:
            if not self._path.exists():
                return [], False
            self._stream, self._rest = self._path.open("rb"), b""
        chunk = self._stream.read(_AT_ONCE)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk and self._rotated():
            self.close()
            return lines, True
        return lines, bool(chunk)

    def _rotated(self) -> bool:
        assert self._stream is not None
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return now.st_ino != os.fstat(self._stream.fileno()).st_ino or now.st_size < self._stream.tell()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _plural(kind: str) -> str:
    return "resourcegraphdefinitions" if kind == metadata.DEFINITION_KIND else plural(kind)


def opened(settings: Settings, source: str, *, own: str, since: int, append: Append, now: int) -> Audit:
    """The source that the settings name. Raises UserError for what they say of a webhook and cannot be."""
    files = settings.audit_certificate_file, settings.audit_key_file
    tls = None
    if all(files):
        host = webhook_host(source)
        # nobody can be told to trust "everywhere"
        name = (os.environ.get("POD_IP") or socket.getfqdn()) if host in ("0.0.0.0", "::") else host  # noqa: S104 compared
        tls = KeyPair(Path(str(files[0])), Path(str(files[1])), name).context(now) if host else None
    elif any(files):
        raise UserError("--audit-certificate-file and --audit-key-file belong together: name both")
    token = read_token(settings.audit_token_file)
    return Audit(source, own=own, since=since, append=append, token=token, tls=tls, plain=settings.audit_plain_http)


def read_token(path: str | None) -> str:
    """Raises UserError when the file cannot be read or is empty."""
    if path is None:
        return ""
    try:
        text = Path(path).read_text().strip()
    except OSError as error:
        raise UserError(f"the token of the audit webhook cannot be read: {error}") from error
    if not text:
        raise UserError(f"the token of the audit webhook is empty: {path}")
    return text


async def guarded(audit: Audit) -> None:
    """What happens to the names of people must not stop the controller."""
    try:
        await audit.run()
    except (OSError, KroEsError) as error:
        logger.error("audit events are not read any more", error=str(error))
