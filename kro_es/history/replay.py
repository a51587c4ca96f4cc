"""Every recorded decision, made again from the log alone and compared with what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

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
from kro_es.events.redaction import Redactor
from kro_es.events.types import (
    Body,
    ControllerStarted,
    Event,
    InstancePinned,
    InstanceSettled,
    InstanceUnpinned,
    ObjectObserved,
    ReconcileDecided,
    ResourceTakenOver,
    RevisionIssued,
    SchemaRecorded,
)
from kro_es.graph.node import ResourceGraph
from kro_es.history import definitions_again
from kro_es.history.doubts import GONE, Doubts
from kro_es.history.incident import Incident
from kro_es.history.memory import Memory
from kro_es.history.recompiled import Recompiled
from kro_es.history.replay_report import INSTANCE, Report, fields_of
from kro_es.projections.projection import Row
from kro_es.projections.registry import PROJECTIONS
from kro_es.runtime.expand import Fatal
from kro_es.schema.openapi import KindSchema
from kro_es.settings import Settings
from kro_es.store.log_reader import LogReader

_AT_ONCE = 5_000
_UNREAD = frozenset({"timeline", "schemas"})
"""Projections no decision reads."""
_UNNOTED = "recorded without its position"
_Noted = ResourceTakenOver | InstancePinned | InstanceUnpinned
_OfInstance = ReconcileDecided | InstanceSettled | _Noted


@dataclass(frozen=True, slots=True)
class _Task:
    """A recorded decision, and what is known of the run that made it."""

    event: Event
    configuration: JsonObject

    @property
    def body(self) -> _OfInstance:
        assert isinstance(self.event.body, _OfInstance)
        return self.event.body

    @property
    def served_by(self) -> str:
        return self.body.served_by if isinstance(self.body, _Noted) else self.body.definition_uid


def replay(log: LogReader, kinds: Mapping[Gvk, KindSchema], key: bytes) -> Report:
    """``kinds``: those a log without schemas was compiled against. ``key``: that of the digests in the log."""
    redactor = Redactor.of(key)
    return _replayed(lambda: _events(log), kinds, redactor, Doubts(redactor.key_id), None)


def replay_incident(incident: Incident, kinds: Mapping[Gvk, KindSchema], key: bytes) -> Report:
    """As :func:`replay`, of the decisions an incident is about. An unknown ``key`` leaves out what depends on secrets."""
    redactor = Redactor.of(key)
    return _replayed(lambda: incident.events, kinds, redactor, Doubts(redactor.key_id, dense=False), incident)


def _replayed(
    events: Callable[[], Iterable[Event]],
    kinds: Mapping[Gvk, KindSchema],
    redactor: Redactor,
    doubts: Doubts,
    incident: Incident | None,
) -> Report:
    report, graphs = Report(), Recompiled(kinds)
    tasks = _tasks(events(), report, doubts, graphs, incident)
    instances = {task.event.stream.removeprefix(INSTANCE) for found in tasks.values() for task in found}
    run = _Run(graphs, redactor, report, doubts, instances)
    if incident is not None:
        run.know(incident.fields)
    waiting = sorted(tasks, reverse=True)
    for event in events():
        while waiting and waiting[-1] < event.position:
            run.due(waiting[-1], tasks[waiting.pop()])
        run.fold(event)
    while waiting:
        run.due(waiting[-1], tasks[waiting.pop()])
    report.differences.sort(key=lambda found: found.position)
    report.notes = graphs.notes
    return report


def _events(log: LogReader) -> Iterator[Event]:
    position = 1
    while events := log.read(position, _AT_ONCE):
        yield from events
        position = events[-1].position + 1


def _tasks(
    events: Iterable[Event], report: Report, doubts: Doubts, graphs: Recompiled, incident: Incident | None
) -> dict[int, list[_Task]]:
    """By the position they were made at, which is earlier than the one they were recorded at.

    ``graphs`` learns every schema: one that a decision needed may have been recorded after that position.
    """
    found: dict[int, list[_Task]] = {}
    configuration: JsonObject = {}
    for event in events:
        doubts.seen(event)
        body = event.body
        if isinstance(body, ControllerStarted):
            configuration = body.configuration
        elif isinstance(body, SchemaRecorded):
            graphs.recorded(body)
        elif isinstance(body, _OfInstance | definitions_again.Decided):
            if incident is not None and not incident.means(event):
                continue
            if _noted(event):
                found.setdefault(body.position, []).append(_Task(event, configuration))
            else:
                report.cannot(event, _UNNOTED)
    return found


def _noted(event: Event) -> bool:
    """Whether the event says what it was made of."""
    body = event.body
    if not event.stream.startswith(INSTANCE):
        assert isinstance(body, definitions_again.Decided)
        return definitions_again.noted(body)
    return isinstance(body, ReconcileDecided) or (isinstance(body, _OfInstance) and bool(body.position))


class _Run:
    """The rows so far, and the decisions made of them."""

    def __init__(
        self,
        graphs: Recompiled,
        redactor: Redactor,
        report: Report,
        doubts: Doubts,
        instances: Set[str],
    ) -> None:
        self._memory = Memory([projection for projection in PROJECTIONS if projection.name not in _UNREAD])
        self._taints = Taints()
        self._redactor = redactor
        self._report = report
        self._doubts = doubts
        self._instances = instances
        self._refs: dict[str, ObjectRef] = {}
        self._graphs = graphs

    def know(self, fields: Mapping[str, JsonObject]) -> None:
        """What events that are not at hand told of our fields, by digest."""
        for digest, found in fields.items():
            self._memory.put("field_sets", digest, {"fields": found})

    def fold(self, event: Event) -> None:
        self._memory.fold(event)
        match event.body:
            case ObjectObserved() if event.subject.uid in self._instances:
                found = event.subject
                self._refs[found.uid] = ObjectRef(found.group, found.kind, found.namespace, found.name)
            case RevisionIssued() as body:
                self._graphs.issued(body)
                self._taints.learn(body.instance_group, body.instance_kind, body.tainted)
            case _:
                pass

    def due(self, position: int, tasks: Sequence[_Task]) -> None:
        """Decisions made at a position; every event up to it that there is has been folded."""
        self._memory.position = position
        made: dict[str, tuple[InstanceInputs, Decision]] = {}
        told: dict[str, list[Event]] = {}
        for task in sorted(tasks, key=lambda item: item.event.position):
            event = task.event
            if not event.stream.startswith(INSTANCE):
                self._definition(task)
                continue
            try:
                # what settles after the writes of a decision is that decision, and all it takes over at once is one
                if event.stream not in made:
                    made[event.stream] = self._made(task)
            except UserError as error:
                self._report.cannot(event, str(error))
            else:
                told.setdefault(event.stream, []).append(event)
                self._compared(event, *made[event.stream])
        for stream, events in told.items():
            self._complete(events, *made[stream])

    def _definition(self, task: _Task) -> None:
        """A decision about a definition stands by itself: what it was made of is noted with it."""
        event = task.event
        try:
            now = definitions_again.again(event, self._memory, self._graphs, task.configuration)
        except UserError as error:
            self._report.cannot(event, str(error))
            return
        fields = fields_of(event.body, now)
        if fields and self._doubts.gone(self._memory.position):
            self._report.cannot(event, GONE)
        else:
            self._report.came_out(event, fields)

    def _complete(self, events: Sequence[Event], inputs: InstanceInputs, decision: Decision) -> None:
        """What would be taken over now, and was not."""
        recorded = {event.body.node for event in events if isinstance(event.body, ResourceTakenOver)}
        more = [body for _, body in decision.taken_over if body.node not in recorded]
        if more and recorded and not self._doubts.about(inputs):
            self._report.came_out(events[-1], {"": ("nothing", f"{ResourceTakenOver.TYPE} {more[0].node}")})

    def _made(self, task: _Task) -> tuple[InstanceInputs, Decision]:
        event, body = task.event, task.body
        uid = event.stream.removeprefix(INSTANCE)
        ref = self._refs.get(uid)
        if ref is None:
            raise UserError("the instance is not in the log at that position")
        reads = _Reads(self._memory, body.given.get("unread", {}))
        moment = Moment(
            self._compiled(task), reads, _recorded,
            body.at if isinstance(body, ReconcileDecided) else event.occurred_at, body.given.get("failed", {}),
        )  # fmt: skip
        inputs = load(self._memory, ref, uid, self._standing(task.configuration), moment)
        if inputs is None:
            raise UserError("the instance is not in the log at that position")
        decision = decide(inputs)
        if decision.gone:
            meta = inputs.instance["metadata"]
            resource = Resource(Gvk.of(inputs.instance), "", bool(meta.get("namespace")))
            decision = releasing(deletion.release(inputs, resource))
        return inputs, decision

    def _compiled(self, task: _Task) -> Graphs:
        """Revisions by what is active at that position, or pinned, whatever the record says about the number."""

        def compiled(definition_uid: str, number: int) -> ResourceGraph:
            try:
                return self._graphs.graph(definition_uid, number, task.configuration)
            except KeyError as error:
                raise UserError(f"revision {number} is not in the log") from error

        return Graphs(task.served_by, compiled, lambda *_: str(task.body.given.get("uncompiled", "")))

    def _standing(self, configuration: JsonObject) -> Standing:
        return Standing(
            self._redactor,
            self._taints.under(tuple(parse_all(configuration.get("redact", ())))),
            configuration.get("label_version", Settings.label_version),
            configuration.get("max_collection", Settings.max_collection),
            configuration.get("instance_events", Settings.instance_events),
        )

    def _compared(self, event: Event, inputs: InstanceInputs, decision: Decision) -> None:
        now = _again(event, inputs, decision)
        fields = fields_of(event.body, now)
        if fields and (doubt := self._doubts.about(inputs)):
            self._report.cannot(event, doubt)
        else:
            self._report.came_out(event, fields)


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


def _again(event: Event, inputs: InstanceInputs, decision: Decision) -> Body | None:
    """What the decision puts in the place of the event; None for nothing."""
    match event.body:
        case ReconcileDecided(engine=engine):
            return record.decided(inputs, decision, engine)
        case ResourceTakenOver(node=node):
            taken = (body for child, body in decision.taken_over if child.uid == event.subject.uid)
            return next((body for body in taken if body.node == node), None)
        case InstancePinned() | InstanceUnpinned():
            return None if decision.moved_pin is None else record.noted(inputs, decision.moved_pin)
        case _:
            return decision.settled
