"""One instance's share of a log: as much as its decisions can be made again from, gathered, kept as a file and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from kro_es.api.objects import Gvk, JsonObject
from kro_es.errors import UserError
from kro_es.events import codec
from kro_es.events.types import (
    Actor,
    Event,
    FieldsSeen,
    InstanceSettled,
    ReconcileDecided,
    ResourceApplied,
    ResourceTakenOver,
    RevisionIssued,
    Subject,
    definition_stream,
    instance_stream,
    object_stream,
)
from kro_es.history.positions import concerning
from kro_es.history.source import History
from kro_es.history.targets import Target
from kro_es.store.sql import marks

_FORM = "kro-es incident 1"
_AT_ONCE = 400
_MOST = 1 << 30
"""Bytes a file unpacks to at most: it comes from somebody who asks for help."""
_HEADER = (
    "position", "stream", "stream_version", "type", "type_version", "occurred_at", "recorded_at", "resource_version",
    "cause", "correlation", "event_id", "cluster",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Incident:
    """``first`` to ``last``: positions of the decisions meant. ``events`` begin with the log, in order, with gaps."""

    instance: str
    uid: str
    first: int
    last: int
    fields: Mapping[str, JsonObject]
    """fieldsV1 by digest: the event that told them may be about another instance."""
    events: tuple[Event, ...]

    def means(self, event: Event) -> bool:
        """Whether it is one of the decisions that are to be made again."""
        return event.stream == instance_stream(self.uid) and self.first <= event.position <= self.last


def gather(history: History, target: Target, first: int, last: int) -> Incident:
    """Raises UserError for what is no instance, or was never decided about."""
    if not target.is_instance:
        raise UserError(f"{target.name} is no instance: an incident is about one")
    own = history.log.read_stream(instance_stream(target.uid))
    decided = [event.body for event in own if isinstance(event.body, ReconcileDecided)]
    places = [event.position for event in own if isinstance(event.body, ReconcileDecided | InstanceSettled)]
    if not any(first <= place <= last for place in places):
        known = f"its decisions are at {places[0]} to {places[-1]}" if places else "it never was"
        raise UserError(f"nothing was decided about {target.name} from {first} to {last}: {known}")
    found = {event.position: event for event in own}
    definitions = {body.definition_uid for body in decided if body.definition_uid}
    streams = {"controller", *(one.stream for body in decided for one in body.inputs)}
    streams |= {definition_stream(uid) for uid in definitions}
    streams |= {
        object_stream(f"{one.group}/{one.kind}/{one.namespace}/{one.name}") for body in decided for one in body.writes
    }
    for stream in sorted(streams):
        found |= {event.position: event for event in history.log.read_stream(stream)}
    issued = [event.body for event in found.values() if isinstance(event.body, RevisionIssued)]
    others = {f"schema/{digest}" for body in issued for digest in body.schemas.values()} | _read_kinds(history, issued)
    for stream in sorted(others - streams):
        found |= {event.position: event for event in history.log.read_stream(stream)}
    missing = sorted(set(concerning(history, target)) - found.keys())
    for start in range(0, len(missing), _AT_ONCE):
        found |= {event.position: event for event in history.log.events_at(missing[start : start + _AT_ONCE])}
    events = tuple(event for position, event in sorted(found.items()) if position <= last)
    return Incident(target.name, target.uid, first, last, _fields(history, events), events)


def _read_kinds(history: History, issued: Sequence[RevisionIssued]) -> set[str]:
    """Streams of all objects of the kinds that revisions refer to: a selector may have looked at any of them."""
    kinds = set()
    for body in issued:
        for resource in body.spec.get("resources") or ():
            reference = resource.get("externalRef") if isinstance(resource, dict) else None
            if isinstance(reference, dict):
                gvk = Gvk.parse(str(reference.get("apiVersion")), str(reference.get("kind")))
                kinds.add((gvk.group, gvk.kind))
    sql = "SELECT DISTINCT namespace, name FROM subjects WHERE api_group = ? AND kind = ? AND name <> ''"
    return {
        object_stream(f"{group}/{kind}/{row['namespace']}/{row['name']}")
        for group, kind in kinds
        for row in history.rows(sql, (group, kind))
    }


def _fields(history: History, events: Sequence[Event]) -> dict[str, JsonObject]:
    told = (FieldsSeen, ResourceApplied, ResourceTakenOver)
    digests = sorted({event.body.fields_digest for event in events if isinstance(event.body, told)})
    found: dict[str, JsonObject] = {}
    for start in range(0, len(digests), _AT_ONCE):
        part = digests[start : start + _AT_ONCE]
        sql = f"SELECT key, fields FROM p_field_sets WHERE key IN ({marks(len(part))})"  # noqa: S608 only marks
        found |= {str(row["key"]): _parsed(row["fields"]) for row in history.rows(sql, part)}
    return found


def _parsed(value: object) -> JsonObject:
    found = orjson.loads(value) if isinstance(value, str | bytes) else value
    assert isinstance(found, dict)
    return found


def write(incident: Incident, path: Path) -> None:
    """Lines of JSON, compressed. Whoever reads the file learns what the log tells of the instance. Raises UserError."""
    from kro_es.store import lines  # noqa: PLC0415 slow to load; needed by this alone

    head = {
        "form": _FORM, "instance": incident.instance, "uid": incident.uid, "first": incident.first,
        "last": incident.last, "events": len(incident.events), "fields": dict(incident.fields),
    }  # fmt: skip
    with lines.written(path) as put:
        for line in (head, *map(_line, incident.events)):
            put(line)


def read(path: Path) -> Incident:
    """Raises UserError for a file that is none, or is not whole."""
    from kro_es.store import lines  # noqa: PLC0415 see above

    try:
        with path.open("rb") as file:
            head, *rest = lines.read(file, _MOST)
        if head["form"] != _FORM:
            raise UserError(f"{path} is no incident but a {head['form']!r}; of a whole log: kro-es db import")
        events = tuple(_event(line) for line in rest)
        if len(events) != head["events"]:
            raise UserError(f"{path} is not whole: it should hold {head['events']} events, not {len(events)}")
        return Incident(head["instance"], head["uid"], head["first"], head["last"], head["fields"], events)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except lines.FAULTS as error:
        raise UserError(f"{path} is no incident that this version reads, or is not whole: {error}") from error


def is_incident(path: Path) -> bool:
    """Whether it begins as what :func:`write` wrote, and not as a database."""
    with path.open("rb") as file:
        return file.read(4) == b"\x28\xb5\x2f\xfd"


def _line(event: Event) -> JsonObject:
    subject = event.subject
    return {
        **{name: getattr(event, name) for name in _HEADER},
        "subject": [subject.group, subject.kind, subject.namespace, subject.name, subject.uid],
        "actor": [event.actor.name, event.actor.source],
        "body": codec.encode(event.body)[2],
    }


def _event(line: JsonObject) -> Event:
    header = {name: line[name] for name in _HEADER}
    body = codec.decode(line["type"], line["type_version"], line["body"])
    return Event(**header, body=body, subject=Subject(*line["subject"]), actor=Actor(*line["actor"]))
