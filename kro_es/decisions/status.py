"""What the instance's status says after a pass, and the write of it when that is news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.conditions import HELD, PINNED, Conditions, author_conditions, with_word
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.decisions import hold, pin
from kro_es.decisions.inputs import InstanceInputs
from kro_es.decisions.notices import notices
from kro_es.decisions.writes import STATUS, PlannedWrite
from kro_es.events.types import NodeReport
from kro_es.plan import owned
from kro_es.runtime.resolve import NodeResult, bindings
from kro_es.runtime.status import StatusError, authored, not_ready, projection, state_of

DEPENDENTS = ("InstanceManaged", "GraphResolved", "ResourcesReady")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the resources stand: the ResourcesReady condition and the state of every node."""

    status: str
    reason: str
    message: str
    reports: tuple[NodeReport, ...] = ()
    going: bool = False
    unmanaged: str = ""
    """Why finalizer and labels could not be installed; the other conditions stay as they are then."""
    projects: bool = True
    """False where status fields are kept as they are (deletion, suspension)."""
    results: tuple[NodeResult, ...] = ()
    """What status expressions may refer to."""

    @classmethod
    def of(cls, results: tuple[NodeResult, ...], errors: Mapping[str, str]) -> Verdict:
        reports = tuple(
            NodeReport(
                result.node.id,
                "ERROR" if result.node.id in errors else result.state,
                errors.get(result.node.id, "") or result.error or result.pending or result.waiting,
            )
            for result in results
        )
        text = not_ready(results, errors)
        if text:
            return cls("False", "NotReady", text, reports, results=results)
        return cls("True", "AllResourcesReady", "all resources are created and ready", reports, results=results)

    @classmethod
    def halted(cls, results: tuple[NodeResult, ...], text: str) -> Verdict:
        """The pass went no further for all the nodes together."""
        reports = tuple(NodeReport(result.node.id, "IN_PROGRESS", text) for result in results)
        return cls("False", "NotReady", f"resource reconciliation failed: {text}", reports, results=results)

    @classmethod
    def stopped(cls, results: tuple[NodeResult, ...], text: str) -> Verdict:
        """The pass ended at a node that can never work; ``text`` is its error."""
        reports = tuple(
            NodeReport(result.node.id, result.state, result.error or result.pending or result.waiting)
            for result in results
        )
        return cls("False", "NotReady", f"resource reconciliation failed: {text}", reports, results=results)

    @classmethod
    def without_marks(cls, text: str) -> Verdict:
        """kro writes ``ACTIVE`` here, for want of nodes (spec/03 Q3); an error is what it is."""
        return cls("", "", text, unmanaged=text, projects=False)

    @classmethod
    def suspended(cls) -> Verdict:
        text = "reconciliation suspended via kro.run/reconcile annotation"
        return cls("False", "ReconciliationSuspended", text, projects=False)

    @classmethod
    def held_unknown(cls, text: str) -> Verdict:
        return cls("False", "HeldUnknown", text, projects=False)

    @classmethod
    def pin_unkept(cls, text: str) -> Verdict:
        return cls("False", "PinNotKept", text, projects=False)

    @classmethod
    def terminating(cls, results: tuple[NodeResult, ...], text: str) -> Verdict:
        reports = tuple(NodeReport(result.node.id, result.state, result.pending) for result in results)
        return cls("False", "ResourceDeleting", text, reports, results=results)

    @classmethod
    def deleting(cls, message: str = "deleting resources", *, unmanaged: str = "") -> Verdict:
        return cls("Unknown", "UnderDeletion", message, going=True, projects=False, unmanaged=unmanaged)

    def state(self, *, ready: bool) -> str:
        if (self.unmanaged and not self.going) or self.reason == "PinNotKept":
            return "ERROR"
        if self.reason == "ResourceDeleting":
            return "IN_PROGRESS"
        return state_of([report.state for report in self.reports], ready=ready, deleting=self.going)


@dataclass(frozen=True, slots=True)
class Shown:
    """The status after a pass."""

    write: PlannedWrite | None
    """None when the instance shows it already, or when it cannot be computed."""
    ready: bool
    state: str
    message: str
    """Why it is not as it should be; empty when it is."""
    notices: tuple[PlannedWrite, ...] = ()
    """Kubernetes Events about what it changes."""
    broken: bool = False
    """A status expression can never work: nothing is written (spec/03 §9.5)."""

    @property
    def writes(self) -> tuple[PlannedWrite, ...]:
        return (self.write, *self.notices) if self.write else ()


