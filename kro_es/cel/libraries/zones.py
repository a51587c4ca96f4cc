"""Time zones: offsets, and names from the pinned tzdata package, never from the machine's own files."""

from __future__ import annotations

from datetime import timedelta, timezone, tzinfo
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from kro_es.cel.errors import EvaluationError

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/")


@lru_cache(maxsize=256)
def zone(text: str) -> tzinfo:
    """The zone ``Europe/Paris`` or ``-05:30`` names; the empty text is UTC. Raises EvaluationError for others."""
    if text in ("", "UTC"):
        return timezone(timedelta())
    if ":" in text:
        return timezone(_offset(text))
    found = _named(text)
    if found is None:
        raise EvaluationError(f"unknown time zone {text}")
    return found


def _named(name: str) -> tzinfo | None:
    parts = name.split("/")
    if not set(name) <= _NAME or not all(parts) or not name[0].isalpha():
        return None
    entry = files("tzdata").joinpath("zoneinfo", *parts)
    if not entry.is_file():
        return None
    with entry.open("rb") as data:
        try:
            return ZoneInfo.from_file(data, key=name)
        except ValueError:
            return None


def _offset(text: str) -> timedelta:
    sign, digits = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    hours, _, minutes = digits.partition(":")
    if not (len(hours) == len(minutes) == 2 and (hours + minutes).isascii() and (hours + minutes).isdigit()):
        raise EvaluationError(f"invalid time zone offset {text}")
    if int(hours) > 23 or int(minutes) > 59:
        raise EvaluationError(f"invalid time zone offset {text}")
    return sign * timedelta(hours=int(hours), minutes=int(minutes))
