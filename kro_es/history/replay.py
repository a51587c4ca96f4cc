"""Every recorded decision about an instance, made again from the log alone and compared with what is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource, labels
from kro_es.api.selector import Selector
from kro_es.api.sensitive import parse_all
from kro_es.api.watch import Watched
from kro_es.decisions import deletion, record
from kro_es.decisions.choice import Graphs
from kro_es.decisions.decide import Decision, decide, releasing
from kro_es.decisions.inputs import Child, InstanceInputs, unread_key
from kro_es.decisions.load import Moment, Reader, Standing, load
from kro_es.decisions.taint import Taints
from kro_es.errors import UserError
from kro_es.events.codec import encode
from kro_es.events.redaction import Redactor
from kro_es.events.types import (
    ControllerStarted,
    Event,
    InstanceSettled,
    ReconcileDecided,
    RevisionIssued,
    SchemaRecorded,
)
from kro_es.graph.node import ResourceGraph
from kro_es.history.doubts import Doubts
from kro_es.history.memory import Memory
from kro_es.history.recompiled import Recompiled
from kro_es.projections.projection import Row
from kro_es.projections.registry import PROJECTIONS
from kro_es.runtime.expand import Fatal
from kro_es.schema.openapi import KindSchema
from kro_es.settings import Settings
from kro_es.store.log_reader import LogReader

_AT_ONCE = 5_000
_INSTANCE = "instance/"
_LONGEST = 300
_UNREAD = frozenset({"timeline", "schemas"})
"""Projections no decision reads."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One recorded decision that comes out otherwise today. ``fields``: name to recorded and recomputed value."""

    position: int
    instance: str
    type: str
    fields: Mapping[str, tuple[str, str]]


