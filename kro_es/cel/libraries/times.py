"""Parts of timestamps, in any time zone, and of durations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from kro_es.cel.libraries.zones import zone as named_zone
from kro_es.cel.overloads import Overload, member
from kro_es.cel.types import DURATION, INT, STRING, TIMESTAMP
from kro_es.cel.values import NANOS, Duration, Timestamp

_DURATION_SCALES = {
    "getHours": 3600 * NANOS,
    "getMinutes": 60 * NANOS,
    "getSeconds": NANOS,
    "getMilliseconds": 1_000_000,
}
_CYCLE = 400


def _year(moment: datetime) -> int:
    return moment.year


_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": _year,
    "getMonth": lambda moment: moment.month - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
    "getHours": lambda moment: moment.hour,
    "getMinutes": lambda moment: moment.minute,
    "getSeconds": lambda moment: moment.second,
}


def _getter(part: Callable[[datetime], int]) -> Callable[..., int]:
    def get(timestamp: Timestamp, zone: str = "UTC") -> int:
        moment, where = timestamp.moment(), named_zone(zone)
        try:
            return part(moment.astimezone(where))
        except OverflowError:
            # in that zone it is year 0 or 10000, which Python does not have: the calendar repeats after 400 years
            shift = _CYCLE if moment.year == 1 else -_CYCLE
            return part(moment.replace(year=moment.year + shift).astimezone(where)) - (shift if part is _year else 0)

    return get


def _milliseconds(timestamp: Timestamp, zone: str = "UTC") -> int:
    named_zone(zone)
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
