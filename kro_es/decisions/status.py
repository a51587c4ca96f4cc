"""What the instance's status says after a pass, and the write of it when that is news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.conditions import Conditions
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.decisions.inputs import InstanceInputs
from kro_es.decisions.writes import PlannedWrite
from kro_es.events.types import NodeReport
from kro_es.plan import owned
from kro_es.runtime.resolve import NodeResult
from kro_es.runtime.status import StatusError, not_ready, projection, state_of

DEPENDENTS = ("InstanceManaged", "GraphResolved", "ResourcesReady")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the resources stand: the ResourcesReady condition and the state of every node."""

    status: str
    reason: str
    message: str
    reports: tuple[NodeReport, ...] = ()
    going: bool = False
    projects: bool = True
    """False where status fields are kept as they are (deletion, suspension)."""

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
            return cls("False", "NotReady", text, reports)
        return cls("True", "AllResourcesReady", "all resources are created and ready", reports)

    @classmethod
    def suspended(cls) -> Verdict:
        text = "reconciliation suspended via kro.run/reconcile annotation"
        return cls("False", "ReconciliationSuspended", text, projects=False)

    @classmethod
    def terminating(cls, results: tuple[NodeResult, ...], text: str) -> Verdict:
        reports = tuple(NodeReport(result.node.id, result.state, result.pending) for result in results)
        return cls("False", "ResourceDeleting", text, reports)

    @classmethod
    def deleting(cls, message: str = "deleting resources") -> Verdict:
        return cls("Unknown", "UnderDeletion", message, going=True, projects=False)

    def state(self, *, ready: bool) -> str:
        if self.reason == "ResourceDeleting":
            return "IN_PROGRESS"
        return state_of([report.state for report in self.reports], ready=ready, deleting=self.going)


def status_write(inputs: InstanceInputs, verdict: Verdict) -> tuple[PlannedWrite | None, bool]:
    """The status write when the computed status differs from the recorded one, and whether the instance is ready."""
    instance = inputs.instance
    conditions = Conditions.load(instance, DEPENDENTS)
    if not verdict.going:
        managed = "instance is properly managed with finalizers and labels"
        conditions.set("InstanceManaged", "True", "Managed", managed, inputs.now)
        conditions.set(
            "GraphResolved", "True", "Resolved", "runtime graph created and all resources resolved", inputs.now
        )
    conditions.set("ResourcesReady", verdict.status, verdict.reason, verdict.message, inputs.now)
    ready = conditions.status_of("Ready") == "True"
    before = instance.get("status") or {}
    fields = _fields(inputs, verdict, before)
    if fields is None:
        return None, False
    status = {**fields, "conditions": conditions.to_json(), "state": verdict.state(ready=ready)}
    if status == before:
        return None, ready
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
    write = PlannedWrite(
        5, "put", _resource(inputs), ObjectRef.of(instance), body, metadata.CONTROLLER_MANAGER, "status",
        digest=digest, what="status",
    )  # fmt: skip
    return write, ready


def _fields(inputs: InstanceInputs, verdict: Verdict, before: JsonObject) -> JsonObject | None:
    """The definition's fields; None when one of them can never be evaluated (nothing is written then)."""
    if not verdict.projects or inputs.followed is None:
        return {name: value for name, value in before.items() if name not in ("state", "conditions")}
    skipped = {report.node for report in verdict.reports if report.state == "SKIPPED"}
    observed = {
        str(child.row["node"]): child.object for child in inputs.children if str(child.row["node"]) not in skipped
    }
    try:
        return projection(inputs.followed.graph, inputs.instance, observed)
    except StatusError:
        return None


def _resource(inputs: InstanceInputs) -> Resource:
    if inputs.followed is not None:
        return inputs.followed.graph.instance
    instance = inputs.instance
    # the plural is found by the client: a deletion must work without the graph
    return Resource(Gvk.of(instance), "", bool(instance["metadata"].get("namespace")))
