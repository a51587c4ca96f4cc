"""One HTML file about a definition in a span of time: nothing in it is loaded from anywhere, nothing in it runs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

from kro_es.api.objects import JsonObject
from kro_es.history import revisions
from kro_es.history.drift import drift
from kro_es.history.gaps import gaps, notes
from kro_es.history.source import History, Table
from kro_es.history.targets import Target
from kro_es.history.times import iso
from kro_es.settings import VERSION

_LEFT, _RIGHT, _ROW, _FOOT = 120, 960, 26, 30
_NARROWEST = 3
_MOST_DRIFT = 200
_STATES = {"done": "done", "failed": "failed", "rolling": "rolling"}


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, microseconds since the epoch."""

    since: int
    until: int

    def x(self, time: int) -> int:
        """Where a time is in the picture."""
        share = (min(max(time, self.since), self.until) - self.since) / max(1, self.until - self.since)
        return _LEFT + round(share * (_RIGHT - _LEFT))


def active_manifest(history: History, target: Target) -> JsonObject | None:
    """The definition as its active revision has it, to be drawn; None when none is active."""
    sql = (
        "SELECT r.* FROM p_definitions d JOIN p_revisions r ON r.definition_uid = d.key AND r.number = d.active"
        " WHERE d.key = ?"
    )
    found = history.rows(sql, (target.uid,))
    if not found:
        return None
    meta = {"name": target.ref.name, "uid": target.uid, "generation": found[0]["generation"]}
    return {"metadata": meta, "spec": revisions.parsed(found[0]["spec"]), "number": found[0]["number"]}


def report(history: History, target: Target, span: Span, picture: str, no_picture: str = "") -> str:
    """``picture``: the graph as SVG text; where it is empty ``no_picture`` says why."""
    name = target.ref.name
    every = revisions.rollouts(history, name).rows
    rolled = [row for row in every if span.since <= _issued(row) <= span.until]
    shown = {row["revision"] for row in rolled}
    figures = [row for row in revisions.stats(history, name).rows if row["revision"] in shown]
    refused = [row for row in revisions.revisions(history, name).rows if row["state"] == "rejected"]
    refused = [row for row in refused if iso(span.since) <= str(row["issued_at"]) <= iso(span.until)]
    start = history.log.position_at(span.since - 1)
    drifted = drift(history, target, start, history.log.position_at(span.until), _MOST_DRIFT).rows
    blind = gaps(history, span.since, span.until).rows
    instances = history.rows("SELECT ready FROM p_instances WHERE definition_uid = ?", (target.uid,))
    active = active_manifest(history, target)
    tiles = (
        ("revisions", len(rolled)), ("rollouts with failures", sum(1 for row in rolled if row["failed"])),
        ("edits refused", len(refused)), ("fields drifted", len(drifted)),
        ("instances ready now", f"{sum(1 for row in instances if row['ready'])} of {len(instances)}"),
    )  # fmt: skip
    return _template().render(
        definition=name,
        since=iso(span.since),
        until=iso(span.until),
        cluster=history.cluster,
        head=history.head,
        notes=notes(history, span.since, span.until),
        tiles=tiles,
        bars=[_bar(span, row, index) for index, row in enumerate(rolled)],
        height=len(rolled) * _ROW + _FOOT,
        blind=[_blind(span, row) for row in blind],
        tables=_tables(history, target, (rolled, figures, refused, drifted, blind)),
        active=active["number"] if active else "none",
        picture=base64.b64encode(picture.encode()).decode(),
        no_picture=no_picture,
        version=VERSION,
    )


def _template() -> Template:
    text = resources.files("kro_es.history").joinpath("report.html.j2").read_text()
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False).from_string(text)


def _issued(row: JsonObject) -> int:
    return _micros(str(row["issued"]))


def _micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def _bar(span: Span, row: JsonObject, index: int) -> JsonObject:
    start = _micros(str(row["started"] or row["issued"]))
    end = _micros(str(row["finished"])) if row["finished"] else span.until if row["state"] == "rolling" else start
    took = f", {row['took']}" if row["took"] else ""
    title = f"{row['revision']}: {row['done']} done, {row['failed']} failed, {row['pending']} pending{took}"
    x = span.x(start)
    return {
        "label": str(row["revision"])[-16:],
        "state": _STATES.get(str(row["state"]), "none"),
        "x": min(x, _RIGHT - _NARROWEST),
        "y": index * _ROW,
        "width": max(_NARROWEST, span.x(end) - x),
        "title": title,
    }


def _blind(span: Span, row: JsonObject) -> JsonObject:
    x = span.x(_micros(str(row["since"])))
    width = max(_NARROWEST, span.x(_micros(str(row["until"]))) - x)
    return {"x": x, "width": width, "title": f"nobody watched {row['kind']} for {row['lasted']}"}


def _tables(history: History, target: Target, found: tuple[Table, ...]) -> list[JsonObject]:
    rolled, figures, refused, drifted, blind = found
    numbers = {str(row["revision"]).rpartition("@")[2] for row in rolled}
    sql = (
        "SELECT number, namespace, name, message FROM p_rollouts WHERE definition_uid = ? AND state = 'failed'"
        " ORDER BY key"
    )
    failed = [row for row in history.rows(sql, (target.uid,)) if str(row["number"]) in numbers]
    rollout = ("revision", "state", "started", "finished", "took", "done", "failed", "pending", "actor", "reason")
    figure = ("revision", "lead_time", "ready_p50", "ready_p99", "failure_rate", "failed_writes", "drifts")
    return [
        _table("", rollout, rolled),
        _table("Lead time and failures", figure, figures),
        _table("Instances that failed", ("number", "namespace", "name", "message"), failed),
        _table("Edits that were refused", ("issued_at", "actor", "reason"), refused),
        _table("Drift", ("time", "object", "path", "wanted", "found", "actor", "healed_after"), drifted),
        _table("Times nobody watched", ("kind", "since", "until", "lasted", "reason"), blind),
    ]


def _table(heading: str, columns: Sequence[str], rows: Table) -> JsonObject:
    cells = [["" if row.get(name) is None else row.get(name) for name in columns] for row in rows]
    return {"heading": heading, "columns": [name.replace("_", " ") for name in columns], "rows": cells}
