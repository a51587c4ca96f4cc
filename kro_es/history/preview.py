"""What a file would change if it was applied now: to every live instance, by the log, before anybody applies it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from kro_es.api import metadata
from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, ObjectRef
from kro_es.errors import DefinitionErrors, UserError
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.graph.node import ResourceGraph
from kro_es.history.forecast import Forecast, Recorded, Side, forecast
from kro_es.history.pins import pinned_of, pins_of, standing
from kro_es.history.plan import Kinds
from kro_es.history.revisions import parsed, revision
from kro_es.history.source import History
from kro_es.history.targets import RevisionName
from kro_es.projections.projection import Row
from kro_es.schema.compat import compare


@dataclass(slots=True)
class Rest:
    """Forecasts that are only counted: a back-test has more of them than anybody reads, or a memory holds."""

    forecasts: int = 0
    changed: int = 0
    problems: int = 0
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, one: Forecast) -> None:
        self.forecasts += 1
        self.changed += bool(one.differences)
        self.problems += len(one.new)
        _count(self.by_kind, one)


def _count(found: dict[str, Counter[str]], one: Forecast) -> None:
    for difference in one.differences:
        found.setdefault(difference.object.split(" ")[0], Counter())[difference.change] += 1


@dataclass(frozen=True, slots=True)
class Preview:
    """``breaking``: what of the instances' schema gets narrower. ``revision`` 0: nothing is active yet."""

    about: str
    revision: int
    forecasts: tuple[Forecast, ...]
    breaking: tuple[str, ...] = ()
    rest: Rest = field(default_factory=Rest)

    @property
    def problems(self) -> tuple[str, ...]:
        """What would newly wait or fail, instance by instance."""
        found = tuple(f"{one.instance}: {text}" for one in self.forecasts for text in one.new)
        return (*found, f"{self.rest.problems} more") if self.rest.problems else found

    @property
    def problem_count(self) -> int:
        """Those that are only counted too."""
        return sum(len(one.new) for one in self.forecasts) + self.rest.problems

    @property
    def count(self) -> int:
        return len(self.forecasts) + self.rest.forecasts

    @property
    def changes(self) -> int:
        """How many of them something changes for."""
        return sum(1 for one in self.forecasts if one.differences) + self.rest.changed

    def by_kind(self) -> dict[str, dict[str, int]]:
        """Kind to how many of its objects are created, changed and deleted."""
        found = {kind: Counter(counts) for kind, counts in self.rest.by_kind.items()}
        for one in self.forecasts:
            _count(found, one)
        return {kind: dict(found[kind]) for kind in sorted(found)}

    def as_json(self) -> JsonObject:
        return {
            "about": self.about,
            "revision": self.revision,
            "instances": self.count,
            "changed": self.changes,
            "by_kind": self.by_kind(),
            "breaking": list(self.breaking),
            "problems": list(self.problems),
            "objects": [
                {"instance": one.instance, **row}
                for one in self.forecasts
                for difference in one.differences
                for row in difference.as_rows()
            ],
            "only_counted": self.rest.forecasts,
        }


def needs(history: History, manifest: JsonObject) -> set[Gvk]:
    """Kinds whose schemas are needed: of the file, and of the revision it is compared with."""
    found = set() if _is_instance(manifest) else set(required_kinds(parse(manifest)))
    row = active(history, manifest)
    return found | (set(required_kinds(parse(manifest_of(row)))) if row else set())


Complete: TypeAlias = Callable[[ResourceGraph, JsonObject], JsonObject]
"""An instance with the defaults the API server would give it by a graph's schema."""


def of(history: History, manifest: JsonObject, kinds: Kinds, complete: Complete) -> Preview:
    """Of a definition, which nobody follows who is pinned, or of an instance.

    Raises UserError, DefinitionErrors for a definition that does not compile."""
    row = active(history, manifest)
    if _is_instance(manifest):
        return _of_instance(history, manifest, row, kinds, complete)
    about = f"definition {manifest['metadata']['name']}"
    after = compile_graph(parse(manifest), kinds)
    if row is None:
        return Preview(about, 0, ())
    before = compiled(row, kinds)
    rows = history.rows(
        "SELECT uid, object FROM p_objects WHERE kind_key = ? ORDER BY key",
        (f"{row['instance_group']}/{row['instance_kind']}",),
    )
    pinned = pinned_of(history, str(row["definition_uid"]))
    forecasts = tuple(
        told(Recorded(history, str(one["uid"])), Side(before, parsed(one["object"])), after, complete)
        for one in rows
        if one["uid"] not in pinned
    )
    breaking = tuple(f"{one.path}: {one}" for one in compare(before.crd, after.crd).breaking)
    return Preview(about, int(str(row["number"])), forecasts, breaking)


