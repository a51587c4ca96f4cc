"""kro's own functions: values that look random but follow from their seed alone, merging of maps, leaving out."""

from __future__ import annotations

import hashlib

from kro_es.cel.errors import EvaluationError, NoSuchOverload
from kro_es.cel.omit import OMIT
from kro_es.cel.overloads import K, Overload, V, function, member
from kro_es.cel.types import DYN, INT, STRING, MapType
from kro_es.cel.values import CelValue, checked_size

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_PERIOD = 8
"""A SHA-256 digest holds eight words of four bytes, and kro starts over after the last."""


def _seeded_string(length: int, seed: str) -> str:
    if length <= 0:
        raise EvaluationError("random.seededString length must be positive")
    checked_size(length)
    digest = hashlib.sha256(seed.encode()).digest()
    words = (int.from_bytes(digest[4 * place : 4 * place + 4], "big") for place in range(_PERIOD))
    period = "".join(_ALPHABET[word % len(_ALPHABET)] for word in words)
    return (period * (length // _PERIOD + 1))[:length]


def _seeded_int(least: int, end: int, seed: str) -> int:
    if least >= end:
        raise EvaluationError("random.seededInt min must be less than max")
    digest = hashlib.sha256(seed.encode()).digest()
    return least + int.from_bytes(digest[:8], "big") % (end - least)


def _deep_merge(left: CelValue, right: CelValue) -> CelValue:
    if not (isinstance(left, dict) and isinstance(right, dict)):
        raise NoSuchOverload("no such overload")
    if not left or not right:
        return right or left
    merged = dict(left)
    for key, value in right.items():
        both = key in merged and isinstance(merged[key], dict) and isinstance(value, dict)
        merged[key] = _deep_merge(merged[key], value) if both else value
    return merged


_MAP = MapType(K, V)

OVERLOADS: tuple[Overload, ...] = (
    function("random.seededString", (INT, STRING), STRING, _seeded_string),
    function("random.seededInt", (INT, INT, STRING), INT, _seeded_int),
    member("merge", (_MAP, _MAP), _MAP, lambda left, right: {**left, **right}),
    member("deepMerge", (DYN, DYN), DYN, _deep_merge),
    function("omit", (), DYN, lambda: OMIT),
)
