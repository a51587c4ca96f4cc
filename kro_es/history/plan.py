"""What a rollback would do, made before anything is done: fields, objects, and every risk by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from kro_es.api import metadata
from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, JsonValue
from kro_es.errors import DefinitionErrors, UserError
from kro_es.events.redaction import MARK
from kro_es.events.types import ReconcileDecided
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.graph.node import ResourceGraph
from kro_es.history import moments
from kro_es.history.changes import changes
from kro_es.history.compare import object_at
from kro_es.history.forecast import Forecast, Recorded, Side, forecast
from kro_es.history.gaps import notes
from kro_es.history.pinning import Pinning, Revisions, as_it_ran, followed, foreseen, live, sides
from kro_es.history.pins import pinned_of
from kro_es.history.revisions import parsed, revision
from kro_es.history.risks import Risk
from kro_es.history.source import History
from kro_es.history.targets import RevisionName, Target
from kro_es.projections.projection import Row
from kro_es.schema.compat import compare
from kro_es.schema.openapi import KindSchema
from kro_es.schema.pruned import pruned

NOT_FORESEEN = "no cluster was asked: what becomes of the objects is not foreseen"
_HOLDS_DATA = frozenset(["persistentvolumeclaim", "persistentvolume"])
_NOT_OWN = (*metadata.RESERVED_PREFIXES, "applyset.kubernetes.io/", "kubectl.kubernetes.io/")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A pin by labels that begins, or (number 0) ends."""

    namespace: str
    selector: str
    number: int
    mark: str

    @property
    def text(self) -> str:
        whose = f"instances with {self.selector}" + (f" in namespace {self.namespace}" if self.namespace else "")
        return f"{whose}: pinned to revision {self.number}, later ones too" if self.number else f"{whose}: unpinned"


@dataclass(frozen=True, slots=True)
class Plan:
    """From how it is to how it was. ``base``: the newest revision, or the position of the instance's last observation."""

    target: Target
    definition: str
    definition_uid: str
    to: int
    """Revision number of a definition; position of an instance."""
    base: int
    spec: JsonObject
    digest: str
    changes: tuple[JsonObject, ...]
    """Of the spec itself, field by field; all of it when the object is made again."""
    forecasts: tuple[Forecast, ...] = ()
    risks: tuple[Risk, ...] = ()
    notes: tuple[str, ...] = ()
    again: JsonObject | None = None
    """What is created, when the object itself is gone."""
    pinning: Pinning | None = None
    """What changes about the revision the instance runs."""
    keeps_spec: bool = False
    """Only the revision it runs changes: whatever its spec is by then stays."""
    labelled: Labelled | None = None
    """Of a definition: what changes about instances that are pinned by their labels."""

    @property
    def follows_labels(self) -> bool:
        """The controller carries it out, because of a step before it."""
        return self.pinning is not None and bool(self.pinning.selector)

    def as_json(self) -> JsonObject:
        text = self.pinning.text if self.pinning else self.labelled.text if self.labelled else None
        return {
            "target": self.target.name,
            "to": self.to,
            "base": self.base,
            "created": self.again is not None,
            "changes": list(self.changes),
            "pin": text,
        }


Kinds = Mapping[Gvk, KindSchema]


@dataclass(frozen=True, slots=True)
class Instances:
    """What a rollback of a whole graph does to instances besides: other specs by ``ObjectRef.key``, and those made again."""

    specs: Mapping[str, JsonObject] = field(default_factory=dict)
    again: tuple[JsonObject, ...] = ()


def definition_specs(history: History, name: str, to: int) -> tuple[Row, Row]:
    """Rows of the newest revision and of the one to go back to. Raises UserError for an unknown one."""
    wanted = revision(history, RevisionName(name, to))
    heads = history.rows("SELECT newest FROM p_definitions WHERE key = ?", (wanted["definition_uid"],))
    newest = revision(history, RevisionName(name, int(str(heads[0]["newest"]))))
    if newest["definition_uid"] != wanted["definition_uid"]:
        raise UserError(f"{name} was deleted and made again since revision {to}: apply `kro-history show {name}@{to}`")
    return newest, wanted


