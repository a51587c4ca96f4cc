"""Kubernetes Events about definitions: one for each change, for who asks kubectl; the log does not depend on them."""

from __future__ import annotations

import hashlib
from typing import Literal

import structlog

from kro_es.api import metadata
from kro_es.api.conditions import rfc3339
from kro_es.api.objects import JsonObject
from kro_es.controller.world import World
from kro_es.decisions.notices import EVENTS
from kro_es.errors import ApiError

logger = structlog.get_logger(__name__)
_NAMESPACE = "default"
"""Where Events of objects without a namespace go."""
_MOST_TEXT = 1024
"""The API server refuses longer messages."""


class Announcements:
    """An Event that cannot be written is a line in the program's log and stops nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def say(self, obj: JsonObject, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """``obj`` is a definition; call it where the change is recorded, so that it is said once."""
        body = _event(obj, kind, reason, message, self._world.clock())
        try:
            await self._world.cluster.create(EVENTS, body, metadata.CONTROLLER_MANAGER)
        except ApiError as error:
            logger.warning("an Event was not written", definition=obj["metadata"]["name"], error=error.message)


def _event(obj: JsonObject, kind: str, reason: str, message: str, now: int) -> JsonObject:
    meta = obj["metadata"]
    mark = hashlib.sha256(f"{meta['uid']}/{reason}/{now}".encode()).hexdigest()[:16]
    text = (
        message
        if len(message.encode()) <= _MOST_TEXT
        else message.encode()[: _MOST_TEXT - 4].decode("utf-8", "ignore") + " ..."
    )
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name'][:200]}.{mark}", "namespace": _NAMESPACE},
        "involvedObject": {
            "apiVersion": metadata.DEFINITION_API_VERSION,
            "kind": metadata.DEFINITION_KIND,
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta.get("resourceVersion", ""),
        },
        "type": kind,
        "reason": reason,
        "message": text,
        "source": {"component": metadata.CONTROLLER_MANAGER},
        "reportingComponent": metadata.CONTROLLER_MANAGER,
        "reportingInstance": "",
        "count": 1,
        "firstTimestamp": rfc3339(now),
        "lastTimestamp": rfc3339(now),
    }
