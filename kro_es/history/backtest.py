"""A definition run over what was: every state an instance settled in, as the log has it, alive or gone by now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256

import orjson

from kro_es.api import metadata
from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource, labels, terminating
from kro_es.api.selector import Selector
from kro_es.errors import UserError
from kro_es.events.types import Event, InstanceSettled, ObjectObserved
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.history import targets
from kro_es.history.compare import ENDED, object_at
from kro_es.history.forecast import Forecast, Recorded, Side
from kro_es.history.plan import Kinds
from kro_es.history.positions import children
from kro_es.history.preview import Complete, Preview, Rest, active, compiled, manifest_of, told
from kro_es.history.revisions import parsed
from kro_es.history.source import History
from kro_es.projections.projection import Row
from kro_es.store.maintenance import Told, silent

_KEPT = 1_000
"""States told field by field; the others are counted."""
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Past:
    """A state an instance settled in: where in the log, and the revision it followed, by its definition's uid."""

    position: int
    instance: JsonObject
    revision: tuple[str, int]


class _Life:
    """One object through the log, looked at forward only: from the first moment asked for every state is read once."""

    def __init__(self, history: History, ref: ObjectRef) -> None:
        self._history, self._ref = history, ref
        self._events: Iterator[Event] | None = None
        self._next: Event | None = None
        self._object: JsonObject | None = None
        self._uid, self._version = "", 0

    def at(self, position: int) -> JsonObject | None:
        """None when it is not there; no position is before the last one that was asked for."""
        if self._events is None:
            self._events = self._begun(position)
            self._next = next(self._events, None)
        while self._next is not None and self._next.position <= position:
            self._take(self._next)
            self._next = next(self._events, None)
        return self._object

    def _begun(self, position: int) -> Iterator[Event]:
        stream = f"object/{self._ref.key}"
        event = self._history.log.state_at(stream, position=position)
        if event is None:
            return _stream(self._history, stream, 1)
        self._object = object_at(self._history, self._ref, position)
        self._uid, self._version = event.subject.uid, event.resource_version
        return _stream(self._history, stream, event.stream_version + 1)

    def _take(self, event: Event) -> None:
        late = event.subject.uid == self._uid and event.resource_version < self._version
        if isinstance(event.body, ENDED):
            self._object = None
        elif isinstance(event.body, ObjectObserved) and not late:
            self._object = event.body.object
            self._uid, self._version = event.subject.uid, event.resource_version


def _stream(history: History, stream: str, version: int) -> Iterator[Event]:
    while events := history.log.read_stream(stream, version, _AT_ONCE):
        yield from events
        version = events[-1].stream_version + 1


class RecordedAt(Recorded):
    """The cluster as the log saw it at a position."""

    def __init__(self, history: History, children: Mapping[ObjectRef, _Life], position: int) -> None:
        self._history = history
        self._position = position
        there = {ref: life.at(position) for ref, life in children.items()}
        self.children = {ref: obj for ref, obj in there.items() if obj and metadata.NODE_ID in labels(obj)}
        self.nodes = {ref: labels(obj)[metadata.NODE_ID] for ref, obj in self.children.items()}

    def external(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        ref = ObjectRef(resource.gvk.group, resource.gvk.kind, namespace, name)
        return object_at(self._history, ref, self._position)

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[JsonObject]:
        known = targets.of_kind(self._history, resource.gvk.group, resource.gvk.kind)
        refs = [one.ref for one in known if namespace in ("", one.ref.namespace)]
        there = (object_at(self._history, ref, self._position) for ref in refs)
        return [obj for obj in there if obj is not None and selector.matches(labels(obj))]


def needs(history: History, manifest: JsonObject) -> set[Gvk]:
    """Kinds whose schemas are needed: of the file, and of every revision that was followed in that time."""
    found = set(required_kinds(parse(manifest)))
    for row in _revisions(history, manifest).values():
        found |= set(required_kinds(parse(manifest_of(row))))
    return found


def backtest(
    history: History, manifest: JsonObject, kinds: Kinds, complete: Complete, since: int, told_of: Told = silent
) -> tuple[Preview, int]:
    """What would have been otherwise after position ``since``, and how many states were looked at.

    ``told_of``: instances done. Raises UserError for a definition the log does not know, DefinitionErrors for one that
    does not compile.
    """
    row = active(history, manifest)
    if row is None:
        raise UserError(f"the log has no definition {manifest['metadata']['name']}: there is no past to test with")
    after = compile_graph(parse(manifest), kinds)
    rows = _revisions(history, manifest)
    graph = cache(lambda number: compiled(rows[number], kinds))
    found: list[Forecast] = []
    rest, looked = Rest(), 0
    every = targets.of_kind(history, str(row["instance_group"]), str(row["instance_kind"]))
    for index, one in enumerate(every):
        told_of(index, len(every))
        lives = {ref: _Life(history, ref) for ref in children(history, one.uid)}
        for past in _settled(history, one.ref, one.uid, since):
            if past.revision not in rows:
                continue
            looked += 1
            made = told(
                RecordedAt(history, lives, past.position), Side(graph(past.revision), past.instance), after, complete
            )
            if len(found) < _KEPT:
                found.append(replace(made, instance=f"{made.instance} at position {past.position}"))
            else:
                rest.add(made)
    return Preview(f"definition {row['definition']}", int(str(row["number"])), tuple(found), rest=rest), looked


def _revisions(history: History, manifest: JsonObject) -> dict[tuple[str, int], Row]:
    """Those of every definition of that name: one that was deleted and made again counts from one anew."""
    if active(history, manifest) is None:
        return {}
    sql = "SELECT * FROM p_revisions WHERE definition = ? AND number > 0 AND activated_position > 0"
    found = history.rows(sql, (manifest["metadata"]["name"],))
    return {
        (str(one["definition_uid"]), int(str(one["number"]))): {**one, "spec": parsed(one["spec"])} for one in found
    }


def _settled(history: History, ref: ObjectRef, uid: str, since: int) -> Iterator[_Past]:
    """Once for each spec and revision: the last state before ``since`` counts, it was live then."""
    sql = (
        "SELECT position FROM p_timeline WHERE instance_uid = ? AND what = 'instance.settled'"
        " AND position >= (SELECT coalesce(max(position), 0) FROM p_timeline WHERE instance_uid = ?"
        " AND what = 'instance.settled' AND position <= ?) ORDER BY position"
    )
    positions = [int(str(row["position"])) for row in history.rows(sql, (uid, uid, since))]
    life, seen = _Life(history, ref), set[tuple[bytes, tuple[str, int]]]()
    for start in range(0, len(positions), _AT_ONCE):
        for event in history.log.events_at(positions[start : start + _AT_ONCE]):
            instance = life.at(event.position)
            if instance is None or terminating(instance) or not isinstance(event.body, InstanceSettled):
                continue
            revision = (event.body.definition_uid, event.body.revision)
            spec = orjson.dumps(instance.get("spec"), option=orjson.OPT_SORT_KEYS)
            known = (sha256(spec).digest(), revision)
            if known not in seen:
                seen.add(known)
                yield _Past(event.position, instance, revision)