def of_definition(
    history: History, target: Target, to: int, kinds: Kinds | None, besides: Instances = Instances()
) -> Plan:
    """``kinds``: schemas as the cluster serves them; without them the objects cannot be foreseen, and the plan says so."""
    newest, wanted = definition_specs(history, target.ref.name, to)
    spec: JsonObject = parsed(wanted["spec"])
    if _redacted(spec):
        raise UserError(f"revision {to} holds redacted values: they cannot be put back")
    made = Plan(
        target, target.ref.name, str(wanted["definition_uid"]), to, int(str(newest["number"])), spec,
        str(wanted["spec_hash"]), tuple(changes(newest["spec"], spec)),
        notes=notes(history, int(str(wanted["issued_at"])), history.now),
    )  # fmt: skip
    if kinds is None:
        return replace(made, notes=(*made.notes, NOT_FORESEEN))
    after = _compiled(target.ref.name, wanted, kinds)
    try:
        before = _compiled(target.ref.name, newest, kinds)
    except UserError as error:
        return replace(made, notes=(*made.notes, f"the newest revision cannot be compared: {error}"))
    pinned = pinned_of(history, str(wanted["definition_uid"]))
    if pinned:
        text = f"{len(pinned)} instance(s) are pinned and do not follow: kro-history pins"
        made = replace(made, notes=(*made.notes, text))
    forecasts = tuple(
        forecast(Recorded(history, str(row["uid"])), Side(before, obj), Side(after, _instead(besides, row, obj)))
        for row in _instances(history, newest)
        for obj in [parsed(row["object"])]
        if row["uid"] not in pinned
    )
    forecasts += _of_pinned(history, newest, besides, pinned, Revisions(history, kinds))
    forecasts += tuple(forecast(Recorded(history, ""), Side(before, obj), Side(after, obj)) for obj in besides.again)
    breaking = tuple(f"{one.path}: {one}" for one in compare(before.crd, after.crd).breaking)
    risks = (Risk("breaking-change", breaking),) if breaking else ()
    return replace(made, forecasts=forecasts, risks=(*risks, *_losses(forecasts)))


def _of_pinned(
    history: History, newest: Row, besides: Instances, pinned: Mapping[str, int], revisions: Revisions
) -> tuple[Forecast, ...]:
    """Of those whose spec is put back too: they go on with the revision they are pinned to."""
    found = []
    for row in _instances(history, newest):
        if row["uid"] in pinned and row["key"] in besides.specs:
            obj = parsed(row["object"])
            name = RevisionName(str(newest["definition"]), pinned[str(row["uid"])])
            try:
                graph = revisions.graph(revision(history, name))
            except UserError as error:
                meta = obj["metadata"]
                text = f"{obj['kind'].lower()} {meta.get('namespace', '')}/{meta['name']}"
                found.append(Forecast(text, (), (str(error),)))
            else:
                pair = Side(graph, obj), Side(graph, _instead(besides, row, obj))
                found.append(forecast(Recorded(history, str(row["uid"])), *pair))
    return tuple(found)


def number_at(history: History, target: Target, position: int) -> int:
    """Number of the revision that was active at a position. Raises UserError when none was."""
    sql = (
        "SELECT number FROM p_revisions WHERE definition_uid = ? AND activated_position > 0 AND activated_position <= ?"
        " ORDER BY activated_position DESC LIMIT 1"
    )
    found = history.rows(sql, (target.uid, position))
    if not found:
        raise UserError(f"{target.ref.name} had no active revision at position {position}")
    return int(str(found[0]["number"]))


def _instead(besides: Instances, row: Row, obj: JsonObject) -> JsonObject:
    spec = besides.specs.get(str(row["key"]))
    return obj if spec is None else {**obj, "spec": spec}


