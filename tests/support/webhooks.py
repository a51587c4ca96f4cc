"""Admission and conversion webhooks as an HTTPS server of the test, with a certificate authority of its own."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Object = dict[str, Any]
_DAY = datetime.timedelta(days=1)


class Webhooks:
    """``with Webhooks(folder, mutate, convert) as hooks``: ``hooks.client("mutate")`` is a ``clientConfig``.

    ``mutate`` changes an object in place; ``convert`` returns an object in another version of its API.
    """

    def __init__(
        self, directory: Path, mutate: Callable[[Object], None], convert: Callable[[Object, str], Object]
    ) -> None:
        self._directory = directory
        self._mutate = mutate
        self._convert = convert
        self.seen = 0
        """Objects that ``mutate`` got."""

    def __enter__(self) -> Webhooks:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(key)
        chain = self._directory / "webhooks.pem"
        private = serialization.PrivateFormat.PKCS8
        pem = serialization.Encoding.PEM
        text = certificate.public_bytes(pem)
        chain.write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()) + text)
        self._authority = base64.b64encode(text).decode()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def client(self, path: str) -> Object:
        return {"url": f"https://127.0.0.1:{self._server.server_address[1]}/{path}", "caBundle": self._authority}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                review["response"] = {"uid": review["request"]["uid"], **answer(self.path, review["request"])}
                body = json.dumps(review).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing: a test's output is its own."""

        return Handler

    def _answer(self, path: str, request: Object) -> Object:
        if path.startswith("/convert"):
            wanted = request["desiredAPIVersion"]
            found = [self._convert(obj, wanted) for obj in request["objects"]]
            return {"result": {"status": "Success"}, "convertedObjects": found}
        self.seen += 1
        obj = request["object"]
        self._mutate(obj)
        patch = [{"op": "replace", "path": "", "value": obj}]
        return {
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Self-signed: its own authority."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhooks")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
