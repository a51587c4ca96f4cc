"""The pure decision about one instance: equal inputs give equal decisions, here, in a plan, a back-test or a replay."""

from __future__ import annotations

from dataclasses import dataclass, field

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, annotations_of, terminating
from kro_es.decisions import children, deletion, upkeep
from kro_es.decisions.children import Comparison
from kro_es.decisions.inputs import Child, InstanceInputs
from kro_es.decisions.status import Verdict, status_write
from kro_es.decisions.writes import PlannedWrite
from kro_es.events.types import InstanceSettled, NodeReport, ResourceTakenOver
from kro_es.runtime.resolve import NodeResult, resolve


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now; empty ``writes`` and no ``settled`` means: nothing, and nothing is recorded."""

    writes: tuple[PlannedWrite, ...] = ()
    nodes: tuple[NodeReport, ...] = ()
    state: str = ""
    drift: tuple[JsonObject, ...] = ()
    settled: InstanceSettled | None = None
    retry: bool = False
    """An error that no event may end: come back later by itself."""
    gone: bool = False
    """Deletion only: nothing recorded is left, so absence has to be proved and the finalizer released."""
    why: str = ""
    taken_over: tuple[tuple[Child, ResourceTakenOver], ...] = ()
    """Live children to be recorded as ours without a write; everything else is decided after that."""


@dataclass(slots=True)
class _Pass:
    """The parts of one decision while it is being made."""

    results: tuple[NodeResult, ...]
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    orphans: tuple[Child, ...] = ()

    @property
    def child_writes(self) -> tuple[PlannedWrite, ...]:
        return tuple(item.write for item in self.comparisons.values() if item.write is not None)

    @property
    def errors(self) -> dict[str, str]:
        found = {result.node.id: result.error for result in self.results if result.error and result.state == "ERROR"}
        return found | {node: item.error for node, item in self.comparisons.items() if item.error}

    @property
    def terminating(self) -> str:
        return next((item.terminating for item in self.comparisons.values() if item.terminating), "")


def decide(inputs: InstanceInputs) -> Decision:
    """Spec/03 §3 as one function of numbered steps; the order of the checks is the contract."""
    if terminating(inputs.instance):
        return _deleting(inputs)
    if inputs.followed is None:
        return Decision(why="no active revision")
    if suspended(inputs.instance):
        return _reported(inputs, Verdict.suspended())
    marks = upkeep.marks(inputs)
    found = _look(inputs)
    if found.terminating:
        return _reported(inputs, Verdict.terminating(found.results, found.terminating), marks)
    if any(result.state == "ERROR" and result.fatal for result in found.results):
        return _reported(inputs, Verdict.of(found.results, found.errors), marks, retry=True)
    taken = tuple(item.taken_over for item in found.comparisons.values() if item.taken_over is not None)
    if taken:
        return Decision(taken_over=taken, why="already as wanted")
    applies = found.child_writes
    if applies:
        superset = upkeep.inventory(inputs, _desired(found), shrink=False)
        drift = tuple(change for item in found.comparisons.values() for change in item.drift)
        return Decision((*marks, *superset, *applies), _reports(found), "IN_PROGRESS", drift, why=_why(drift))
    prune = _prune(inputs, found)
    if prune:
        return Decision((*marks, *prune), _reports(found), "IN_PROGRESS", why="pruning what left the graph")
    settled = not found.errors and not any(result.pending for result in found.results)
    inventory = upkeep.inventory(inputs, _desired(found), shrink=settled and not found.orphans)
    verdict = Verdict.of(found.results, found.errors)
    return _reported(inputs, verdict, (*marks, *inventory), retry=bool(found.errors))


def suspended(instance: JsonObject) -> bool:
    """Spec/03 §1: ``suspended`` or the older ``disabled``, in any case."""
    return annotations_of(instance).get(metadata.RECONCILE, "").lower() in ("suspended", "disabled")


def _look(inputs: InstanceInputs) -> _Pass:
    """Resolve every node against what is observed; an object under another name than wanted is not the node's."""
    assert inputs.followed is not None
    graph = inputs.followed.graph
    by_node = {str(child.row["node"]): child for child in inputs.children}
    while True:
        observed = {node: child.object for node, child in by_node.items()}
        results = resolve(graph, inputs.instance, observed)
        moved = [
            result.node.id
            for result in results
            if result.desired is not None
            and result.node.id in by_node
            and by_node[result.node.id].ref != ObjectRef.of(result.desired)
        ]
        if not moved:
            break
        for node in moved:
            del by_node[node]
    found = _Pass(results)
    for result in results:
        if result.desired is not None:
            found.comparisons[result.node.id] = children.compare(inputs, result, by_node.get(result.node.id))
    wanted = {node: ObjectRef.of(item.desired) for node, item in found.comparisons.items()}
    unknown = {result.node.id for result in results if result.desired is None and result.state != "SKIPPED"}
    kept = tuple(child for child in inputs.children if str(child.row["node"]) not in unknown)
    found.orphans = children.orphans(kept, wanted)
    return found


def _desired(found: _Pass) -> tuple[JsonObject, ...]:
    return tuple(item.desired for item in found.comparisons.values())


def _prune(inputs: InstanceInputs, found: _Pass) -> tuple[PlannedWrite, ...]:
    """Spec/03 §7.3: only when no node is pending and no apply failed; ``pruned`` members already going are left."""
    blocked = found.errors or any(result.pending for result in found.results)
    going = [child for child in found.orphans if not terminating(child.object)]
    return () if blocked or not going else deletion.prunes(inputs, tuple(going))


def _reports(found: _Pass) -> tuple[NodeReport, ...]:
    errors = found.errors
    return tuple(
        NodeReport(result.node.id, "ERROR", errors[result.node.id])
        if result.node.id in errors
        else NodeReport(result.node.id, result.state, result.pending or result.error)
        for result in found.results
    )


def _reported(
    inputs: InstanceInputs, verdict: Verdict, marks: tuple[PlannedWrite, ...] = (), *, retry: bool = False
) -> Decision:
    """The last decision of a pass: status, and the fact that the instance settled, when either is new."""
    write, ready = status_write(inputs, verdict)
    writes = (*marks, *((write,) if write else ()))
    followed = inputs.followed
    settled = InstanceSettled(
        followed.definition_uid if followed else "",
        followed.number if followed else 0,
        inputs.instance["metadata"].get("generation", 0),
        verdict.state(ready=ready),
        ready,
        "" if ready else verdict.message,
    )
    return Decision(
        writes,
        verdict.reports,
        settled.state,
        (),
        None if _same(inputs, settled) else settled,
        retry,
        why=verdict.reason,
    )


def _same(inputs: InstanceInputs, settled: InstanceSettled) -> bool:
    row = inputs.settled
    return row is not None and (
        row["settled_revision"], row["settled_generation"], row["state"], row["ready"], row["message"],
    ) == (settled.revision, settled.generation, settled.state, int(settled.ready), settled.message)  # fmt: skip


def _why(drift: tuple[JsonObject, ...]) -> str:
    return "drift" if drift else "desired state changed"


def _deleting(inputs: InstanceInputs) -> Decision:
    found = deletion.decide(inputs)
    if found.released:
        return Decision(why="finalizer already released")
    if found.writes:
        status, _ = status_write(inputs, Verdict.deleting())
        return Decision((*found.writes, *((status,) if status else ())), (), "DELETING", why="deleting resources")
    if found.waiting:
        return _reported(inputs, Verdict.deleting(found.message), retry=bool(found.blocked))
    return Decision(state="DELETING", gone=True, why="everything recorded is gone")
