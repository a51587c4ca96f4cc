"""What was asked of the API server, by whom, from its own audit log."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AuditRequest:
    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    uri: str
    code: int
    at: str


class AuditLog:
    """Reads the file as it grows; a line that is still being written is left for later."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> int:
        """A place to count from."""
        return self.path.stat().st_size if self.path.exists() else 0

    def requests(self, user: str, since: int = 0) -> list[AuditRequest]:
        """Requests of one user; a watch counts once, when it opens."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as stream:
            stream.seek(since)
            lines = stream.read().split(b"\n")[:-1]
        found = (_request(json.loads(line)) for line in lines if line)
        return [request for request in found if request is not None and request.user == user]


def by_verb(requests: list[AuditRequest]) -> dict[str, int]:
    return dict(Counter(request.verb for request in requests))


def _request(event: dict[str, object]) -> AuditRequest | None:
    stage, verb = event.get("stage"), str(event.get("verb", ""))
    if stage != ("ResponseStarted" if verb == "watch" else "ResponseComplete"):
        return None
    ref = event.get("objectRef") or {}
    status = event.get("responseStatus") or {}
    user = event.get("user") or {}
    assert isinstance(ref, dict)
    assert isinstance(status, dict)
    assert isinstance(user, dict)
    return AuditRequest(
        user.get("username", ""), verb, ref.get("apiGroup", ""), ref.get("resource", ""), ref.get("subresource", ""),
        ref.get("namespace", ""), ref.get("name", ""), str(event.get("requestURI", "")), int(status.get("code", 0)),
        str(event.get("stageTimestamp", "")),
    )  # fmt: skip
