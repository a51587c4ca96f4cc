"""What differs between two revisions, two objects, or one object (with its children) at two moments."""

from __future__ import annotations

from dataclasses import dataclass

from kro_es.api.objects import JsonObject, JsonValue, ObjectRef
from kro_es.errors import UserError
from kro_es.events.types import ObjectDeleted, ObjectGoneUnseen, ObjectLeftSelection, ObjectObserved
from kro_es.history.changes import NOISE, changes, parsed, starts
from kro_es.history.gaps import notes
from kro_es.history.positions import children
from kro_es.history.revisions import revision
from kro_es.history.source import History
from kro_es.history.targets import RevisionName, Target

ENDED = ObjectDeleted | ObjectGoneUnseen | ObjectLeftSelection
_NOISE = frozenset(".".join(path) for path in NOISE)


@dataclass(frozen=True, slots=True)
class Difference:
    """One object (or spec) that is not the same on both sides."""

    object: str
    change: str
    """created, deleted or changed."""
    fields: tuple[JsonObject, ...]
    """``{path, change, old, new}``; empty for an object that is on one side only."""

    def as_rows(self) -> list[JsonObject]:
        if not self.fields:
            return [{"object": self.object, "path": "", "change": self.change, "old": None, "new": None}]
        return [{"object": self.object, **field} for field in self.fields]


@dataclass(frozen=True, slots=True)
class Comparison:
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()


def of_revisions(history: History, old: str, new: str) -> Comparison:
    specs = [revision(history, RevisionName.parse(text))["spec"] for text in (old, new)]
    found = tuple(changes(*specs))
    return Comparison((Difference("", "changed", found),) if found else ())


def of_targets(history: History, old: Target, new: Target) -> Comparison:
    """Two objects as they are now."""
    left, right = (object_at(history, target.ref, history.head) for target in (old, new))
    for target, state in ((old, left), (new, right)):
        if state is None:
            raise UserError(f"{target.name} is gone; compare it at a time it was there: diff --at T1 --to T2")
    found = _fields(left, right)
    return Comparison((Difference(f"{old.name} → {new.name}", "changed", found),) if found else ())


def of_moments(history: History, target: Target, start: int, end: int, path: str = "") -> Comparison:
    """One object, and of an instance every child, at two positions."""
    refs = [target.ref, *(children(history, target.uid) if target.is_instance else ())]
    found = []
    for ref in refs:
        difference = _difference(history, ref, start, end)
        if difference is not None:
            found.append(_at(difference, path) if path else difference)
    begun, ended = (event.recorded_at if event else 0 for event in (history.log.event(start), history.log.event(end)))
    kinds = {f"{ref.group}/{ref.kind}" for ref in refs}
    return Comparison(tuple(one for one in found if one.fields or not path), notes(history, begun, ended, kinds))


def _at(difference: Difference, path: str) -> Difference:
    wanted = parsed(path)
    fields = tuple(field for field in difference.fields if starts(parsed(str(field["path"])), wanted))
    return Difference(difference.object, difference.change, fields)


def _difference(history: History, ref: ObjectRef, start: int, end: int) -> Difference | None:
    left, right = (object_at(history, ref, position) for position in (start, end))
    name = f"{ref.kind.lower()}/{ref.name}"
    if left is None or right is None:
        change = "created" if right is not None else "deleted"
        return None if left is right else Difference(name, change, ())
    found = _fields(left, right)
    return Difference(name, "changed", found) if found else None


def _fields(left: JsonValue, right: JsonValue) -> tuple[JsonObject, ...]:
    return tuple(change for change in changes(left, right) if change["path"] not in _NOISE)


def object_at(history: History, ref: ObjectRef, position: int) -> JsonObject | None:
    """The object as the log shows it at a position; None when it was not there."""
    event = history.log.state_at(f"object/{ref.key}", position=position)
    if event is None or isinstance(event.body, ENDED):
        return None
    if isinstance(event.body, ObjectObserved):
        return event.body.object
    # what our field manager owned was noted after the object itself was seen
    earlier = [one for one in history.log.read_stream(event.stream) if one.position < event.position]
    bodies = [one.body for one in earlier if isinstance(one.body, ObjectObserved)]
    return bodies[-1].object if bodies else None
