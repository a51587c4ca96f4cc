"""Clear secret values, in memory only: the log has their digests, expressions need the values themselves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from kro_es.api.objects import JsonObject, resource_version, uid
from kro_es.api.sensitive import Path
from kro_es.events.redaction import secret_texts

_VERSIONS = 4
"""Versions kept per object: a pass reads at one log position while newer observations arrive."""


class Vault:
    """Objects with redacted leaves as the API server showed them, by uid and resourceVersion."""

    def __init__(self) -> None:
        self._objects: dict[str, OrderedDict[int, JsonObject]] = {}
        self._texts: dict[str, frozenset[str]] = {}

    def keep(self, obj: JsonObject, paths: Iterable[Path]) -> None:
        versions = self._objects.setdefault(uid(obj), OrderedDict())
        versions[resource_version(obj)] = obj
        while len(versions) > _VERSIONS:
            versions.popitem(last=False)
        self._texts[uid(obj)] = self._texts.get(uid(obj), frozenset()) | secret_texts(obj, paths)

    def clear(self, recorded: JsonObject) -> JsonObject | None:
        """The object behind a recorded, redacted one; None when its values are not known (yet)."""
        versions = self._objects.get(uid(recorded))
        return versions.get(resource_version(recorded)) if versions else None

    def forget(self, obj_uid: str) -> None:
        self._objects.pop(obj_uid, None)
        self._texts.pop(obj_uid, None)

    def holds(self, obj_uid: str) -> bool:
        return obj_uid in self._objects

    @property
    def texts(self) -> frozenset[str]:
        """Every clear text held: what must not get into an error or a log line."""
        return frozenset().union(*self._texts.values())
