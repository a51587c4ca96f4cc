"""Secret leaves become keyed digests before anything is written: "changed" stays visible, the value does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.api.sensitive import Glob, Path, reached, stands_for

MARK = "kro-es/redacted"
"""Key of the object that stands where a value was: ``{"kro-es/redacted": <hmac>, "key": <key id>}``."""

SECRET_PATHS: tuple[Path, ...] = (("data",), ("stringData",))
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SHORTEST_SCRUBBED = 4
"""Shorter secret values are not searched for in free text: they would blank out ordinary words."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """The key lives outside the database; ``key_id`` names it without telling it."""

    key: bytes
    key_id: str

    @classmethod
    def of(cls, key: bytes) -> Redactor:
        return cls(key, hashlib.sha256(b"kro-es key id" + key).hexdigest()[:8])

    def leaf(self, value: JsonValue) -> JsonObject:
        """Digest of one value; equal values give equal digests under one key."""
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return {MARK: hmac.new(self.key, text, hashlib.sha256).hexdigest()[:32], "key": self.key_id}

    def redact(self, obj: JsonValue, paths: Iterable[Path]) -> JsonValue:
        """``obj`` with every leaf at or below ``paths`` redacted; parts without such leaves are shared, not copied."""
        for path in paths:
            obj = self._at(obj, path)
        return obj

    def _at(self, value: JsonValue, path: Path) -> JsonValue:
        if not path:
            return self._leaves(value)
        head, rest = path[0], path[1:]
        if isinstance(value, dict) and isinstance(head, Glob) and MARK not in value:
            return {name: self._at(item, rest) if head.matches(name) else item for name, item in value.items()}
        if isinstance(value, dict) and head in value:
            return {**value, head: self._at(value[head], rest)}
        if isinstance(value, list):
            # the API server may reorder or default list items, so a number stands for every item
            return [self._at(item, rest) if stands_for(head, item) else item for item in value]
        return value

    def _leaves(self, value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            return value if MARK in value else {name: self._leaves(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._leaves(item) for item in value]
        return value if value is None else self.leaf(value)


def paths_of(kind: str, group: str, tainted: Iterable[Path] = ()) -> tuple[Path, ...]:
    """The redacted paths of an object: a Secret's values, and what was computed from one."""
    own = SECRET_PATHS if (group, kind) == ("", "Secret") else ()
    found = (*own, *tainted)
    # kubectl keeps a copy of the whole object in this annotation
    return (*found, ("metadata", "annotations", LAST_APPLIED)) if found else ()


def secret_texts(obj: JsonObject, paths: Iterable[Path]) -> frozenset[str]:
    """Every clear text at ``paths``: what must not appear in an error or a log line.

    Of a Secret also what its values are when they are decoded, and of all what they look like when quoted.
    """
    found = {text for path in paths for value in reached(obj, path) for text in _texts(value)}
    if obj.get("kind") == "Secret":
        found |= {text for text in map(_decoded, found) if text}
    # in a line of JSON, and quoted once before
    found |= {_quoted(text) for text in found} | {_quoted(_quoted(text)) for text in found}
    return frozenset(text for text in found if len(text) >= _SHORTEST_SCRUBBED)


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, Mapping):
        # what is redacted already is no clear text
        for item in () if MARK in value else value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def scrub(text: str, secrets: Iterable[str]) -> str:
    """``text`` without any of the secret texts; longer ones first, so no tail of one is left."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[redacted]")
    return text
