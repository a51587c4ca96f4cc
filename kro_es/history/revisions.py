"""Revisions of a definition and how each of them rolled out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import orjson

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.history.gaps import notes
from kro_es.history.source import Answer, History, Table
from kro_es.history.targets import RevisionName, definition
from kro_es.history.times import iso, lasted
from kro_es.projections.projection import Row
from kro_es.store.views import EDITED, EDITOR

_ROLLOUTS = (
    f"SELECT r.definition, r.number, r.issued_at, r.activated_at, {EDITOR}, r.reason, r.rolled_back_to,"  # noqa: S608 our own words
    f" r.definition_uid, o.instance_uid, o.started_at, o.finished_at, o.state FROM p_revisions r {EDITED}"
    " LEFT JOIN p_rollouts o ON o.definition_uid = r.definition_uid AND o.number = r.number WHERE r.number > 0"
)


def parsed(value: object) -> JsonValue:
    """A JSON column as it comes out of plain SQL."""
    return orjson.loads(value) if isinstance(value, str | bytes) else value


def revisions(history: History, name: str) -> Answer:
    """Every revision, refused edits included, oldest first."""
    definition(history, name)
    sql = (
        "SELECT revision, state, issued_at, activated_at, actor, actor_source, reason, rolled_back_to, spec_hash,"
        " position, faults FROM v_revisions WHERE definition = ? ORDER BY position"
    )
    rows = history.rows(sql, (name,))
    sql = (
        "SELECT p.number, count(*) AS n FROM p_pins p JOIN p_definitions d ON d.key = p.definition_uid"
        " WHERE d.definition = ? GROUP BY p.number"
    )
    pinned = {row["number"]: row["n"] for row in history.rows(sql, (name,))}
    for row in rows:
        row["pinned"] = pinned.get(row["revision"], 0)
        row["known_by"] = row.pop("actor_source")
        # a refused edit has no number, and what is no rollback goes back to none
        row["revision"], row["rolled_back_to"] = row["revision"] or None, row["rolled_back_to"] or None
        faults = [str(fault["message"]) for fault in parsed(row["faults"]) or ()]
        row["faults"] = faults
        row["reason"] = row["reason"] or "; ".join(faults)
    said = ("pinned",) if any(row["pinned"] for row in rows) else ()
    columns = ("revision", "state", "issued_at", "actor", "known_by", "rolled_back_to", *said, "reason")
    return Answer(rows, columns, (*columns, "activated_at", "spec_hash", "position"))


def revision(history: History, name: RevisionName) -> Row:
    """The newest definition of that name wins when it was deleted and made again."""
    definition(history, name.definition)
    sql = "SELECT * FROM p_revisions WHERE definition = ? AND number = ? ORDER BY position DESC"
    found = history.rows(sql, (name.definition, name.number))
    if not found:
        numbers = [str(row["revision"]) for row in revisions(history, name.definition).rows if row["revision"]]
        raise UserError(f"{name.definition} has no revision {name.number}; there are {', '.join(numbers)}")
    return {**found[0], "spec": parsed(found[0]["spec"])}


def rollouts(history: History, name: str | None = None) -> Answer:
    """One row a revision: when it began and ended for its instances, how they fared, who made it and why."""
    found = _grouped(history, name)
    rows = [_rollout(rows, _pinned(history, rows[0])) for rows in found]
    since = min((int(str(group[0]["issued_at"])) for group in found), default=0)
    said = ("pinned",) if any(row["pinned"] for row in rows) else ()
    columns = ("revision", "started", "finished", "took", "done", "failed", "pending", *said, "actor", "reason")
    wide = ("revision", "state", "issued", *columns[1:-1], "known_by", "rolled_back_to", "reason")
    return Answer(rows, columns, wide, notes(history, since, history.now if since else 0))


def _grouped(history: History, name: str | None) -> list[Table]:
    if name is None:
        rows = history.spelled(f"{_ROLLOUTS} ORDER BY r.issued_at, r.definition, r.number")
    else:
        uid = definition(history, name)
        rows = history.spelled(f"{_ROLLOUTS} AND r.definition_uid = ? ORDER BY r.number", (uid,))
    groups: dict[tuple[object, object], Table] = {}
    for row in rows:
        groups.setdefault((row["definition_uid"], row["number"]), []).append(row)
    return list(groups.values())


def _pinned(history: History, row: Row) -> dict[object, int]:
    """By uid, instances of the definition that stay on another revision than this one."""
    sql = "SELECT key, number FROM p_pins WHERE definition_uid = ? AND number <> ?"
    found = history.rows(sql, (row["definition_uid"], row["number"]))
    return {pin["key"]: int(str(pin["number"])) for pin in found}


def _rollout(rows: Table, pinned: Mapping[object, int]) -> JsonObject:
    """``rows``: one an instance, or a single one without an instance; of ``pinned`` those that got there count."""
    first = rows[0]
    there = {row["instance_uid"] for row in rows if row["state"] == "done"}
    known = {row["instance_uid"] for row in rows}
    away = {uid for uid, on in pinned.items() if uid not in there and (uid in known or on < int(str(first["number"])))}
    begun = [row for row in rows if row["instance_uid"] and row["instance_uid"] not in away]
    states = [row["state"] for row in begun]
    started = min((int(str(row["started_at"])) for row in begun), default=0)
    ended = [int(str(row["finished_at"])) for row in begun]
    finished = max(ended) if ended and all(ended) else 0
    waiting = states.count("rolling")
    state = "failed" if "failed" in states else "rolling" if waiting else "done" if begun else "no instances"
    return {
        "definition": first["definition"],
        "revision": f"{first['definition']}@{first['number']}",
        "state": state,
        "issued": iso(int(str(first["issued_at"]))),
        "started": iso(started) if started else None,
        "finished": iso(finished) if finished else None,
        "seconds": (finished - started) / 1_000_000 if finished else None,
        "took": lasted((finished - started) / 1_000_000) if finished else "",
        "instances": len(begun),
        "done": states.count("done"),
        "failed": states.count("failed"),
        "pending": waiting,
        "pinned": len(away),
        "actor": first["actor"],
        "known_by": first["actor_source"],
        "rolled_back_to": first["rolled_back_to"] or None,
        "reason": first["reason"],
    }


def stats(history: History, name: str | None = None) -> Answer:
    """By revision: lead time from edit to the last instance ready, failures, retries, drift, time to ready."""
    groups = _grouped(history, name)
    failed = {uid: _failed_writes(history, uid) for uid in {str(group[0]["definition_uid"]) for group in groups}}
    rows = [_figures(history, group, failed) for group in groups]
    columns = ("revision", "instances", "lead_time", "ready_p50", "ready_p99", "failure_rate", "failed_writes")
    since = min((int(str(group[0]["issued_at"])) for group in groups), default=0)
    return Answer(rows, columns, (*columns, "drifts"), notes(history, since, history.now if since else 0))


def _figures(history: History, rows: Table, failed: dict[str, dict[str, int]]) -> JsonObject:
    """``failed``: definition uid and rollout to writes that were refused."""
    first = rows[0]
    shown = _rollout(rows, _pinned(history, first))
    issued = int(str(first["issued_at"]))
    times = [
        (int(str(row["finished_at"])) - max(int(str(row["started_at"])), issued)) / 1_000_000
        for row in rows
        if row["instance_uid"] and row["finished_at"]
    ]
    ended = [int(str(row["finished_at"])) for row in rows if row["finished_at"]]
    lead = (max(ended) - issued) / 1_000_000 if shown["finished"] else None
    count = int(str(shown["instances"]))
    return {
        "revision": shown["revision"],
        "instances": count,
        "lead_seconds": lead,
        "lead_time": lasted(lead) if lead is not None else "",
        "ready_p50": percentile(times, 50),
        "ready_p99": percentile(times, 99),
        "failure_rate": round(int(str(shown["failed"])) / count, 3) if count else None,
        "failed_writes": failed[str(first["definition_uid"])].get(
            f"rollout/{first['definition']}/{first['number']}", 0
        ),
        "drifts": _drifts(history, first),
    }


def percentile(values: Sequence[float], share: int) -> float | None:
    """Nearest rank: a value that did occur; None of nothing."""
    if not values:
        return None
    if len(values) == 1:
        return values[0]
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)] if share != 50 else statistics.median_low(values)


def _failed_writes(history: History, definition_uid: str) -> dict[str, int]:
    """By rollout: every instance's own events are gone through once, whatever the number of revisions."""
    sql = (
        "SELECT t.correlation AS rollout, count(*) AS n FROM (SELECT DISTINCT instance_uid FROM p_rollouts"
        " WHERE definition_uid = ?) o JOIN p_timeline t ON t.instance_uid = o.instance_uid"
        " WHERE t.what = 'write.failed' GROUP BY t.correlation"
    )
    return {str(row["rollout"]): int(str(row["n"])) for row in history.rows(sql, (definition_uid,))}


def _drifts(history: History, row: Row) -> int:
    """Objects that were put back to this revision."""
    sql = "SELECT count(*) AS n FROM p_drift WHERE definition_uid = ? AND revision = ?"
    return int(str(history.rows(sql, (row["definition_uid"], row["number"]))[0]["n"]))
