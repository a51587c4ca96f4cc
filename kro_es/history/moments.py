"""Places in the log as people name them (a position, a time, "2h ago")."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from kro_es.errors import UserError
from kro_es.history.source import History
from kro_es.history.times import iso

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"((?:\d+\s*[smhdw]\s*)+)(?:ago)?", re.IGNORECASE)
_PART = re.compile(r"(\d+)\s*([smhdw])", re.IGNORECASE)
_FORMS = "a position, a time such as 2026-01-31T12:00:00Z, or an age such as '2h ago'"


def is_moment(text: str) -> bool:
    """Whether the text names a place in the log and nothing else."""
    try:
        return text.isdigit() or text == "now" or _time_of(text, 0) is not None
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
    found = _time_of(text, history.now)
    if found is None:
        raise UserError(f"{text!r} names no moment: write {_FORMS}")
    return found


def _time_of(text: str, now: int) -> int | None:
    if _AGO.fullmatch(text.strip()):
        seconds = sum(int(count) * _UNITS[unit.lower()] for count, unit in _PART.findall(text))
        return now - seconds * 1_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _beginning(history: History) -> str:
    first = history.log.event(1)
    return f"it begins at {iso(first.recorded_at)}" if first else "it is empty"