def compiled(history: History, name: str, numbers: Sequence[int], kinds: Kinds) -> tuple[ResourceGraph, ...]:
    """Revisions as the cluster would compile them. Raises UserError."""
    return tuple(_compiled(name, revision(history, RevisionName(name, number)), kinds) for number in numbers)


def needs(history: History, name: str, to: int) -> set[Gvk]:
    """Kinds whose schemas a plan for a definition needs."""
    found: set[Gvk] = set()
    for row in definition_specs(history, name, to):
        found |= set(required_kinds(parse(_manifest(row))))
    return found


def _manifest(row: Row) -> JsonObject:
    meta = {"name": row["definition"], "uid": row["definition_uid"], "generation": row["generation"]}
    return {"metadata": meta, "spec": row["spec"]}


def _compiled(name: str, row: Row, kinds: Kinds) -> ResourceGraph:
    try:
        return compile_graph(parse(_manifest(row)), kinds)
    except DefinitionErrors as error:
        text = f"revision {row['number']} of {name} does not compile against this cluster: {error}"
        raise UserError(text) from error


def _instances(history: History, row: Row) -> Sequence[Row]:
    kind = f"{row['instance_group']}/{row['instance_kind']}"
    return history.rows("SELECT key, uid, object FROM p_objects WHERE kind_key = ? ORDER BY key", (kind,))


def _losses(forecasts: tuple[Forecast, ...]) -> tuple[Risk, ...]:
    """What is deleted, and what is made anew although only the old one had what was in it."""
    every = [(one, difference) for one in forecasts for difference in one.differences]
    deleted = tuple(f"{it.object} of {one.instance}" for one, it in every if it.change == "deleted")
    empty = tuple(
        f"{it.object} of {one.instance}"
        for one, it in every
        if it.change == "created" and it.object.split(" ")[0] in _HOLDS_DATA
    )
    found = (Risk("deletes-objects", deleted), Risk("lost-data", empty))
    return tuple(risk for risk in found if risk.details)


def position_of(history: History, target: Target, to: str) -> int:
    """A position, a time, or ``RGD@N``: the last decision of the instance at that revision. Raises UserError."""
    if "@" not in to:
        return moments.position_of(history, to)
    number = RevisionName.parse(to).number
    found = [
        event.position
        for event in history.log.read_stream(f"instance/{target.uid}")
        if isinstance(event.body, ReconcileDecided) and event.body.revision == number
    ]
    if not found:
        raise UserError(f"{target.name} never followed revision {to}")
    return found[-1]


def of_pin(history: History, target: Target, pinning: Pinning, revisions: Revisions) -> Plan:
    """Another revision for an instance, with what becomes of its objects."""
    obj, now = live(history, target), followed(history, target)
    head = history.log.state_at(target.stream)
    assert head is not None
    found = (foreseen(history, target, pinning.number, revisions),)
    return Plan(
        target, str(now["definition"]), str(now["definition_uid"]), head.position, head.position,
        obj.get("spec") or {}, "", (), found, _losses(found), pinning=pinning, keeps_spec=True,
    )  # fmt: skip


def of_instance(history: History, target: Target, to: str, kinds: Kinds | None, *, spec_only: bool = False) -> Plan:
    """The instance's spec as it was, and the revision it ran; one that is gone is made again.

    Raises UserError when it was not there then, or cannot run that revision any more.
    """
    position = position_of(history, target, to)
    revisions = Revisions(history, kinds)
    made = spec_plan(history, target, position)
    if not spec_only:
        made = _with_revision(made, _pinning(history, target, position, revisions))
    kind = {f"{target.ref.group}/{target.ref.kind}"}
    event = history.log.event(position)
    assert event is not None
    moment = event.recorded_at if "@" in to else moments.time_of(history, to)
    blind = notes(history, moment, moment + 1, kind)
    made = replace(
        made,
        risks=(Risk("blind-spot", blind),) if blind else (),
        notes=(*made.notes, *notes(history, event.recorded_at, history.now, kind)),
    )
    if kinds is None:
        return replace(made, notes=(*made.notes, NOT_FORESEEN))
    if made.pinning is None:
        row = followed(history, target)
        after = _compiled(str(row["definition"]), row, kinds)
        before: ResourceGraph | None = after
    else:
        before, after = sides(history, target, made.pinning.number, revisions)
    if before is not None:
        made = as_served(history, made, before)
    now = made.again or object_at(history, target.ref, history.head) or {}
    uid = "" if made.again else target.uid
    came = Side(before, now) if before else None
    found = (forecast(Recorded(history, uid), came, Side(after, {**now, "spec": made.spec})),)
    return replace(made, forecasts=found, risks=(*made.risks, *_losses(found)))


