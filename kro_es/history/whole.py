"""A rollback from end to end: one plan, or those of a definition and its instances in the order that loses nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from kro_es.api.objects import Gvk, JsonObject, JsonValue, terminating
from kro_es.errors import UserError
from kro_es.graph.node import ResourceGraph
from kro_es.history import moments, pinning, pins, targets
from kro_es.history import plan as plans
from kro_es.history.compare import object_at
from kro_es.history.forecast import Forecast
from kro_es.history.gaps import notes
from kro_es.history.plan import Instances, Kinds, Plan
from kro_es.history.risks import Risk, RiskName
from kro_es.history.source import History
from kro_es.history.targets import RevisionName, Target
from kro_es.schema.compat import compare
from kro_es.schema.openapi import Schema


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for."""

    to: str
    """Of a definition a revision or a time; with its instances, and of an instance: a position, a time or RGD@N."""
    with_instances: bool = False
    hold: bool = False
    """Steps that change nothing are kept: there is something to be held."""
    spec_only: bool = False
    """An instance goes on following the active revision, whatever it ran then."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """What is written, in this order; only what differs from how it is. Empty ``steps``: everything is so already."""

    target: Target
    base: int
    """Head of the log when it was planned: the way back."""
    steps: tuple[Plan, ...]
    forecasts: tuple[Forecast, ...]
    risks: tuple[Risk, ...]
    notes: tuple[str, ...]
    whole: bool = False
    """The definition together with its instances."""
    undo: str = ""
    """The command that undoes it, where that is no rollback."""

    def counts(self) -> dict[str, int]:
        return {
            name: sum(one.count(change) for one in self.forecasts)
            for name, change in (("created", "created"), ("updated", "changed"), ("deleted", "deleted"))
        }

    def refused(self, accepted: Collection[str]) -> tuple[Risk, ...]:
        """Risks nobody named."""
        return tuple(risk for risk in self.risks if risk.name not in accepted)

    @property
    def way_back(self) -> str:
        """The command that undoes it."""
        if self.undo:
            return self.undo
        name = self.target.ref.name if self.target.is_definition else _named(self.target)
        if self.whole or not self.target.is_definition:
            flag = " --with-instances" if self.whole else ""
            return f"kro-history rollback {name} --to {self.base}{flag} --reason ..."
        return f"kro-history rollback {name} --to {self.steps[0].base} --reason ..."

    def as_json(self) -> JsonObject:
        return {
            "target": self.target.name,
            "steps": [step.as_json() for step in self.steps],
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


def _named(target: Target) -> str:
    where = f" -n {target.ref.namespace}" if target.ref.namespace else ""
    return f"{target.ref.kind.lower()}/{target.ref.name}{where}"


def number_of(history: History, target: Target, to: str) -> int:
    """``3``, ``webapp@3``, or the revision that was active at a time. Raises UserError."""
    number = to.removeprefix(f"{target.ref.name}@")
    if number.isdigit():
        return int(number)
    if not moments.is_moment(to):
        raise UserError(f"{to!r} is no revision of {target.ref.name} and no time: give its number, e.g. --to 2")
    return plans.number_at(history, target, moments.position_of(history, to))


def needs(history: History, target: Target, wanted: Wanted) -> set[Gvk]:
    """Kinds whose schemas the plan needs."""
    if not target.is_definition:
        return plans.instance_needs(history, target)
    return plans.needs(history, target.ref.name, _number(history, target, wanted))


def _number(history: History, target: Target, wanted: Wanted) -> int:
    if wanted.with_instances:
        return plans.number_at(history, target, _moment(history, target, wanted.to))
    return number_of(history, target, wanted.to)


def of(history: History, target: Target, wanted: Wanted, kinds: Kinds | None) -> Rollback:
    """The plan. Raises UserError for what cannot be put back."""
    if wanted.with_instances:
        return _whole(history, target, wanted.to, kinds, hold=wanted.hold)
    if target.is_definition:
        one = plans.of_definition(history, target, number_of(history, target, wanted.to), kinds)
    else:
        one = plans.of_instance(history, target, wanted.to, kinds, spec_only=wanted.spec_only)
    steps = (one,) if one.changes or one.again or one.pinning or wanted.hold else ()
    return Rollback(target, history.head, steps, one.forecasts, one.risks, one.notes)


def of_pins(history: History, instances: Sequence[Target], number: int | None, kinds: Kinds | None) -> Rollback:
    """All of them pinned to a revision, or (None) unpinned. Raises UserError when one cannot be, and for none at all."""
    revisions = pinning.Revisions(history, kinds)
    steps = []
    for target in instances:
        found = (
            pinning.unpinned(history, target) if number is None else pinning.pinned(history, target, number, revisions)
        )
        steps += [plans.of_pin(history, target, found, revisions)] if found else []
    if number is None and not steps:
        raise UserError(f"{', '.join(target.name for target in instances)}: not pinned")
    forecasts = tuple(one for step in steps for one in step.forecasts)
    names = " && ".join(_undone(history, target) for target in instances)
    return Rollback(instances[0], history.head, tuple(steps), forecasts, together(steps), (), undo=names)


def _undone(history: History, target: Target) -> str:
    obj = object_at(history, target.ref, history.head)
    before = pins.pin_of(history, target.uid, obj) if obj else None
    if before is None:
        return f"kro-history unpin {_named(target)} --reason ..."
    return f"kro-history pin {_named(target)} --to {before.number} --reason ..."


def together(steps: Iterable[Plan]) -> tuple[Risk, ...]:
    """The risks of all of them, each name once."""
    found: dict[RiskName, tuple[str, ...]] = {}
    for step in steps:
        for risk in step.risks:
            found[risk.name] = (*found.get(risk.name, ()), *risk.details)
    return tuple(Risk(name, details) for name, details in found.items())


def _moment(history: History, target: Target, to: str) -> int:
    """A position, a time, or ``RGD@N``: the last moment at which that revision was the active one."""
    if "@" not in to:
        return moments.position_of(history, to)
    name = RevisionName.parse(to)
    sql = (
        "SELECT activated_position AS p FROM p_revisions WHERE definition_uid = ? AND activated_position > 0"
        " AND (number = ? OR activated_position > (SELECT activated_position FROM p_revisions"
        " WHERE definition_uid = ? AND number = ?)) ORDER BY activated_position"
    )
    found = history.rows(sql, (target.uid, name.number, target.uid, name.number))
    if not found or name.definition != target.ref.name:
        raise UserError(f"{to} was never an active revision of {target.ref.name}")
    return int(str(found[1]["p"])) - 1 if len(found) > 1 else history.head


def _whole(history: History, target: Target, to: str, kinds: Kinds | None, *, hold: bool) -> Rollback:
    if not target.is_definition:
        raise UserError(f"--with-instances goes with a definition; {target.name} is none")
    position = _moment(history, target, to)
    number = plans.number_at(history, target, position)
    newest, wanted = plans.definition_specs(history, target.ref.name, number)
    group, kind = str(wanted["instance_group"]), str(wanted["instance_kind"])
    steps, stay = _instances(history, targets.of_kind(history, group, kind), position, hold=hold)
    if kinds is not None and steps:
        (graph,) = plans.compiled(history, target.ref.name, (int(str(newest["number"])),), kinds)
        served = (plans.as_served(history, step, graph) for step in steps)
        steps = tuple(step for step in served if step.changes or step.again or hold)
    specs = {step.target.ref.key: step.spec for step in steps if step.again is None}
    besides = Instances(specs, tuple(step.again for step in steps if step.again is not None))
    definition = plans.of_definition(history, target, number, kinds, besides)
    order, told = _ordered(history, definition, (int(str(newest["number"])), number), steps, kinds)
    order = order if definition in order or not hold else (definition, *order)
    at = moments.time_of(history, to) if "@" not in to else moments.time_of(history, str(position))
    blind = notes(history, at, at + 1, {f"{group}/{kind}"})
    risks = (*((Risk("blind-spot", blind),) if blind else ()), *definition.risks)
    said = (*definition.notes, *(note for step in steps for note in step.notes), *told, *stay)
    return Rollback(target, history.head, order, definition.forecasts, risks, said, whole=True)


def _instances(
    history: History, known: Iterable[Target], position: int, *, hold: bool
) -> tuple[tuple[Plan, ...], tuple[str, ...]]:
    """Plans for those that were there and are not as they were, and what is said about those that came later."""
    steps, stay = [], []
    for one in known:
        then, now = (object_at(history, one.ref, where) for where in (position, history.head))
        if then is not None and not terminating(then):
            made = plans.spec_plan(history, one, position)
            steps += [made] if made.changes or made.again or hold else []
        elif now is not None:
            stay.append(one.name)
    text = f"made since then, and left as they are: {', '.join(stay)}"
    return tuple(steps), (text,) if stay else ()


def _ordered(
    history: History, definition: Plan, numbers: tuple[int, int], steps: tuple[Plan, ...], kinds: Kinds | None
) -> tuple[tuple[Plan, ...], tuple[str, ...]]:
    """The schema goes first, unless it only narrows: then specs that still fit it go before it is narrow."""
    if not definition.changes or not steps:
        return (*((definition,) if definition.changes else ()), *steps), ()
    if kinds is None:
        return (definition, *steps), ()
    before, after = plans.compiled(history, definition.definition, numbers, kinds)
    narrows = bool(compare(before.crd, after.crd).breaking)
    if not narrows or any(_unknown(_spec_schema(before), step.spec) for step in steps):
        return (definition, *steps), ("order: the definition, then the instances",)
    return (*steps, definition), ("order: the instances, then the definition, whose schema becomes narrower",)


def _spec_schema(graph: ResourceGraph) -> Schema:
    version = graph.crd["spec"]["versions"][0]
    return Schema(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


def _unknown(schema: Schema, value: JsonValue) -> bool:
    """Whether the API server would prune any of it."""
    if isinstance(value, list):
        items = schema.items
        return items is not None and any(_unknown(items, item) for item in value)
    if not isinstance(value, dict) or schema.preserve_unknown:
        return False
    additional = schema.additional
    if additional is not None:
        return additional is not True and any(_unknown(additional, item) for item in value.values())
    known = dict(schema.properties())
    return any(name not in known or _unknown(known[name], item) for name, item in value.items())
