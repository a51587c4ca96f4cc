"""A definition run over what was: every state an instance settled in, as the log has it, alive or gone by now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from kro_es.api import metadata
from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource, labels, terminating
from kro_es.api.selector import Selector
from kro_es.errors import UserError
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.graph.node import ResourceGraph
from kro_es.history import targets
from kro_es.history.compare import object_at
from kro_es.history.forecast import Forecast, Recorded, Side
from kro_es.history.plan import Kinds
from kro_es.history.positions import children
from kro_es.history.preview import Complete, Preview, active, compiled, manifest_of, told
from kro_es.history.revisions import parsed
from kro_es.history.source import History
from kro_es.history.timeline import key
from kro_es.projections.projection import Row


@dataclass(frozen=True, slots=True)
class _Past:
    """A state an instance settled in: where in the log, and the revision it followed."""

    position: int
    instance: JsonObject
    revision: int


class RecordedAt(Recorded):
    """The cluster as the log saw it at a position."""

    def __init__(self, history: History, instance_uid: str, position: int) -> None:
        self._history = history
        self._position = position
        refs = children(history, instance_uid)
        there = {ref: object_at(history, ref, position) for ref in refs}
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
    history: History, manifest: JsonObject, kinds: Kinds, complete: Complete, since: int
) -> tuple[Preview, int]:
    """What would have been otherwise after position ``since``, and how many states were looked at.

    Raises UserError for a definition the log does not know, DefinitionErrors for one that does not compile.
    """
    row = active(history, manifest)
    if row is None:
        raise UserError(f"the log has no definition {manifest['metadata']['name']}: there is no past to test with")
    after = compile_graph(parse(manifest), kinds)
    graphs: dict[int, ResourceGraph] = {}
    rows = _revisions(history, manifest)
    found: list[Forecast] = []
    looked = 0
    for one in targets.of_kind(history, str(row["instance_group"]), str(row["instance_kind"])):
        for past in _settled(history, one.ref, one.uid, since):
            if past.revision not in rows:
                continue
            if past.revision not in graphs:
                graphs[past.revision] = compiled(rows[past.revision], kinds)
            looked += 1
            recorded = RecordedAt(history, one.uid, past.position)
            made = told(recorded, Side(graphs[past.revision], past.instance), after, complete)
            name = f"{made.instance} at position {past.position}"
            found.append(Forecast(name, made.differences, made.unknown, made.already))
    return Preview(f"definition {row['definition']}", int(str(row["number"])), tuple(found)), looked


def _revisions(history: History, manifest: JsonObject) -> dict[int, Row]:
    row = active(history, manifest)
    if row is None:
        return {}
    sql = "SELECT * FROM p_revisions WHERE definition_uid = ? AND number > 0 AND activated_position > 0"
    found = history.rows(sql, (row["definition_uid"],))
    return {int(str(one["number"])): {**one, "spec": parsed(one["spec"])} for one in found}


def _settled(history: History, ref: ObjectRef, uid: str, since: int) -> Iterator[_Past]:
    """Once for each spec and revision: the last state before ``since`` counts, it was live then."""
    sql = (
        "SELECT position, summary FROM p_timeline WHERE instance_uid = ? AND what = 'instance.settled'"
        " AND key >= (SELECT coalesce(max(key), '') FROM p_timeline WHERE instance_uid = ?"
        " AND what = 'instance.settled' AND key <= ?) ORDER BY key"
    )
    seen: set[tuple[bytes, int]] = set()
    for row in history.rows(sql, (uid, uid, key(since))):
        position = int(str(row["position"]))
        instance = object_at(history, ref, position)
        event = history.log.event(position)
        revision = int(getattr(event.body, "revision", 0)) if event else 0
        if instance is None or terminating(instance):
            continue
        known = (orjson.dumps(instance.get("spec"), option=orjson.OPT_SORT_KEYS), revision)
        if known not in seen:
            seen.add(known)
            yield _Past(position, instance, revision)
