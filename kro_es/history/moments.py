"""Places in the log as people name them (a position, a time, "2h ago")."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from kro_es.errors import UserError
from kro_es.history.source import History
from kro_es.history.times import iso

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNIT = r"(?:s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?|w(?:eeks?)?)"
_AGO = re.compile(rf"((?:\d+\s*{_UNIT}\s*)+)(?:ago)?", re.IGNORECASE)
_PART = re.compile(rf"(\d+)\s*({_UNIT})", re.IGNORECASE)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?")
_ZONE = re.compile(r"\s+(?:(UTC|GMT|Z)|([+-]\d\d:?\d\d))\Z", re.IGNORECASE)
_UNIX = re.compile(r"@(\d+(?:\.\d+)?)")
_FORMS = "a position, a time such as 2026-01-31T12:00:00Z, 12:00 or @1769860800, or an age such as '2h ago'"
_DAY = timedelta(days=1)
_LARGE = 1_000_000_000
"""A number this large was meant as a time."""


def is_moment(text: str) -> bool:
    """Whether the text names a place in the log and nothing else."""
    try:
        return text.isdigit() or text == "now" or _time_of(text, 0, utc=True) is not None
    except UserError:
        return False


def position_of(history: History, text: str) -> int:
    """The last position at or before what the text names. Raises UserError outside of the log, with its bounds."""
    if text == "now":
        return history.head
    if text.isdigit():
        if int(text) > history.head:
            unix = f"; a Unix time is written @{text}" if int(text) >= _LARGE else ""
            raise UserError(f"position {text} is in the future: the log ends at {history.head}{unix}")
        if int(text) == 0:
            raise UserError("position 0 is before the log began: its first event is at 1")
        return int(text)
    time = time_of(history, text)
    if time > history.now:
        raise UserError(f"{text!r} is in the future: it is {iso(history.now)}")
    found = history.log.position_at(time)
    if not found:
        raise UserError(f"{text!r} is before the log began: {_beginning(history)}")
    return found


def time_of(history: History, text: str) -> int:
    """Microseconds since the epoch; of a position, the time it was recorded. Raises UserError."""
    if text == "now":
        return history.now
    if text.isdigit():
        event = history.log.event(position_of(history, text))
        if event is None:
            raise UserError(f"event {text} cannot be read here: name a time instead")
        return event.recorded_at
    found = _time_of(text, history.now, utc=history.utc)
    if found is None:
        raise UserError(f"{text!r} names no moment: write {_FORMS}")
    return found


def with_offset(text: str, now: int) -> str:
    """A time of this place that says so, for who answers elsewhere; any other text as it is."""
    if text.isdigit():
        return text
    moment = _written(text, datetime.fromtimestamp(now / 1_000_000, UTC).astimezone().replace(tzinfo=None))
    return text if moment is None or moment.tzinfo else moment.astimezone().isoformat()


def _time_of(text: str, now: int, *, utc: bool) -> int | None:
    """A time without an offset is one of this place, as tables show it, or (``utc``) one of UTC; seconds after ``@``."""
    if unix := _UNIX.fullmatch(text.strip()):
        return int(float(unix[1]) * 1_000_000)
    if _AGO.fullmatch(text.strip()):
        seconds = sum(int(count) * _UNITS[unit[0].lower()] for count, unit in _PART.findall(text))
        return now - seconds * 1_000_000
    moment = _written(text, datetime.fromtimestamp(now / 1_000_000, UTC if utc else None))
    if moment is None:
        return None
    if utc and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)


def _written(text: str, today: datetime) -> datetime | None:
    """As RFC 3339, as git and journals write it (with a blank before the zone), or the last time a clock showed it."""
    joined = _ZONE.sub(lambda found: found[2] or "Z", text.strip())
    if _CLOCK.fullmatch(joined):
        hour, minute, *second = map(int, joined.split(":"))
        moment = today.replace(hour=hour, minute=minute, second=second[0] if second else 0, microsecond=0)
        return moment if moment <= today else moment - _DAY
    try:
        return datetime.fromisoformat(joined)
    except ValueError:
        return None


def _beginning(history: History) -> str:
    first = history.log.event(1)
    return f"it begins at {iso(first.recorded_at)}" if first else "it is empty"
