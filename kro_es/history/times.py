"""Times as machines and as people read them; light to load."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(micros: int) -> str:
    """RFC 3339, UTC, milliseconds: what the views and every machine-readable answer hold."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def lasted(seconds: float) -> str:
    """A duration in two units at most: 40ms, 4.2s, 34s, 6m, 2h5m, 3d4h."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for size, unit, below, lower in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size}{unit}" + (f"{rest}{lower}" if rest else "")
    return f"{whole}s"
