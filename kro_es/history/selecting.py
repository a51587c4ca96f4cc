"""Plans for a pin by labels: one command about a definition, which whatever has the labels follows, now and later."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, labels, terminating
from kro_es.api.selector import Selector
from kro_es.decisions.pin import SelectorPin, of_its_own
from kro_es.errors import UserError
from kro_es.history import pinning, tail, targets
from kro_es.history import plan as plans
from kro_es.history.pinning import Pinning, Revisions, active
from kro_es.history.pins import standing
from kro_es.history.plan import Kinds, Labelled, Plan
from kro_es.history.revisions import parsed
from kro_es.history.source import History
from kro_es.history.targets import Target
from kro_es.history.whole import Rollback, together
from kro_es.projections.pins import Pins
from kro_es.projections.projection import Row


@dataclass(frozen=True, slots=True)
class Selected:
    """The instances of a definition with these labels."""

    definition: Target
    group: str
    kind: str
    namespace: str
    """Empty: every namespace."""
    selector: str

    def covers(self, pin: SelectorPin) -> bool:
        return (pin.namespace, pin.selector) == (self.namespace, self.selector)

    @property
    def name(self) -> str:
        return f"instances of {self.definition.ref.name} with {self.selector}" + self.place

    @property
    def place(self) -> str:
        return f" in namespace {self.namespace}" if self.namespace else ""

    @property
    def flags(self) -> str:
        """As they stand on a command line."""
        where = f" -n {self.namespace}" if self.namespace else ""
        return f"{self.kind.lower()} -l {shlex.quote(self.selector)}{where}"


def selected(history: History, kind: str, namespace: str | None, selector: str) -> Selected:
    """Raises UserError for a kind nobody makes, for a selector that is none, or that a pin itself would change."""
    wanted = Selector.of_text(selector)
    if any(one.key == metadata.PINNED_REVISION for one in wanted.requirements):
        raise UserError(f"{metadata.PINNED_REVISION} is the label a pin puts on an instance: nothing is selected by it")
    definition, group_kind = targets.maker(history, kind)
    group, _, found = group_kind.partition("/")
    return Selected(definition, group, found, namespace or "", wanted.text)


def needs(history: History, chosen: Selected, number: int | None) -> set[Gvk]:
    """Kinds of the revisions concerned, for those that were recorded without their schemas."""
    live = [target for target, _ in _live(history, chosen)]
    return pinning.needs(history, live, number)


def of_pin(history: History, chosen: Selected, number: int, kinds: Kinds | None) -> Rollback:
    """Raises UserError when the revision is not there, does not compile, or needs what the CRD would prune."""
    revisions = Revisions(history, kinds)
    uid = chosen.definition.uid
    mark = pinning.mark(chosen.name, active(history, chosen.definition.ref.name, uid), number, revisions)
    before = next((one for one in standing(history, uid) if chosen.covers(one)), None)
    rows = _pins(history)
    steps, kept, live = [], 0, _live(history, chosen)
    for target, obj in live:
        row = rows.get(target.uid)
        if of_its_own(obj, row):
            kept += 1
        elif before is None or before.number != number or row is None or row["by"] != before.position:
            pin = Pinning(number, mark, _runs(history, target), chosen.selector)
            steps.append(plans.of_pin(history, target, pin, revisions))
    known = before is not None and before.mark == mark
    change = () if known and not steps else (_step(history, chosen, number, mark),)
    undo = f"kro-history pin {chosen.flags} --to {before.number}" if before else f"kro-history unpin {chosen.flags}"
    return _made(history, chosen, (*change, *steps), _said(kept, len(live)), f"{undo} --reason ...")


def of_unpin(history: History, chosen: Selected, kinds: Kinds | None) -> Rollback | None:
    """None when nothing is pinned by exactly these labels there."""
    uid = chosen.definition.uid
    every = standing(history, uid)
    before = next((one for one in every if chosen.covers(one)), None)
    if before is None:
        return None
    revisions, rows = Revisions(history, kinds), _pins(history)
    rest = [one for one in every if one is not before]
    steps = []
    for target, obj in _live(history, replace(chosen, selector="")):
        row = rows.get(target.uid)
        if row is not None and row["by"] == before.position:
            steps.append(plans.of_pin(history, target, _after(history, chosen, target, obj, rest), revisions))
    change = _step(history, chosen, 0, "")
    undo = f"kro-history pin {chosen.flags} --to {before.number} --reason ..."
    return _made(history, chosen, (change, *steps), (), undo)


def _after(history: History, chosen: Selected, target: Target, obj: JsonObject, rest: Sequence[SelectorPin]) -> Pinning:
    """Another pin may select it; otherwise it follows the active revision."""
    runs = _runs(history, target)
    others = [one for one in rest if one.selects(obj)]
    if others:
        return Pinning(others[-1].number, others[-1].mark, runs, others[-1].selector)
    serving = active(history, chosen.definition.ref.name, chosen.definition.uid)
    return Pinning(int(str(serving["number"])), "", runs, chosen.selector)


def annotation(history: History, definition_uid: str) -> str | None:
    """What the definition carries about them, as JSON; None when nothing is pinned by labels."""
    found = [
        {"selector": one.selector, "namespace": one.namespace, "pin": one.mark, "reason": one.reason, "by": one.actor}
        for one in standing(history, definition_uid)
    ]
    return orjson.dumps(found).decode() if found else None


def _said(kept: int, live: int) -> tuple[str, ...]:
    found = (f"{kept} instance(s) keep the pin of their own",) if kept else ()
    return found if live else ("no instance has these labels now; those that come will be pinned",)


def _runs(history: History, target: Target) -> int:
    return int(str(pinning.followed(history, target)["number"]))


def _pins(history: History) -> dict[str, Row]:
    return {str(row["key"]): row for row in tail.rows(history, Pins())}


def _live(history: History, chosen: Selected) -> list[tuple[Target, JsonObject]]:
    """Instances with the labels that are not being deleted and have had a first pass, by name."""
    sql = (
        "SELECT o.uid, o.object FROM p_objects o JOIN p_instances i ON i.key = o.uid"
        " WHERE o.kind_key = ? ORDER BY o.key"
    )
    wanted = Selector.of_text(chosen.selector) if chosen.selector else Selector()
    found = []
    for row in history.rows(sql, (f"{chosen.group}/{chosen.kind}",)):
        obj = parsed(row["object"])
        ref = ObjectRef.of(obj)
        here = chosen.namespace in ("", ref.namespace)
        if here and not terminating(obj) and wanted.matches(labels(obj)):
            found.append((Target(ref, str(row["uid"]), is_instance=True), obj))
    return found


def _step(history: History, chosen: Selected, number: int, mark: str) -> Plan:
    uid = chosen.definition.uid
    return Plan(
        chosen.definition, chosen.definition.ref.name, uid, number, history.head, {}, "", (),
        labelled=Labelled(chosen.namespace, chosen.selector, number, mark), keeps_spec=True,
    )  # fmt: skip


def _made(history: History, chosen: Selected, steps: Sequence[Plan], notes: tuple[str, ...], undo: str) -> Rollback:
    forecasts = tuple(one for step in steps for one in step.forecasts)
    return Rollback(chosen.definition, history.head, tuple(steps), forecasts, together(steps), notes, undo=undo)