@dataclass(slots=True)
class Report:
    """What a replay showed."""

    equal: int = 0
    differences: list[Difference] = field(default_factory=list)
    unknown: list[tuple[int, str, str]] = field(default_factory=list)
    """Decisions that cannot be made again here: position, instance and why."""
    others: int = 0
    """Recorded decisions about definitions: those depend on what the API server serves."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Task:
    """A recorded decision, what is known of the run that made it, and the position it was made at."""

    event: Event
    configuration: JsonObject

    @property
    def position(self) -> int:
        assert isinstance(self.event.body, ReconcileDecided | InstanceSettled)
        return self.event.body.position


def replay(log: LogReader, kinds: Mapping[Gvk, KindSchema], key: bytes) -> Report:
    """``kinds``: those a log without schemas was compiled against. ``key``: that of the digests in the log."""
    report = Report()
    redactor = Redactor.of(key)
    doubts = Doubts(redactor.key_id)
    tasks = _tasks(log, report, doubts)
    run = _Run(kinds, redactor, report, doubts)
    run.due(tasks.pop(0, ()))
    for event in _events(log):
        run.fold(event)
        run.due(tasks.pop(event.position, ()))
    report.differences.sort(key=lambda found: found.position)
    report.notes = run.graphs.notes
    return report


def _events(log: LogReader) -> Iterator[Event]:
    position = 1
    while events := log.read(position, _AT_ONCE):
        yield from events
        position = events[-1].position + 1


def _tasks(log: LogReader, report: Report, doubts: Doubts) -> dict[int, list[_Task]]:
    """By the position they were made at, which is earlier than the one they were recorded at."""
    found: dict[int, list[_Task]] = {}
    configuration: JsonObject = {}
    for event in _events(log):
        doubts.seen(event)
        body = event.body
        if isinstance(body, ControllerStarted):
            configuration = body.configuration
        elif isinstance(body, ReconcileDecided | InstanceSettled):
            if not event.stream.startswith(_INSTANCE):
                report.others += 1
            elif body.position or isinstance(body, ReconcileDecided):
                found.setdefault(body.position, []).append(_Task(event, configuration))
            else:
                report.unknown.append((event.position, _name(event), "recorded without its position"))
    return found


class _Run:
    """The rows so far, and the decisions made of them."""

    def __init__(self, kinds: Mapping[Gvk, KindSchema], redactor: Redactor, report: Report, doubts: Doubts) -> None:
        self._memory = Memory([projection for projection in PROJECTIONS if projection.name not in _UNREAD])
        self._taints = Taints()
        self._redactor = redactor
        self._report = report
        self._doubts = doubts
        self.graphs = Recompiled(kinds)

    def fold(self, event: Event) -> None:
        self._memory.fold(event)
        match event.body:
            case RevisionIssued() as body:
                self.graphs.issued(body)
                self._taints.learn(body.instance_group, body.instance_kind, body.tainted)
            case SchemaRecorded() as body:
                self.graphs.recorded(body)
            case _:
                pass

    def due(self, tasks: Sequence[_Task]) -> None:
        made: dict[str, tuple[InstanceInputs, Decision]] = {}
        for task in sorted(tasks, key=lambda item: item.event.position):
            event = task.event
            try:
                # what settles after the writes of a decision is that decision
                if event.stream not in made:
                    made[event.stream] = self._made(task)
            except UserError as error:
                self._report.unknown.append((event.position, _name(event), str(error)))
            else:
                self._compared(event, *made[event.stream])

    def _made(self, task: _Task) -> tuple[InstanceInputs, Decision]:
        event, body = task.event, task.event.body
        assert isinstance(body, ReconcileDecided | InstanceSettled)
        ref = ObjectRef(event.subject.group, event.subject.kind, event.subject.namespace, event.subject.name)
        reads = _Reads(self._memory, body.given.get("unread", {}))
        moment = Moment(
            self._graphs(body, task.configuration), reads, _recorded,
            body.at if isinstance(body, ReconcileDecided) else event.occurred_at, body.given.get("failed", {}),
        )  # fmt: skip
        uid = event.stream.removeprefix(_INSTANCE)
        inputs = load(self._memory, ref, uid, self._standing(task.configuration), moment)
        if inputs is None:
            raise UserError("the instance is not in the log at that position")
        decision = decide(inputs)
        if decision.gone:
            meta = inputs.instance["metadata"]
            resource = Resource(Gvk.of(inputs.instance), "", bool(meta.get("namespace")))
            decision = releasing(deletion.release(inputs, resource))
        return inputs, decision

    def _graphs(self, body: ReconcileDecided | InstanceSettled, configuration: JsonObject) -> Graphs:
        """Revisions by what is active at that position, or pinned, whatever the record says about the number."""

        def compiled(definition_uid: str, number: int) -> ResourceGraph:
            try:
                return self.graphs.graph(definition_uid, number, configuration)
            except KeyError as error:
                raise UserError(f"revision {number} is not in the log") from error

        return Graphs(body.definition_uid, compiled, lambda *_: str(body.given.get("uncompiled", "")))

    def _standing(self, configuration: JsonObject) -> Standing:
        return Standing(
            self._redactor,
            self._taints.under(tuple(parse_all(configuration.get("redact", ())))),
            configuration.get("label_version", Settings.label_version),
            configuration.get("max_collection", Settings.max_collection),
            configuration.get("instance_events", Settings.instance_events),
        )

    def _compared(self, event: Event, inputs: InstanceInputs, decision: Decision) -> None:
        body = event.body
        if isinstance(body, ReconcileDecided):
            now: ReconcileDecided | InstanceSettled | None = record.decided(inputs, decision, body.engine)
        else:
            assert isinstance(body, InstanceSettled)
            now = decision.settled
        fields = _fields(body, now)
        if not fields:
            self._report.equal += 1
        elif doubt := self._doubts.about(inputs):
            self._report.unknown.append((event.position, _name(event), doubt))
        else:
            self._report.differences.append(Difference(event.position, _name(event), event.type, fields))


class _Reads:
    """Objects of others, from rows."""

    def __init__(self, reader: Reader, unread: Mapping[str, str]) -> None:
        self._reader = reader
        self._seen: dict[str, Child] = {}
        self.unread = unread

    @property
    def found(self) -> Sequence[Child]:
        return tuple(self._seen.values())

    def named(self, resource: Resource, namespace: str, name: str) -> Child | None:
        self._check(Watched(resource, None, namespace, name))
        row = self._reader.row("objects", ObjectRef(resource.gvk.group, resource.gvk.kind, namespace, name).key)
        return None if row is None else self._child(row)

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[Child]:
        watched = Watched(resource, selector, namespace)
        self._check(watched)
        rows = self._reader.rows("objects", "kind_key", watched.kind_key)
        return [
            self._child(row) for row in rows if watched.covers(ObjectRef.of(_recorded(row)), labels(_recorded(row)))
        ]

    def _check(self, watched: Watched) -> None:
        text = self.unread.get(unread_key(watched))
        if text is not None:
            raise Fatal(text)

    def _child(self, row: Row) -> Child:
        obj = _recorded(row)
        child = self._seen[ObjectRef.of(obj).key] = Child(obj, row)
        return child


def _recorded(row: Row) -> JsonObject:
    found = row["object"]
    assert isinstance(found, dict)
    return found


def _fields(
    before: ReconcileDecided | InstanceSettled, now: ReconcileDecided | InstanceSettled | None
) -> dict[str, tuple[str, str]]:
    """Fields that are not the same, byte for byte, as they are stored."""
    if now is None:
        return {"": (before.TYPE, "nothing")}
    if isinstance(before, InstanceSettled) and isinstance(now, InstanceSettled):
        # a decision with writes is recorded with what was known before them
        now = replace(now, given=before.given)
    mine, theirs = encode(before)[2], encode(now)[2]
    texts = {name: (_text(mine.get(name)), _text(theirs.get(name))) for name in sorted(mine.keys() | theirs.keys())}
    return {name: (_short(old), _short(new)) for name, (old, new) in texts.items() if old != new}


def _text(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _name(event: Event) -> str:
    where = f"{event.subject.namespace}/" if event.subject.namespace else ""
    return f"{event.subject.kind.lower()} {where}{event.subject.name}"
