"""What somebody may have meant who wrote a name that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def near(written: str, known: Iterable[str]) -> str:
    """``did you mean 'a' or 'b'?``, or nothing when none is close."""
    found = get_close_matches(written, sorted(known), n=3)
    return f"did you mean {' or '.join(repr(name) for name in found)}?" if found else ""


def hint(written: str, known: Iterable[str]) -> str:
    """The same as a line of its own, as the expression engine writes it below its messages."""
    found = near(written, known)
    return f"\n | {found}" if found else ""
