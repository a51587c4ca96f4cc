"""Revisions of a definition and how each of them rolled out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.events.types import WriteFailed
from kro_es.history.gaps import notes
from kro_es.history.source import Answer, History, Table
from kro_es.history.targets import RevisionName, definition
from kro_es.history.times import iso, lasted
from kro_es.projections.projection import Row
from kro_es.projections.timeline import WHAT
from kro_es.store.sql import marks
from kro_es.store.views import EDITED, EDITOR, FINISHED, OVER, STARTED

_OF_REVISION = "key > ? AND key < ?"
"""Of rollouts: between the revision's key with a slash behind it and with what comes after a slash."""
_ALL = 2**31


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
        # a refused edit has no number, and what is no rollback goes back to none
        row["revision"], row["rolled_back_to"] = row["revision"] or None, row["rolled_back_to"] or None
        faults = [str(fault["message"]) for fault in parsed(row["faults"]) or ()]
        row["faults"] = faults
        row["reason"] = row["reason"] or "; ".join(faults)
    said = ("pinned",) if any(row["pinned"] for row in rows) else ()
    columns = ("revision", "state", "issued_at", "actor", "actor_source", "rolled_back_to", *said, "reason")
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


@dataclass(frozen=True, slots=True)
class _Progress:
    """How the instances of one revision fare; those that stay pinned elsewhere are counted apart."""

    done: int
    failed: int
    rolling: int
    started: int
    """When the first of those that moved to it began; 0 when none did."""
    finished: int
    """When the last of these settled; 0 while one has not."""
    pinned: int

    @property
    def instances(self) -> int:
        return self.done + self.failed + self.rolling

    @property
    def state(self) -> str:
        if self.failed:
            return "failed"
        return "rolling" if self.rolling else "done" if self.done else "no instances"


def rollouts(history: History, name: str | None = None, limit: int | None = None) -> Answer:
    """One row a revision, oldest first: when it began and ended for its instances, how they fared, who made it and why.

    An instance that is made at a revision others moved to is counted, and moves neither of the two times.
    ``limit``: of the newest revisions.
    """
    found, more = _issued(history, name, limit)
    pins = _Pins(history)
    rows = [_rollout(row, _progress(history, row, pins.of(row))) for row in found]
    since = min((int(str(row["issued_at"])) for row in found), default=0)
    said = ("pinned",) if any(row["pinned"] for row in rows) else ()
    columns = ("revision", "started", "finished", "took", "done", "failed", "pending", *said, "actor", "reason")
    wide = ("revision", "state", "issued", *columns[1:-1], "actor_source", "rolled_back_to", "reason")
    return Answer(rows, columns, wide, (*more, *notes(history, since, history.now if since else 0)))


def _issued(history: History, name: str | None, limit: int | None) -> tuple[Table, tuple[str, ...]]:
    """The newest revisions, oldest first, and what to say when there are more."""
    where, order = "", "issued_at DESC, definition DESC, number DESC"
    values: tuple[str, ...] = ()
    if name is not None:
        where, values, order = " AND definition_uid = ?", (definition(history, name),), "number DESC"
    columns = (
        "key, definition, definition_uid, number, position, issued_at, actor, actor_source, reason, rolled_back_to"
    )
    newest = f"SELECT {columns} FROM p_revisions WHERE number > 0{where} ORDER BY {order} LIMIT ?"  # noqa: S608 our own words
    sql = (
        f"SELECT r.key, r.definition, r.definition_uid, r.number, r.issued_at, {EDITOR}, r.reason, r.rolled_back_to"  # noqa: S608
        f" FROM ({newest}) r {EDITED} ORDER BY r.issued_at, r.definition, r.number"
    )
    rows = history.spelled(sql, (*values, _ALL if limit is None else limit + 1))
    if limit is None or len(rows) <= limit:
        return rows, ()
    return rows[1:], (f"only the newest {limit} revisions are shown: --limit shows more",)


