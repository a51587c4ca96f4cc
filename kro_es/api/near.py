"""What somebody may have meant who wrote a name that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 3


def meant(written: str, known: Iterable[str]) -> str:
    """``; did you mean a, b?`` for the end of a complaint, or nothing when none is close."""
    found = _nearest(written, known)
    return f"; did you mean {', '.join(found)}?" if found else ""


def near(written: str, known: Iterable[str]) -> str:
    """``did you mean 'a' or 'b'?``, as the expression engine says it, or nothing when none is close."""
    found = _nearest(written, known)
    return f"did you mean {' or '.join(repr(name) for name in found)}?" if found else ""


def hint(written: str, known: Iterable[str]) -> str:
    """The same as a line of its own, below its messages."""
    found = near(written, known)
    return f"\n | {found}" if found else ""


def _nearest(written: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(written, sorted(set(known)), _MOST)
