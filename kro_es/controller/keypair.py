"""A certificate and its key in files: made where there is none, read again when somebody renews them."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from kro_es.errors import UserError

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class KeyPair:
    """``name``: DNS name or address that a certificate is made for where both files are missing."""

    certificate: Path
    key: Path
    name: str
    _context: ssl.SSLContext | None = None
    _read: tuple[int, ...] = field(default_factory=tuple)

    def context(self, now: int) -> ssl.SSLContext:
        """For a server; every connection gets what is in the files by then. ``now``: microseconds since the epoch.

        Raises UserError for files that hold no certificate with its key.
        """
        if not self.certificate.exists() and not self.key.exists():
            self._make(now)
        try:
            self._read = self._versions()
            self._context = self._loaded()
        except (OSError, ValueError) as error:
            # ssl.SSLError is an OSError
            raise UserError(
                f"{self.certificate} and {self.key} are no certificate with its key, in PEM: {error}"
            ) from error
        listening = self._loaded()
        listening.sni_callback = self._newest
        return listening

    def _make(self, now: int) -> None:
        # cryptography takes as long to load as all the rest
        from kro_es.controller.certificate import made  # noqa: PLC0415

        certificate, private = made(self.name, now)
        try:
            for path, text, mode in ((self.key, private, 0o600), (self.certificate, certificate, 0o644)):
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
                    stream.write(text)
        except OSError as error:
            raise UserError(f"no certificate can be made: {error}") from error
        logger.info("a certificate was made: whoever asks here has to trust it", file=str(self.certificate))

    def _newest(self, handshake: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        """What was renewed by halves, or badly, is tried again with the next connection."""
        with suppress(OSError):
            if (found := self._versions()) != self._read:
                try:
                    self._context, self._read = self._loaded(), found
                except (OSError, ValueError) as error:
                    logger.warning("a renewed certificate cannot be used", file=str(self.certificate), error=str(error))
        if self._context is not None:
            handshake.context = self._context

    def _versions(self) -> tuple[int, ...]:
        return tuple(
            number for path in (self.certificate, self.key) for number in (path.stat().st_mtime_ns, path.stat().st_ino)
        )

    def _loaded(self) -> ssl.SSLContext:
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.load_cert_chain(self.certificate, self.key)
        return found
