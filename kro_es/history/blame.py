"""Who set each field: every value of an object with the event, the revision and the edit it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.events.types import Event, ObjectObserved
from kro_es.history.causes import Causes
from kro_es.history.changes import NOISE, Path, below, differences, leaves, spelled
from kro_es.history.gaps import notes
from kro_es.history.source import Answer, History
from kro_es.history.targets import Target
from kro_es.history.times import iso


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, changed by one event."""

    event: Event
    path: Path
    change: str
    old: JsonValue
    new: JsonValue


def field_changes(history: History, target: Target) -> Iterator[FieldChange]:
    """Every recorded change of every field, oldest first; a late observation changes nothing it was too late for."""
    before: JsonObject = {}
    uid, version = "", 0
    for event in history.log.read_stream(target.stream):
        if not isinstance(event.body, ObjectObserved):
            continue
        if event.subject.uid == uid and event.resource_version < version:
            continue
        if event.subject.uid != uid:
            before = {}
        uid, version = event.subject.uid, event.resource_version
        for path, change, old, new in differences(before, event.body.object):
            if path not in NOISE:
                yield FieldChange(event, path, change, old, new)
        before = event.body.object


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the object as it is (or was last)."""

    path: Path
    value: JsonValue
    event: Event
    before: JsonValue = None
    """What the same field was before, where the change was to this field alone."""


def fields(history: History, target: Target, path: str = "") -> list[Field]:
    """The fields at or below ``path``. Raises UserError when the object was never seen or has no such field."""
    last: dict[Path, FieldChange] = {}
    current: JsonObject = {}
    for change in field_changes(history, target):
        last[change.path] = change
        assert isinstance(change.event.body, ObjectObserved)
        current = change.event.body.object
    if not current:
        raise UserError(f"the log holds no observation of {target.name}")
    values = dict(leaves(current))
    wanted = below(values, path) if path else list(values)
    return [_field(at, values[at], last) for at in wanted]


def _field(path: Path, value: JsonValue, last: dict[Path, FieldChange]) -> Field:
    """The newest change of the field or of anything around it."""
    around = [last[path[:length]] for length in range(1, len(path) + 1) if path[:length] in last]
    newest = max(around, key=lambda change: change.event.position)
    return Field(path, value, newest.event, newest.old if newest.path == path else None)


def blame(history: History, target: Target, path: str = "") -> Answer:
    """One row a field: value, who set it last, when, by which event and revision, and the edit behind it."""
    causes = Causes(history)
    found = fields(history, target, path)
    rows = [_row(causes, field) for field in found]
    first = min(field.event.occurred_at for field in found)
    kind = {f"{target.ref.group}/{target.ref.kind}"}
    columns = ("path", "value", "actor", "time", "revision", "edited_by", "event")
    wide = ("path", "value", "was", "actor", "actor_source", "time", "revision", "edited_by", "edit", "healed", "event")
    return Answer(rows, columns, wide, notes(history, first, history.now, kind))


def _row(causes: Causes, field: Field) -> JsonObject:
    event = field.event
    chain = causes.chain(event.position)
    healed = causes.healed(chain)
    origin = healed or chain[0]
    return {
        "path": spelled(field.path),
        "value": field.value,
        "was": field.before,
        "actor": chain[-1].actor,
        "actor_source": chain[-1].actor_source,
        "time": iso(event.occurred_at),
        "revision": causes.revision(chain),
        "edited_by": origin.actor if origin.position != event.position else "",
        "healed": healed is not None,
        "edit": origin.position,
        "event": event.position,
    }