def told(recorded: Recorded, before: Side, after: ResourceGraph, complete: Complete) -> Forecast:
    """One that the new schema refuses goes on as it is until somebody edits it; that it would be refused is told."""
    try:
        instance = complete(after, before.instance)
    except UserError as error:
        meta = before.instance["metadata"]
        name = f"{before.instance['kind'].lower()} {meta.get('namespace', '')}/{meta['name']}"
        return Forecast(name, (), (f"does not fit the schema: {error}",))
    return forecast(recorded, before, Side(after, instance))


def _of_instance(history: History, manifest: JsonObject, row: Row | None, kinds: Kinds, complete: Complete) -> Preview:
    if row is None:
        kind = ObjectRef.of(manifest).group_kind
        raise UserError(f"no active definition in this log makes {kind}: apply it first, or plan it")
    # where the file names no namespace, it is the one the API server would take
    ref = ObjectRef.of(complete(compiled(row, kinds), manifest))
    found = history.rows("SELECT uid, object FROM p_objects WHERE key = ?", (ref.key,))
    manifest = {**manifest, "metadata": {**manifest["metadata"], "namespace": ref.namespace}}
    row = _pinned_to(history, row, str(found[0]["uid"]) if found else "", manifest) or row
    graph = compiled(row, kinds)
    wanted = complete(graph, manifest)
    now = parsed(found[0]["object"]) if found else wanted
    recorded = Recorded(history, str(found[0]["uid"]) if found else "")
    after = {**now, "spec": wanted.get("spec") or {}}
    one = forecast(recorded, Side(graph, now), Side(graph, after))
    return Preview(f"instance {ref.kind.lower()} {ref.namespace}/{ref.name}", int(str(row["number"])), (one,))


def _pinned_to(history: History, row: Row, uid: str, manifest: JsonObject) -> Row | None:
    """The revision it is pinned to by its name, or as it is in the file by its labels."""
    definition_uid = str(row["definition_uid"])
    own = pins_of(history, definition_uid).get(uid)
    if own is not None and own["by"] == 0:
        number = int(str(own["number"]))
    else:
        by_labels = [one for one in standing(history, definition_uid) if one.selects(manifest)]
        number = by_labels[-1].number if by_labels else 0
    return revision(history, RevisionName(str(row["definition"]), number)) if number else None


def _is_instance(manifest: JsonObject) -> bool:
    return manifest.get("kind") != "ResourceGraphDefinition"


def active(history: History, manifest: JsonObject) -> Row | None:
    """The active revision of the definition, or of the definition of the instance's kind."""
    sql = (
        "SELECT r.* FROM p_definitions d JOIN p_revisions r ON r.definition_uid = d.key AND r.number = d.active"  # noqa: S608 our own words
        f" JOIN p_objects o ON o.key = '{metadata.GROUP}/{metadata.DEFINITION_KIND}//' || d.definition AND o.uid = d.key"
        " WHERE "
    )
    if _is_instance(manifest):
        ref = ObjectRef.of(manifest)
        found = history.rows(f"{sql} r.instance_group = ? AND r.instance_kind = ?", (ref.group, ref.kind))
    else:
        found = history.rows(f"{sql} d.definition = ?", (manifest["metadata"]["name"],))
    return {**found[0], "spec": parsed(found[0]["spec"])} if found else None


def manifest_of(row: Row) -> JsonObject:
    meta = {"name": row["definition"], "uid": row["definition_uid"], "generation": row["generation"]}
    return {"metadata": meta, "spec": row["spec"]}


def compiled(row: Row, kinds: Kinds) -> ResourceGraph:
    try:
        return compile_graph(parse(manifest_of(row)), kinds)
    except DefinitionErrors as error:
        text = f"revision {row['number']} of {row['definition']}, which is active, does not compile by these kinds: {error}"
        raise UserError(text) from error
