"""As much of an API server as leader election needs: one Lease with its precondition, and writes noted in order."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson


class LeaseServer:
    """On a port of this machine until :meth:`close`."""

    def __init__(self, folder: Path) -> None:
        self.lease: dict[str, Any] | None = None
        self.writes: list[dict[str, Any]] = []
        """Bodies of what was sent to ``/writes``, in the order of arrival."""
        self._version = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_bytes(orjson.dumps(self._config()))

    @property
    def holder(self) -> str:
        with self._lock:
            return "" if self.lease is None else str(self.lease["spec"]["holderIdentity"])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        with self._lock:
            if path == "/writes":
                self.writes.append(body)
                return 200, {}
            if method == "GET":
                return (200, self.lease) if self.lease is not None else (404, {"reason": "NotFound"})
            live = None if self.lease is None else self.lease["metadata"]["resourceVersion"]
            if (method == "POST" and live is not None) or body["metadata"].get("resourceVersion") != live:
                return 409, {"reason": "Conflict" if method == "PUT" else "AlreadyExists"}
            self._version += 1
            self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}
            return 200, self.lease

    def _config(self) -> dict[str, Any]:
        address = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": address}}],
            "users": [{"name": "it", "user": {"token": "none"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = orjson.loads(self.rfile.read(length)) if length else None
                status, found = server.answer(self.command, self.path, body)
                text = orjson.dumps(found)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = _do  # noqa: N815 the names the library asks for

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in the library
                """Nothing: a test says what went wrong."""

        return Handler
