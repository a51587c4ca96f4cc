"""Digests that make a changed log visible: a leaf per event, a chain over the leaves of every commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from kro_es.api.objects import JsonValue

NO_CHAIN = bytes(32)
"""The chain before the first commit."""


def leaf(header: list[JsonValue], salt: bytes, canonical: bytes) -> bytes:
    """Digest of one event; without the salt nobody can test a guess of the content, yet the leaf stays good."""
    inner = hashlib.sha256(salt + canonical).digest()
    return hashlib.sha256(orjson.dumps(header) + inner).digest()


def chain(before: bytes, first: int, last: int, leaves: Iterable[bytes]) -> bytes:
    """Links one commit to everything committed before it."""
    digest = hashlib.sha256(before + b"%d-%d" % (first, last))
    for item in leaves:
        digest.update(item)
    return digest.digest()


class PrunedDigest:
    """Digest of what was pruned: positions and leaves, in order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, position: int, leaf: bytes) -> None:
        self._digest.update(b"%d:" % position + leaf)

    def hex(self) -> str:
        return self._digest.hexdigest()


def decision_id(stream: str, version: int) -> bytes:
    """Identity of what has no other: a decision is named by its place, never by chance."""
    return hashlib.sha256(f"{stream}\0{version}".encode()).digest()[:16]
