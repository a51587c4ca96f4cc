"""Times nobody watched: every answer that spans one says so."""

from __future__ import annotations

from collections.abc import Set

from kro_es.events.types import LogPruned
from kro_es.history.source import Answer, History
from kro_es.history.times import iso, lasted

_SPAN = (
    "SELECT kind, selector, since, until, reason, position FROM p_gaps WHERE since < ? AND until > ? ORDER BY position"
)
_NAMED = 4


def notes(history: History, since: int, until: int, kinds: Set[str] | None = None) -> tuple[str, ...]:
    """What an answer about the span between two times (microseconds) and these kinds (``group/Kind``) lacks.

    One sentence for all gaps in the watching, one when part of what was seen was pruned.
    """
    found = [
        row for row in history.rows(_SPAN, (until, since)) if kinds is None or str(row["kind"]) in kinds
    ] if until else []  # fmt: skip
    pruned = _pruned(history, since) if until else ()
    if not found:
        return pruned
    spans: dict[tuple[int, int], list[str]] = {}
    for row in found:
        spans.setdefault((int(str(row["since"])), int(str(row["until"]))), []).append(str(row["kind"]).strip("/"))
    texts = [f"{', '.join(names)} from {iso(start)} to {iso(end)}" for (start, end), names in spans.items()]
    more = f" and {len(texts) - _NAMED} more (kro-history gaps)" if len(texts) > _NAMED else ""
    return (
        f"nobody watched {'; '.join(texts[-_NAMED:])}{more}: what changed then was seen late or not at all",
        *pruned,
    )


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
            "until": iso(int(str(row["until"]))),
            "seconds": (int(str(row["until"])) - int(str(row["since"]))) / 1_000_000,
            "lasted": lasted((int(str(row["until"])) - int(str(row["since"]))) / 1_000_000),
            "reason": row["reason"],
            "position": row["position"],
        }
        for row in history.rows(_SPAN, (until, since))
    ]
    columns = ("kind", "since", "until", "lasted", "reason", "position")
    return Answer(rows, columns, (*columns[:1], "selector", *columns[1:]))