class _Pins:
    """Who is pinned, by definition; asked of the log once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._found: dict[object, dict[str, int]] = {}

    def of(self, row: Row) -> dict[str, int]:
        """By uid, instances of the definition that stay on another revision than this one."""
        uid = row["definition_uid"]
        if uid not in self._found:
            rows = self._history.rows("SELECT key, number FROM p_pins WHERE definition_uid = ?", (uid,))
            self._found[uid] = {str(pin["key"]): int(str(pin["number"])) for pin in rows}
        return {key: number for key, number in self._found[uid].items() if number != row["number"]}


def _progress(history: History, row: Row, pinned: Mapping[str, int]) -> _Progress:
    """Who is pinned elsewhere and got there all the same counts; who began, or would have, is away."""
    bounds = (f"{row['key']}/", f"{row['key']}0")
    there = _pinned_there(history, row, bounds) if pinned else {}
    number = int(str(row["number"]))
    away = [uid for uid, on in pinned.items() if there.get(uid) != "done" and (uid in there or on < number)]
    others = f" AND instance_uid NOT IN ({marks(len(away))})" if away else ""
    sql = (
        "SELECT coalesce(sum(CASE WHEN state = 'done' THEN 1 ELSE 0 END), 0) AS done,"  # noqa: S608 only marks
        " coalesce(sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), 0) AS failed,"
        " coalesce(sum(CASE WHEN state = 'rolling' THEN 1 ELSE 0 END), 0) AS rolling,"
        f" coalesce({STARTED}, 0) AS started, CASE WHEN {OVER} THEN {FINISHED} ELSE 0 END AS finished"
        f" FROM p_rollouts o WHERE {_OF_REVISION}{others}"
    )
    found = history.rows(sql, (*bounds, *away))[0]
    return _Progress(**{name: int(str(value)) for name, value in found.items()}, pinned=len(away))


def _pinned_there(history: History, row: Row, bounds: tuple[str, str]) -> dict[str, str]:
    """State at this revision of those who are pinned to another one, as far as they began to follow it."""
    sql = (
        f"SELECT instance_uid, state FROM p_rollouts WHERE {_OF_REVISION} AND instance_uid IN"  # noqa: S608 our own words
        " (SELECT key FROM p_pins WHERE definition_uid = ? AND number <> ?)"
    )
    found = history.rows(sql, (*bounds, row["definition_uid"], row["number"]))
    return {str(one["instance_uid"]): str(one["state"]) for one in found}


def _rollout(row: Row, progress: _Progress) -> JsonObject:
    started, finished = progress.started, progress.finished
    return {
        "definition": row["definition"],
        "revision": f"{row['definition']}@{row['number']}",
        "state": progress.state,
        "issued": iso(int(str(row["issued_at"]))),
        "started": iso(started) if started else None,
        "finished": iso(finished) if finished else None,
        "seconds": (finished - started) / 1_000_000 if finished else None,
        "took": lasted((finished - started) / 1_000_000) if finished else "",
        "instances": progress.instances,
        "done": progress.done,
        "failed": progress.failed,
        "pending": progress.rolling,
        "pinned": progress.pinned,
        "actor": row["actor"],
        "actor_source": row["actor_source"],
        "rolled_back_to": row["rolled_back_to"] or None,
        "reason": row["reason"],
    }


def stats(history: History, name: str | None = None, limit: int | None = None) -> Answer:
    """By revision: lead time from edit to the last instance ready, failures, retries, drift, time to ready."""
    found, more = _issued(history, name, limit)
    pins = _Pins(history)
    definitions = sorted({str(row["definition_uid"]) for row in found})
    failed = _failed_writes(history, definitions)
    drifts = {uid: _drifts(history, uid) for uid in definitions}
    rows = [
        _figures(history, row, _progress(history, row, pins.of(row)), failed, drifts[str(row["definition_uid"])])
        for row in found
    ]
    columns = ("revision", "instances", "lead_time", "ready_p50", "ready_p99", "failure_rate", "failed_writes")
    since = min((int(str(row["issued_at"])) for row in found), default=0)
    return Answer(rows, columns, (*columns, "drifts"), (*more, *notes(history, since, history.now if since else 0)))


def _figures(
    history: History, row: Row, progress: _Progress, failed: Mapping[tuple[str, str], int], drifts: Mapping[int, int]
) -> JsonObject:
    issued, number, count = int(str(row["issued_at"])), int(str(row["number"])), progress.instances
    sql = f"SELECT started_at, finished_at FROM p_rollouts WHERE {_OF_REVISION} AND finished_at > 0"  # noqa: S608 our own words
    ended = [
        (int(str(one["started_at"])), int(str(one["finished_at"])))
        for one in history.rows(sql, (f"{row['key']}/", f"{row['key']}0"))
    ]
    times = [(finished - max(started, issued)) / 1_000_000 for started, finished in ended]
    lead = (progress.finished - issued) / 1_000_000 if progress.finished else None
    return {
        "revision": f"{row['definition']}@{number}",
        "instances": count,
        "lead_seconds": lead,
        "lead_time": lasted(lead) if lead is not None else "",
        "ready_p50": percentile(times, 50),
        "ready_p99": percentile(times, 99),
        "failure_rate": round(progress.failed / count, 3) if count else None,
        "failed_writes": failed.get((str(row["definition_uid"]), f"rollout/{row['definition']}/{number}"), 0),
        "drifts": drifts.get(number, 0),
    }


def percentile(values: Sequence[float], share: int) -> float | None:
    """Nearest rank: a value that did occur; None of nothing."""
    if not values:
        return None
    if len(values) == 1:
        return values[0]
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)] if share != 50 else statistics.median_low(values)


def _failed_writes(history: History, definitions: Sequence[str]) -> dict[tuple[str, str], int]:
    """By definition and rollout."""
    sql = (
        "SELECT i.definition_uid AS definition_uid, f.rollout AS rollout, sum(f.n) AS n FROM (SELECT correlation AS rollout,"  # noqa: S608
        f" instance_uid, count(*) AS n FROM p_timeline WHERE what = '{WriteFailed.TYPE}' AND {WHAT.rare}"
        " GROUP BY correlation, instance_uid) f JOIN (SELECT DISTINCT definition_uid, instance_uid FROM p_rollouts"
        f" WHERE definition_uid IN ({marks(len(definitions))})) i ON i.instance_uid = f.instance_uid"
        " GROUP BY i.definition_uid, f.rollout"
    )
    rows = history.rows(sql, definitions) if definitions else []
    return {(str(row["definition_uid"]), str(row["rollout"])): int(str(row["n"])) for row in rows}


def _drifts(history: History, definition_uid: str) -> dict[int, int]:
    """Objects that were put back to each revision."""
    sql = "SELECT revision, count(*) AS n FROM p_drift WHERE definition_uid = ? GROUP BY revision"
    return {int(str(row["revision"])): int(str(row["n"])) for row in history.rows(sql, (definition_uid,))}
