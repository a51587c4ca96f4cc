"""Times nobody watched: every answer that spans one says so."""

from __future__ import annotations

from collections.abc import Iterable, Set

from kro_es.events.types import LogPruned
from kro_es.history.source import Answer, History
from kro_es.history.times import iso, lasted
from kro_es.projections.projection import Row
from kro_es.store.views import GAPS

_SPAN = (
    f"SELECT kind, selector, since, until, reason, position FROM {GAPS} g WHERE since < ?"  # noqa: S608 our own words
    " AND (until > ? OR until = 0) ORDER BY position"
)
_NAMED = 4
_SILENCE = 60_000_000
"""Microseconds without a sign of life after which a controller counts as gone: six of its beats, or two clocks that differ."""


def notes(history: History, since: int, until: int, kinds: Set[str] | None = None) -> tuple[str, ...]:
    """What an answer about the span between two times (microseconds) and these kinds (``group/Kind``) lacks.

    One sentence for all gaps in the watching, one when part of what was seen was pruned.
    """
    if not until:
        return ()
    found = [row for row in history.rows(_SPAN, (until, since)) if kinds is None or str(row["kind"]) in kinds]
    over = [row for row in found if row["until"]]
    lost = [row for row in found if not row["until"]]
    return (
        *_told("nobody watched", over, "what changed then was seen late or not at all"),
        *_told("nobody watches", lost, "what changes is not seen yet"),
        *_silence(history, until),
        *_pruned(history, since),
    )


def _told(nobody: str, found: Iterable[Row], consequence: str) -> tuple[str, ...]:
    spans: dict[str, list[str]] = {}
    for row in found:
        until = f" to {iso(int(str(row['until'])))}" if row["until"] else ""
        span = f"from {iso(int(str(row['since'])))}{until}"
        spans.setdefault(span, []).append(str(row["kind"]).strip("/"))
    texts = [f"{', '.join(names)} {span}" for span, names in spans.items()]
    more = f" and {len(texts) - _NAMED} more (kro-history gaps)" if len(texts) > _NAMED else ""
    return (f"{nobody} {'; '.join(texts[-_NAMED:])}{more}: {consequence}",) if texts else ()


def _silence(history: History, until: int) -> tuple[str, ...]:
    """A gap is recorded by the controller that ends it: while none runs, only its last sign of life tells."""
    alive = int(str(history.rows("SELECT at FROM heartbeat")[0]["at"]))
    if not alive or until - alive < _SILENCE:
        return ()
    return (f"no controller has written to this log since {iso(alive)}: what changed since is not in it",)


def _pruned(history: History, since: int) -> tuple[str, ...]:
    found = history.rows("SELECT pruned_by FROM pruned ORDER BY position DESC LIMIT 1")
    event = history.log.event(int(str(found[0]["pruned_by"]))) if found else None
    if event is None or not isinstance(event.body, LogPruned) or since >= event.body.before:
        return ()
    horizon = iso(event.body.before)
    return (f"changes of a status alone before {horizon} were pruned: moments before show the last state that is kept",)


def gaps(history: History, since: int, until: int) -> Answer:
    rows = [
        {
            "kind": str(row["kind"]).strip("/"),
            "selector": row["selector"],
            "since": iso(int(str(row["since"]))),
            "until": iso(int(str(row["until"]))) if row["until"] else None,
            "seconds": (int(str(row["until"])) - int(str(row["since"]))) / 1_000_000 if row["until"] else None,
            "lasted": lasted((int(str(row["until"] or history.now)) - int(str(row["since"]))) / 1_000_000),
            "reason": row["reason"],
            "position": row["position"],
        }
        for row in history.rows(_SPAN, (until, since))
    ]
    columns = ("kind", "since", "until", "lasted", "reason", "position")
    return Answer(rows, columns, (*columns[:1], "selector", *columns[1:]))
