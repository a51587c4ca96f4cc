"""Parts of timestamps and durations; time zones are UTC or a fixed offset."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from kro_es.cel.errors import EvaluationError
from kro_es.cel.overloads import Overload, member
from kro_es.cel.types import DURATION, INT, STRING, TIMESTAMP
from kro_es.cel.values import NANOS, Duration, Timestamp

_DURATION_SCALES = {
    "getHours": 3600 * NANOS,
    "getMinutes": 60 * NANOS,
    "getSeconds": NANOS,
    "getMilliseconds": 1_000_000,
}
_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda moment: moment.year,
    "getMonth": lambda moment: moment.month - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
    "getHours": lambda moment: moment.hour,
    "getMinutes": lambda moment: moment.minute,
    "getSeconds": lambda moment: moment.second,
}


def _offset(zone: str) -> timedelta:
    if zone in ("", "UTC"):
        return timedelta()
    sign, digits = (-1, zone[1:]) if zone[:1] == "-" else (1, zone.removeprefix("+"))
    hours, colon, minutes = digits.partition(":")
    if not colon:
        # the database of zones is a file, and its content changes: it has to become an input first
        raise EvaluationError(f"unknown time zone {zone}")
    if not (len(hours) == len(minutes) == 2 and (hours + minutes).isascii() and (hours + minutes).isdigit()):
        raise EvaluationError(f"invalid time zone offset {zone}")
    return sign * timedelta(hours=int(hours), minutes=int(minutes))


def _getter(part: Callable[[datetime], int]) -> Callable[..., int]:
    def get(timestamp: Timestamp, zone: str = "UTC") -> int:
        try:
            return part(timestamp.moment() + _offset(zone))
        except OverflowError:
            raise EvaluationError("timestamp overflow") from None

    return get


def _milliseconds(timestamp: Timestamp, zone: str = "UTC") -> int:
    _offset(zone)
    return timestamp.nanos % NANOS // 1_000_000


def _total(scale: int) -> Callable[[Duration], int]:
    def total(duration: Duration) -> int:
        size = abs(duration.nanos) // scale
        return -size if duration.nanos < 0 else size

    return total


def _timestamp_getters() -> list[Overload]:
    getters: dict[str, Callable[..., int]] = {name: _getter(part) for name, part in _PARTS.items()}
    getters["getMilliseconds"] = _milliseconds
    signatures = ((TIMESTAMP,), (TIMESTAMP, STRING))
    return [member(name, signature, INT, get) for name, get in getters.items() for signature in signatures]


OVERLOADS: tuple[Overload, ...] = (
    *_timestamp_getters(),
    *(member(name, (DURATION,), INT, _total(scale)) for name, scale in _DURATION_SCALES.items()),
)
