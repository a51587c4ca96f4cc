"""How far a rollback is, as the log tells it, until the verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from kro_es.history.plan import Plan
from kro_es.history.revisions import parsed
from kro_es.history.rollback import Written, edits
from kro_es.history.source import History
from kro_es.history.timeline import key
from kro_es.history.whole import Rollback
from kro_es.projections.projection import Row

_POLL = 0.2
_WORST = {"failed": 2, "pending": 1, "done": 0}


@dataclass(frozen=True, slots=True)
class Progress:
    """``verdict`` is empty while it goes on, then done or failed."""

    revision: int
    done: int
    failed: int
    pending: int
    verdict: str = ""
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        number = f"revision {self.revision}: " if self.revision else ""
        return f"{number}{self.done} done, {self.failed} failed, {self.pending} to go"


@dataclass(frozen=True, slots=True)
class _Standing:
    """One instance: failed, pending or done."""

    state: str
    message: str = ""

    def worse(self, other: _Standing) -> _Standing:
        return self if _WORST[self.state] >= _WORST[other.state] else other


_PENDING, _DONE = _Standing("pending"), _Standing("done")


def watched(history: History, rollback: Rollback, written: Written, seconds: float) -> Iterator[Progress]:
    """Every step of the way until the verdict; gives up after ``seconds`` without calling it a failure."""
    deadline, last = time.monotonic() + seconds, None
    while True:
        found = progress(history, rollback, written)
        if found != last:
            yield found
        last = found
        if found.verdict or time.monotonic() > deadline:
            return
        time.sleep(_POLL)


def progress(history: History, rollback: Rollback, written: Written) -> Progress:
    """How it stands now."""
    number, standings = 0, dict[str, _Standing]()
    for step in rollback.steps:
        if step.target.is_definition and step.changes:
            number, refused, standings = _definition(history, step, written.command)
            if refused:
                return Progress(0, 0, 0, 0, "failed", refused)
    for step in rollback.steps:
        if not step.target.is_definition:
            name = f"{step.target.ref.namespace}/{step.target.ref.name}"
            revision, standing = _instance(history, step, written)
            number = number or revision
            standings[name] = standing.worse(standings.get(name, _DONE))
    states = [standing.state for standing in standings.values()]
    failed, pending = states.count("failed"), states.count("pending")
    issues = any(step.target.is_definition and step.changes for step in rollback.steps)
    waiting = pending or (number == 0 and issues)
    verdict = "" if waiting else "failed" if failed else "done"
    texts = tuple(f"{name}: {it.message}" for name, it in standings.items() if it.state == "failed")
    return Progress(number, states.count("done"), failed, pending, verdict, texts)


def _definition(history: History, plan: Plan, command: int) -> tuple[int, tuple[str, ...], dict[str, _Standing]]:
    """Number of the new revision (0 while there is none that is active), why it was refused, and every instance."""
    sql = "SELECT number, state, faults, activated_at FROM p_revisions WHERE definition_uid = ? AND position > ?"
    rows = history.rows(f"{sql} ORDER BY position", (plan.definition_uid, command))
    refused = [row for row in rows if row["state"] == "rejected"]
    issued = [row for row in rows if row["state"] != "rejected"]
    if refused and not issued:
        return 0, tuple(str(fault["message"]) for fault in parsed(refused[-1]["faults"])), {}
    sql = (
        "SELECT namespace, name, state FROM p_instances WHERE definition_uid = ?"
        " AND key NOT IN (SELECT key FROM p_pins) ORDER BY key"
    )
    every = {f"{row['namespace']}/{row['name']}": row for row in history.rows(sql, (plan.definition_uid,))}
    if not issued or not issued[0]["activated_at"]:
        return 0, (), dict.fromkeys(every, _PENDING)
    number = int(str(issued[0]["number"]))
    sql = "SELECT name, namespace, state, message FROM p_rollouts WHERE definition_uid = ? AND number = ?"
    rolled = {f"{row['namespace']}/{row['name']}": row for row in history.rows(sql, (plan.definition_uid, number))}
    return number, (), {name: _rolled(row, rolled.get(name)) for name, row in every.items()}


def _rolled(instance: Row, rollout: Row | None) -> _Standing:
    # nobody waits for one that is being deleted: it follows no revision any more
    if instance["state"] == "DELETING" or (rollout and rollout["state"] == "done"):
        return _DONE
    return _Standing("failed", str(rollout["message"])) if rollout and rollout["state"] == "failed" else _PENDING


def _instance(history: History, plan: Plan, written: Written) -> tuple[int, _Standing]:
    """Settled means: at the generation of the object as our write, or what the cluster made of it, left it."""
    sql = "SELECT uid, generation, resource_version FROM p_objects WHERE key = ?"
    objects = history.rows(sql, (plan.target.ref.key,))
    if not objects:
        return 0, _PENDING if plan.again else _Standing("failed", "it is gone")
    obj = objects[0]
    sql = "SELECT state, message, settled_generation, settled_revision, decided_position, revision FROM p_instances WHERE key = ?"
    rows = history.rows(sql, (obj["uid"],))
    version = written.versions.get(plan.target.ref.key, 0)
    if not rows or int(str(obj["resource_version"])) < version:
        return 0, _PENDING
    row, revision = rows[0], int(str(rows[0]["revision"]))
    if not plan.follows_labels and (later := edits(history, plan.target.stream, "e.resource_version > ?", version)):
        return revision, _Standing("failed", f"{later[-1]} changed it again since")
    sql = "SELECT count(*) AS n FROM p_timeline WHERE instance_uid = ? AND what = 'instance.settled' AND key > ?"
    settled = int(str(history.rows(sql, (obj["uid"], key(written.command)))[0]["n"]))
    if plan.pinning is not None and (
        row["settled_revision"] != plan.pinning.number or int(str(row["decided_position"])) < written.command
    ):
        return revision, _PENDING
    # a hold of what it is already makes no news
    news = plan.changes or plan.again
    if (news and not settled) or row["settled_generation"] != obj["generation"]:
        return revision, _PENDING
    if row["state"] == "ERROR":
        return revision, _Standing("failed", str(row["message"]))
    return revision, _DONE if row["state"] == "ACTIVE" else _PENDING