def shown_status(inputs: InstanceInputs, verdict: Verdict) -> Shown:
    """The write when the computed status differs from the recorded one, and what it says."""
    instance = inputs.instance
    before = instance.get("status") or {}
    own = _built_in(inputs, verdict)
    ready = own.status_of("Ready") == "True"
    try:
        fields = _fields(inputs, verdict, before)
    except StatusError as error:
        return Shown(None, False, verdict.state(ready=False), f"the status cannot be computed: {error}", broken=True)
    conditions, problems = _conditions(inputs, verdict, own)
    generation = instance["metadata"].get("generation", 0)
    said = (PINNED, pin.told(inputs.pin, inputs.unkept)), (HELD, hold.told(instance, inputs.hold))
    for word in said:
        conditions = with_word(conditions, _before(inputs), word, generation, inputs.now)
    state = "ERROR" if problems else verdict.state(ready=ready)
    message = "\n".join(problems) if ready else verdict.message
    status = {**fields, "conditions": conditions, "state": state}
    write = None if status == before else _write(inputs, status)
    return Shown(write, ready, state, message, notices(inputs, conditions) if write else ())


def _write(inputs: InstanceInputs, status: JsonObject) -> PlannedWrite:
    instance = inputs.instance
    body = {
        "apiVersion": instance["apiVersion"],
        "kind": instance["kind"],
        "metadata": {
            key: instance["metadata"][key]
            for key in ("name", "namespace", "uid", "resourceVersion")
            if key in instance["metadata"]
        },
        "status": status,
    }
    digest = owned.digest(inputs.redactor.redact(body, inputs.status_paths))
    return PlannedWrite(
        5, "put", _resource(inputs), ObjectRef.of(instance), body, metadata.CONTROLLER_MANAGER, "status",
        digest=digest, what=STATUS,
    )  # fmt: skip


def _built_in(inputs: InstanceInputs, verdict: Verdict) -> Conditions:
    """kro's own conditions after this pass; where the author's are shown instead they start anew every time."""
    instance = inputs.instance
    if _authored(inputs):
        instance = {**instance, "status": {}}
    conditions = Conditions.load(instance, DEPENDENTS)
    if verdict.unmanaged:
        conditions.set("InstanceManaged", "False", "ManagementFailed", verdict.unmanaged, inputs.now)
    elif not verdict.going:
        managed = "instance is properly managed with finalizers and labels"
        resolved = "runtime graph created and all resources resolved"
        conditions.set("InstanceManaged", "True", "Managed", managed, inputs.now)
        conditions.set("GraphResolved", "True", "Resolved", resolved, inputs.now)
    if verdict.reason:
        conditions.set("ResourcesReady", verdict.status, verdict.reason, verdict.message, inputs.now)
    return conditions


def _authored(inputs: InstanceInputs) -> bool:
    """Whether the definition's conditions are shown; without its graph the instance itself tells."""
    if inputs.followed is not None:
        return inputs.followed.graph.conditions is not None
    return bool(_before(inputs)) and not _ours(_before(inputs))


def _before(inputs: InstanceInputs) -> list[JsonObject]:
    found: list[JsonObject] = (inputs.instance.get("status") or {}).get("conditions") or []
    return found


def _ours(conditions: list[JsonObject]) -> bool:
    return {item.get("type") for item in conditions}.issuperset(DEPENDENTS)


def _conditions(inputs: InstanceInputs, verdict: Verdict, own: Conditions) -> tuple[list[JsonObject], tuple[str, ...]]:
    """The conditions of the instance: kro's own, or the author's and nothing else; which of these can never work."""
    built_in = own.to_json()
    if not _authored(inputs):
        return built_in, ()
    before = _before(inputs)
    if verdict.going:
        going = [item for item in built_in if item["type"] == "ResourcesReady"]
        return [*(item for item in before if item.get("type") != "ResourcesReady"), *going], ()
    assert inputs.followed is not None
    entries = inputs.followed.graph.conditions or ()
    found = authored(entries, bindings(inputs.instance, verdict.results), built_in)
    stay = [] if found.complete or _ours(before) else before
    times = before if not _ours(before) else []
    generation = inputs.instance["metadata"].get("generation", 0)
    kept = {item["type"] for item in found.conditions} | {str(item.get("type")) for item in stay}
    shown = author_conditions(
        found.conditions,
        [item for item in times if item.get("type") in kept],
        generation,
        inputs.now,
        dropped=found.dropped,
    )
    return shown, found.problems


def _fields(inputs: InstanceInputs, verdict: Verdict, before: JsonObject) -> JsonObject:
    """The definition's fields. Raises StatusError when one can never be evaluated: nothing is written then."""
    if not verdict.projects or inputs.followed is None:
        return {name: value for name, value in before.items() if name not in ("state", "conditions")}
    return projection(inputs.followed.graph, bindings(inputs.instance, verdict.results))


def _resource(inputs: InstanceInputs) -> Resource:
    if inputs.followed is not None:
        return inputs.followed.graph.instance
    instance = inputs.instance
    # the plural is found by the client: a deletion must work without the graph
    return Resource(Gvk.of(instance), "", bool(instance["metadata"].get("namespace")))
