"""Places in the log as people name them (a position, a time, "2h ago")."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from kro_es.errors import UserError
from kro_es.history.source import History
from kro_es.history.times import iso

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNIT = r"(?:s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?|w(?:eeks?)?)"
_AGO = re.compile(rf"((?:\d+\s*{_UNIT}\s*)+)(?:ago)?", re.IGNORECASE)
_PART = re.compile(rf"(\d+)\s*({_UNIT})", re.IGNORECASE)
_FORMS = "a position, a time such as 2026-01-31T12:00:00Z, or an age such as '2h ago'"


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
            raise UserError(f"position {text} is in the future: the log ends at {history.head}")
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


def with_offset(text: str) -> str:
    """A time of this place that says so, for who answers elsewhere; any other text as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo or text.isdigit() else moment.astimezone().isoformat()


def _time_of(text: str, now: int, *, utc: bool) -> int | None:
    """A time without an offset is one of this place, as tables show it, or (``utc``) one of UTC."""
    if _AGO.fullmatch(text.strip()):
        seconds = sum(int(count) * _UNITS[unit[0].lower()] for count, unit in _PART.findall(text))
        return now - seconds * 1_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if utc and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)


def _beginning(history: History) -> str:
    first = history.log.event(1)
    return f"it begins at {iso(first.recorded_at)}" if first else "it is empty"