def _pinning(history: History, target: Target, position: int, revisions: Revisions) -> Pinning | None:
    try:
        return as_it_ran(history, target, position, revisions)
    except UserError as error:
        raise UserError(f"{error}; its spec alone comes back with --spec-only") from error


def _with_revision(made: Plan, pinning: Pinning | None) -> Plan:
    """One that is made again carries the pin from its first moment."""
    if made.again is None or pinning is None or not pinning.mark:
        return replace(made, pinning=pinning)
    meta = made.again["metadata"]
    said = {"annotations": {**(meta.get("annotations") or {}), metadata.PINNED: pinning.mark}}
    said["labels"] = {**(meta.get("labels") or {}), metadata.PINNED_REVISION: str(pinning.number)}
    return replace(made, pinning=pinning, again={**made.again, "metadata": {**meta, **said}})


def spec_plan(history: History, target: Target, position: int) -> Plan:
    """What is written to one instance, without what becomes of its children. Raises UserError."""
    now, then = (object_at(history, target.ref, where) for where in (history.head, position))
    if then is None:
        raise UserError(f"{target.name} was not there at position {position}")
    spec = then.get("spec") or {}
    if _redacted(spec):
        raise UserError(
            f"{target.name}: the spec at position {position} holds redacted values: they cannot be put back"
        )
    head = history.log.state_at(target.stream)
    assert head is not None
    row = followed(history, target)
    digest = hashlib.sha256(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)).hexdigest()
    again = None if now is not None else _manifest_of(then, spec)
    text = f"{target.name} is gone: it is made again, with another uid"
    return Plan(
        target, str(row["definition"]), str(row["definition_uid"]), position, head.position, spec, digest,
        tuple(changes(now.get("spec") or {} if now else {}, spec)),
        notes=(text,) if again else (), again=again,
    )  # fmt: skip


def as_served(history: History, made: Plan, graph: ResourceGraph) -> Plan:
    """Without differences only the log still knows of: what a schema prunes since the object was written is gone."""
    now = object_at(history, made.target.ref, history.head)
    if now is None or made.again is not None:
        return made
    schema = graph.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].get("spec") or {}
    return replace(made, changes=tuple(changes(pruned(now.get("spec") or {}, schema), made.spec)))


def _manifest_of(obj: JsonObject, spec: JsonObject) -> JsonObject:
    """What a person would apply: without what the cluster and this controller put on the object."""
    meta = {name: obj["metadata"][name] for name in ("name", "namespace") if name in obj["metadata"]}
    for part in ("labels", "annotations"):
        own = {name: value for name, value in (obj["metadata"].get(part) or {}).items() if _is_own(name)}
        meta |= {part: own} if own else {}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": meta, "spec": spec}


def _is_own(name: str) -> bool:
    return name == metadata.RECONCILE or not name.startswith(_NOT_OWN)


def instance_needs(history: History, target: Target) -> set[Gvk]:
    return set(required_kinds(parse(_manifest(followed(history, target)))))


def _redacted(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return MARK in value or any(_redacted(item) for item in value.values())
    return isinstance(value, list) and any(_redacted(item) for item in value)
