"""What a rollback would do, made before anything is done: fields, objects, and every risk by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

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
from kro_es.history.revisions import parsed, revision
from kro_es.history.risks import Risk
from kro_es.history.source import History
from kro_es.history.targets import RevisionName, Target
from kro_es.projections.projection import Row
from kro_es.schema.compat import compare
from kro_es.schema.openapi import KindSchema


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
    """Of the spec itself, field by field."""
    forecasts: tuple[Forecast, ...] = ()
    risks: tuple[Risk, ...] = ()
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        return {
            name: sum(one.count(change) for one in self.forecasts)
            for name, change in (("created", "created"), ("updated", "changed"), ("deleted", "deleted"))
        }

    def refused(self, accepted: set[str]) -> tuple[Risk, ...]:
        """Risks nobody named."""
        return tuple(risk for risk in self.risks if risk.name not in accepted)

    def as_json(self) -> JsonObject:
        return {
            "target": self.target.name,
            "to": self.to,
            "base": self.base,
            "changes": list(self.changes),
            "objects": [
                {"instance": one.instance, "unknown": list(one.unknown), **row}
                for one in self.forecasts
                for difference in one.differences
                for row in difference.as_rows()
            ],
            "counts": self.counts(),
            "risks": [{"name": risk.name, "details": list(risk.details)} for risk in self.risks],
            "notes": list(self.notes),
        }


Kinds = Mapping[Gvk, KindSchema]


def definition_specs(history: History, name: str, to: int) -> tuple[Row, Row]:
    """Rows of the newest revision and of the one to go back to. Raises UserError for an unknown one."""
    wanted = revision(history, RevisionName(name, to))
    heads = history.rows("SELECT newest FROM p_definitions WHERE key = ?", (wanted["definition_uid"],))
    newest = revision(history, RevisionName(name, int(str(heads[0]["newest"]))))
    if newest["definition_uid"] != wanted["definition_uid"]:
        raise UserError(f"{name} was deleted and made again since revision {to}: apply `kro-history show {name}@{to}`")
    return newest, wanted


def of_definition(history: History, target: Target, to: int, kinds: Kinds | None) -> Plan:
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
        return replace(made, notes=(*made.notes, "no cluster was asked: what becomes of the objects is not foreseen"))
    after = _compiled(target, wanted, kinds)
    try:
        before = _compiled(target, newest, kinds)
    except UserError as error:
        return replace(made, notes=(*made.notes, f"the newest revision cannot be compared: {error}"))
    forecasts = tuple(
        forecast(Recorded(history, str(row["uid"])), Side(before, obj), Side(after, obj))
        for row in _instances(history, newest)
        for obj in [parsed(row["object"])]
    )
    breaking = tuple(f"{one.path}: {one}" for one in compare(before.crd, after.crd).breaking)
    risks = (Risk("breaking-change", breaking),) if breaking else ()
    return replace(made, forecasts=forecasts, risks=(*risks, *_deletions(forecasts)))


def needs(history: History, name: str, to: int) -> set[Gvk]:
    """Kinds whose schemas a plan for a definition needs."""
    found: set[Gvk] = set()
    for row in definition_specs(history, name, to):
        found |= set(required_kinds(parse(_manifest(row))))
    return found


def _manifest(row: Row) -> JsonObject:
    meta = {"name": row["definition"], "uid": row["definition_uid"], "generation": row["generation"]}
    return {"metadata": meta, "spec": row["spec"]}


def _compiled(target: Target, row: Row, kinds: Kinds) -> ResourceGraph:
    try:
        return compile_graph(parse(_manifest(row)), kinds)
    except DefinitionErrors as error:
        text = f"revision {row['number']} of {target.ref.name} does not compile against this cluster: {error}"
        raise UserError(text) from error


def _instances(history: History, row: Row) -> list[Row]:
    kind = f"{row['instance_group']}/{row['instance_kind']}"
    return history.rows("SELECT uid, object FROM p_objects WHERE kind_key = ? ORDER BY key", (kind,))


def _deletions(forecasts: tuple[Forecast, ...]) -> tuple[Risk, ...]:
    found = tuple(
        f"{difference.object} of {one.instance}"
        for one in forecasts
        for difference in one.differences
        if difference.change == "deleted"
    )
    return (Risk("deletes-objects", found),) if found else ()


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


def of_instance(history: History, target: Target, to: str, kinds: Kinds | None) -> Plan:
    """The instance's own spec as it was. Raises UserError when it was not there, or is not there now."""
    position = position_of(history, target, to)
    now, then = (object_at(history, target.ref, where) for where in (history.head, position))
    if then is None:
        raise UserError(f"{target.name} was not there at position {position}")
    if now is None:
        raise UserError(f"{target.name} is gone: apply `kro-history show KIND/NAME --at {position}` to make it again")
    spec = then.get("spec") or {}
    if _redacted(spec):
        raise UserError(f"the spec at position {position} holds redacted values: they cannot be put back")
    head = history.log.state_at(target.stream)
    event = history.log.event(position)
    assert head is not None
    assert event is not None
    kind = {f"{target.ref.group}/{target.ref.kind}"}
    moment = event.recorded_at if "@" in to else moments.time_of(history, to)
    blind = notes(history, moment, moment + 1, kind)
    row = _followed(history, target)
    digest = hashlib.sha256(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)).hexdigest()
    made = Plan(
        target, str(row["definition"]), str(row["definition_uid"]), position, head.position, spec, digest,
        tuple(changes(now.get("spec") or {}, spec)),
        risks=(Risk("blind-spot", blind),) if blind else (),
        notes=notes(history, event.recorded_at, history.now, kind),
    )  # fmt: skip
    if kinds is None:
        return replace(made, notes=(*made.notes, "no cluster was asked: what becomes of the objects is not foreseen"))
    graph = _compiled(target, row, kinds)
    found = (forecast(Recorded(history, target.uid), Side(graph, now), Side(graph, {**now, "spec": spec})),)
    return replace(made, forecasts=found, risks=(*made.risks, *_deletions(found)))


def instance_needs(history: History, target: Target) -> set[Gvk]:
    return set(required_kinds(parse(_manifest(_followed(history, target)))))


def _followed(history: History, target: Target) -> Row:
    """The revision the instance follows."""
    sql = (
        "SELECT r.* FROM p_instances i JOIN p_revisions r ON r.definition_uid = i.definition_uid"
        " AND r.number = i.revision WHERE i.key = ?"
    )
    found = history.rows(sql, (target.uid,))
    if not found:
        raise UserError(f"{target.name} is no instance that follows a revision of this log")
    return {**found[0], "spec": parsed(found[0]["spec"])}


def _redacted(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return MARK in value or any(_redacted(item) for item in value.values())
    return isinstance(value, list) and any(_redacted(item) for item in value)
