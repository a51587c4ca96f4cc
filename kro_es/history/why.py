"""Why is it so: the chain of causes of a field, an object's state or an event, as a tree with what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from kro_es.api.objects import JsonObject
from kro_es.errors import UserError
from kro_es.events import types as e
from kro_es.history.blame import Field, fields
from kro_es.history.causes import Causes, Link
from kro_es.history.changes import spelled
from kro_es.history.gaps import notes
from kro_es.history.positions import stream_last
from kro_es.history.source import History
from kro_es.history.targets import Target
from kro_es.history.times import lasted

_LAST_REVISION = (
    "SELECT max(p) AS p FROM (SELECT max(position) AS p FROM p_revisions WHERE definition_uid = ?"
    " UNION ALL SELECT max(activated_position) FROM p_revisions WHERE definition_uid = ?) newest"
)
_LAST_SETTLED = (
    "SELECT position AS p FROM p_timeline WHERE instance_uid = ? AND what = ? ORDER BY position DESC LIMIT 1"
)
_OUTCOMES = ("resource.", "write.failed", "outcome.", "object.deleted")


@dataclass(frozen=True, slots=True)
class Reason:
    """``chain`` from the first cause to the event asked about; what else each of them led to stands in ``effects``."""

    about: str
    chain: tuple[Link, ...]
    effects: dict[int, tuple[Link, ...]]
    revision: str
    notes: tuple[str, ...]

    def as_json(self) -> JsonObject:
        links = [
            {**link.as_json(), "effects": [one.as_json() for one in self.effects.get(link.position, ())]}
            for link in self.chain
        ]
        return {"about": self.about, "revision": self.revision, "chain": links}

    def lines(self) -> list[tuple[int, Link, str]]:
        """Depth, event, and what to say after it: the tree as it is printed."""
        found = []
        for depth, link in enumerate(self.chain):
            before = self.chain[depth - 1] if depth else None
            later = f"{lasted((link.time - before.time) / 1_000_000)} later" if before else ""
            found.append((depth, link, later))
        for depth in range(len(self.chain) - 1, -1, -1):
            at = self.chain[depth]
            for effect in self.effects.get(at.position, ()):
                found.append((depth + 1, effect, f"{lasted((effect.time - at.time) / 1_000_000)} later"))
        return found


def of_event(history: History, position: int) -> Reason:
    """Raises UserError for a position the log does not have."""
    causes = Causes(history)
    if not causes.knows(position):
        raise UserError(f"there is no event {position}: the log has 1 to {history.head}")
    return _reason(history, causes, position, f"event {position}")


def of_target(history: History, target: Target, path: str = "") -> Reason:
    """Of a field, or of the last thing that happened to the object."""
    causes = Causes(history)
    if path:
        found = max(fields(history, target, path), key=lambda field: field.event.position)
        return _reason(history, causes, found.event.position, _field_text(target, found))
    return _reason(history, causes, _last(history, target), target.name)


def _field_text(target: Target, field: Field) -> str:
    return f"{target.name} {spelled(field.path)} = {field.value!r}"


def _last(history: History, target: Target) -> int:
    if target.is_definition:
        found = history.rows(_LAST_REVISION, (target.uid, target.uid))
    elif target.is_instance:
        found = history.rows(_LAST_SETTLED, (target.uid, e.InstanceSettled.TYPE))
    else:
        found = []
    return int(str(found[0]["p"])) if found and found[0]["p"] else stream_last(history, target.stream)


def _reason(history: History, causes: Causes, position: int, about: str) -> Reason:
    chain = causes.chain(position)
    effects = {
        link.position: _effects(history, causes, link, {one.position for one in chain})
        for link in chain
        if link.what == e.ReconcileDecided.TYPE
    }
    last = chain[-1]
    readiness = _readiness(history, causes, last)
    if readiness:
        effects[last.position] = (*effects.get(last.position, ()), readiness)
    span = (chain[0].time, max(last.time, readiness.time if readiness else 0))
    return Reason(about, chain, effects, causes.revision(chain), notes(history, span[0], span[1] + 1))


def _effects(history: History, causes: Causes, link: Link, on_chain: set[int]) -> tuple[Link, ...]:
    """What became of each write of a decision, without those the chain itself goes through."""
    sql = (
        "SELECT position, what, kind, name FROM p_timeline WHERE instance_uid = ? AND position > ? AND cause = ?"
        " ORDER BY position"
    )
    rows = history.rows(sql, (link.instance_uid, link.position, link.position))
    passed = {(causes.link(position).object) for position in on_chain}
    return tuple(
        causes.link(int(str(row["position"])))
        for row in rows
        if str(row["what"]).startswith(_OUTCOMES) and f"{str(row['kind']).lower()}/{row['name']}" not in passed
    )


def _readiness(history: History, causes: Causes, link: Link) -> Link | None:
    """The first time the instance settled after it."""
    if not link.instance_uid or link.what == e.InstanceSettled.TYPE:
        return None
    sql = "SELECT position AS p FROM p_timeline WHERE instance_uid = ? AND what = ? AND position > ? ORDER BY position LIMIT 1"
    found = history.rows(sql, (link.instance_uid, e.InstanceSettled.TYPE, link.position))
    return causes.link(int(str(found[0]["p"]))) if found else None
