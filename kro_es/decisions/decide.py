"""The pure decision about one instance: equal inputs give equal decisions, here, in a plan, a back-test or a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, Resource, annotations_of, labels, terminating
from kro_es.api.selector import Selector
from kro_es.decisions import children, deletion, hold, ledger, pin, upkeep
from kro_es.decisions.children import Comparison
from kro_es.decisions.inputs import Child, Externals, InstanceInputs
from kro_es.decisions.status import Verdict, shown_status
from kro_es.decisions.writes import FINALIZER, INVENTORY, RELEASE, STATUS, PlannedWrite
from kro_es.events.types import InstanceSettled, InstanceUnpinned, NodeReport, ResourceTakenOver
from kro_es.runtime.resolve import NodeResult, resolve


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now; empty ``writes`` and no ``settled`` means: nothing, and nothing is recorded."""

    writes: tuple[PlannedWrite, ...] = ()
    nodes: tuple[NodeReport, ...] = ()
    state: str = ""
    drift: tuple[JsonObject, ...] = ()
    settled: InstanceSettled | None = None
    moved: bool = False
    """A node stands otherwise than it is recorded: worth an event even without a write."""
    accepted: tuple[JsonObject, ...] = ()
    """Drift recorded before, never put back, and none any more."""
    retry: bool = False
    """An error that no event may end: come back later by itself."""
    after: int = 0
    """Microseconds until something is due that no event will tell; 0 for nothing."""
    gone: bool = False
    """Deletion only: nothing recorded is left, so absence has to be proved and the finalizer released."""
    why: str = ""
    taken_over: tuple[tuple[Child, ResourceTakenOver], ...] = ()
    """Live children to be recorded as ours without a write; everything else is decided after that."""
    moved_pin: pin.Moved | None = None
    """A pin by labels that begins or ends, to be recorded likewise."""

    @property
    def records(self) -> bool:
        """Whether something is only to be recorded, and everything else decided after that."""
        return bool(self.taken_over) or self.moved_pin is not None


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one decision is made of: every node resolved, every object of it compared."""

    results: tuple[NodeResult, ...]
    comparisons: tuple[Comparison, ...]
    orphans: tuple[Child, ...]

    @property
    def child_writes(self) -> tuple[PlannedWrite, ...]:
        return tuple(item.write for item in self.comparisons if item.write is not None)

    @property
    def new_drift(self) -> tuple[JsonObject, ...]:
        """That of the writes, but for what was found before and could not be written."""
        tried = [(item.write, item.drift) for item in self.comparisons if item.write is not None]
        return tuple(change for write, drift in tried if not write.puts_back.get("since") for change in drift)

    @property
    def errors(self) -> dict[str, str]:
        """By node id; a collection is told by its first item that failed."""
        found = {result.node.id: result.error for result in self.results if result.error and result.state == "ERROR"}
        for comparison in self.comparisons:
            item = comparison.item
            if comparison.error:
                where = f"collection item {item.index}: " if item.node.for_each else ""
                found.setdefault(item.node.id, where + comparison.error)
        return found

    @property
    def retry(self) -> bool:
        """Whether there is an error that does not end by itself at a known time."""
        broken = any(result.error and result.state == "ERROR" for result in self.results)
        return broken or any(item.error and not item.wait for item in self.comparisons)


def decide(inputs: InstanceInputs) -> Decision:
    """Spec/03 §3 as one function of numbered steps; the order of the checks is the contract."""
    if terminating(inputs.instance):
        return _deleting(inputs)
    if inputs.followed is None and not inputs.unkept:
        return Decision(why="no active revision")
    if STATUS in inputs.failed:
        return Decision(retry=True, why="the status could not be written")
    if inputs.moved is not None:
        return _moved_pin(inputs)
    if inputs.unkept:
        return _reported(inputs, Verdict.pin_unkept(pin.told(inputs.pin, inputs.unkept)))
    problem = upkeep.unmanageable(inputs)
    if problem:
        return _reported(inputs, Verdict.without_marks(problem), retry=True)
    marks = upkeep.marks(inputs)
    if suspended(inputs.instance):
        return _suspended(inputs, marks)
    if text := hold.lost(inputs.instance, inputs.hold):
        return _reported(inputs, Verdict.held_unknown(text), marks)
    found = _look(inputs)
    return _halted(inputs, found, marks) or _acting(inputs, found, marks) or _resting(inputs, found, marks)


def _moved_pin(inputs: InstanceInputs) -> Decision:
    """The label a pin put on it goes first: as soon as the end of the pin is recorded nobody remembers whose it was."""
    ends = isinstance(inputs.moved, InstanceUnpinned)
    if ends and metadata.PINNED_REVISION in labels(inputs.instance) and FINALIZER not in inputs.failed:
        return Decision((upkeep.unlabelled(inputs),), state=_under_way(inputs), why="no pin selects it any more")
    return Decision(moved_pin=inputs.moved, why="a pin by labels")


def _halted(inputs: InstanceInputs, found: _Pass, marks: tuple[PlannedWrite, ...]) -> Decision | None:
    """What ends a pass before any child is written: in graph order, then what concerns all nodes together."""
    for result in found.results:
        if result.fatal:
            return _reported(inputs, Verdict.stopped(found.results, result.error), marks, retry=True)
        mine = (item.terminating for item in found.comparisons if item.item.node is result.node)
        text = next(filter(None, mine), "")
        if text:
            return _reported(inputs, Verdict.terminating(found.results, text), marks)
    conflicts = children.conflicts(found.comparisons)
    if conflicts:
        return _reported(inputs, Verdict.halted(found.results, conflicts), marks, retry=True)
    if INVENTORY in inputs.failed:
        text = f"failed to patch instance with applyset labels: {inputs.failed[INVENTORY]}"
        return _reported(inputs, Verdict.halted(found.results, text), marks, retry=True)
    return None


def _acting(inputs: InstanceInputs, found: _Pass, marks: tuple[PlannedWrite, ...]) -> Decision | None:
    """Children to record, apply or delete; None when there are none."""
    taken = tuple(item.taken_over for item in found.comparisons if item.taken_over is not None)
    if taken:
        return Decision(taken_over=taken, why="already as wanted")
    applies = found.child_writes
    if applies:
        coming = (result.node.resource for result in found.results if result.pending and not result.node.external)
        superset = upkeep.inventory(inputs, _desired(found), shrink=False, coming=coming)
        drift = ledger.known(inputs, found.new_drift)
        writes, reports = (*marks, *superset, *applies), _reports(inputs, found)
        accepted = _ended(inputs, found, drift)
        why = "drift" if any(write.puts_back for write in applies) else "desired state changed"
        return Decision(writes, reports, _under_way(inputs), drift, accepted=accepted, why=why)
    refused = deletion.refused(inputs, found.orphans)
    if refused:
        text = refused if refused == deletion.REPLACED else f"failed: {refused}"
        return _reported(inputs, Verdict.halted(found.results, f"prune {text}"), marks, retry=True)
    prune = _prune(inputs, found)
    if prune:
        reports = _reports(inputs, found)
        return Decision((*marks, *prune), reports, _under_way(inputs), why="pruning what left the graph")
    return None


def _resting(inputs: InstanceInputs, found: _Pass, marks: tuple[PlannedWrite, ...]) -> Decision:
    """Nothing is left to do with children: the inventory becomes exact and the status says how it stands."""
    settled = not found.errors and not any(result.pending for result in found.results)
    inventory = upkeep.inventory(inputs, _desired(found), shrink=settled and not found.orphans)
    verdict = Verdict.of(found.results, found.errors)
    decision = _reported(inputs, verdict, (*marks, *inventory), retry=found.retry)
    accepted = _ended(inputs, found)
    waits = [item.wait for item in found.comparisons if item.wait]
    after = min(waits) if waits and not found.retry else 0
    return replace(decision, accepted=accepted, moved=decision.moved or bool(accepted), after=after)


def _suspended(inputs: InstanceInputs, marks: tuple[PlannedWrite, ...]) -> Decision:
    """No child is written; what others change meanwhile is recorded, and is found again when it may be put back."""
    found = _look(inputs)
    drift = tuple(change for item in found.comparisons for change in ledger.news(inputs, item.ref, item.drift))
    accepted = _ended(inputs, found, drift)
    decision = _reported(inputs, Verdict.suspended(), marks)
    return replace(decision, drift=drift, accepted=accepted, moved=bool(drift or accepted))


def _ended(inputs: InstanceInputs, found: _Pass, recorded: tuple[JsonObject, ...] = ()) -> tuple[JsonObject, ...]:
    """``recorded``: drift that this decision tells of."""
    drift = [change for item in found.comparisons for change in item.drift]
    unknown = frozenset(result.node.id for result in found.results if result.desired is None)
    return ledger.ended(inputs, drift, recorded, unknown)


def suspended(instance: JsonObject) -> bool:
    """Spec/03 §1: ``suspended`` or the older ``disabled``, in any case."""
    return annotations_of(instance).get(metadata.RECONCILE, "").lower() in ("suspended", "disabled")


@dataclass(frozen=True, slots=True)
class _Observed:
    """The recorded cluster as the runtime asks for it."""

    by_node: Mapping[str, list[JsonObject]]
    externals: Externals

    def members(self, node_id: str) -> Sequence[JsonObject]:
        return self.by_node.get(node_id, ())

    def external(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        found = self.externals.named(resource, namespace, name)
        return found.object if found else None

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[JsonObject]:
        return [child.object for child in self.externals.selected(resource, namespace, selector)]


def _look(inputs: InstanceInputs) -> _Pass:
    """Resolve every node against what is observed, and compare what should be with what is."""
    assert inputs.followed is not None
    applied = _applied_as(inputs)
    nodes = {child.uid: applied.get(child.uid) or str(child.row["node"]) for child in inputs.children}
    by_node: dict[str, list[JsonObject]] = {}
    for child in inputs.children:
        by_node.setdefault(nodes[child.uid], []).append(child.object)
    observed = _Observed(by_node, inputs.externals)
    results = resolve(inputs.followed.graph, inputs.instance, observed, limit=inputs.max_collection)
    by_uid = {child.uid: child for child in inputs.children}
    comparisons = tuple(
        children.compare(inputs, item) for result in results for item in children.items_of(inputs, result, by_uid)
    )
    wanted = {item.ref for item in comparisons}
    unknown = {result.node.id for result in results if result.desired is None and result.state != "SKIPPED"}
    kept = tuple(child for child in inputs.children if nodes[child.uid] not in unknown)
    return _Pass(results, comparisons, children.orphans(inputs, kept, wanted))


def _applied_as(inputs: InstanceInputs) -> dict[str, str]:
    """Node by uid: what was applied as a node is that node's, whatever somebody makes of its label.

    Two may have stood for one object in turn: opposite conditions, or a resource that got another id.
    """
    rows = sorted(inputs.nodes.items(), key=lambda item: int(str(item[1]["applied_position"])))
    return {str(row["uid"]): name.split("/")[0] for name, row in rows}


def _desired(found: _Pass) -> tuple[JsonObject, ...]:
    return tuple(item.desired for item in found.comparisons)


def _prune(inputs: InstanceInputs, found: _Pass) -> tuple[PlannedWrite, ...]:
    """Spec/03 §7.3: only when no node is pending and no apply failed; ``pruned`` members already going are left."""
    blocked = found.errors or any(result.pending for result in found.results)
    going = [child for child in found.orphans if not terminating(child.object)]
    return () if blocked or not going else deletion.prunes(inputs, tuple(going))


def _reports(inputs: InstanceInputs, found: _Pass) -> tuple[NodeReport, ...]:
    return tuple(_report(inputs, result, found.errors) for result in found.results)


def _report(inputs: InstanceInputs, result: NodeResult, errors: Mapping[str, str]) -> NodeReport:
    """How the node stands while writes are under way; one that failed is in error until its retry succeeds."""
    node = result.node.id
    if node in errors:
        return NodeReport(node, "ERROR", errors[node])
    row = inputs.nodes.get(node)
    if result.state == "IN_PROGRESS" and row is not None and row["state"] == "ERROR" and _retried(inputs):
        return NodeReport(node, "ERROR", str(row["reason"]))
    return NodeReport(node, result.state, result.pending or result.waiting or result.error)


def _retried(inputs: InstanceInputs) -> bool:
    """Whether the same was tried before and failed: since then neither the instance nor its revision has changed."""
    row, followed = inputs.settled, inputs.followed
    assert followed is not None
    generation = inputs.instance["metadata"].get("generation", 0)
    same = row is not None and (row["settled_revision"], row["settled_generation"]) == (followed.number, generation)
    return same and row is not None and row["state"] == "ERROR"


def _under_way(inputs: InstanceInputs) -> str:
    """The state while children are written: a retry is no news, so that an error keeps the time it began."""
    return "ERROR" if _retried(inputs) else "IN_PROGRESS"


def _reported(
    inputs: InstanceInputs,
    verdict: Verdict,
    marks: tuple[PlannedWrite, ...] = (),
    *,
    retry: bool = False,
    note: str = "",
) -> Decision:
    """The last decision of a pass: status, and the fact that the instance settled, when either is new.

    ``note`` says in the log what the wire contract has no words for.
    """
    shown = shown_status(inputs, verdict)
    message = f"{shown.message}: {note}" if note else shown.message
    writes = (*marks, *shown.writes)
    settled = InstanceSettled(
        *inputs.following,
        inputs.instance["metadata"].get("generation", 0),
        shown.state,
        shown.ready,
        message,
        inputs.position,
        inputs.given,
    )
    return Decision(
        writes,
        verdict.reports,
        settled.state,
        (),
        None if _same(inputs, settled) else settled,
        _moved(inputs, verdict.reports),
        retry=retry or shown.broken,
        why=verdict.reason,
    )


def _moved(inputs: InstanceInputs, reports: Sequence[NodeReport]) -> bool:
    rows = inputs.nodes
    return any(
        report.node not in rows
        or (rows[report.node]["state"], rows[report.node]["reason"]) != (report.state, report.reason)
        for report in reports
    )


def _same(inputs: InstanceInputs, settled: InstanceSettled) -> bool:
    row = inputs.settled
    return row is not None and (
        row["settled_revision"], row["settled_generation"], row["state"], row["ready"], row["message"],
    ) == (settled.revision, settled.generation, settled.state, int(settled.ready), settled.message)  # fmt: skip


def releasing(write: PlannedWrite) -> Decision:
    """What follows a decision that everything recorded is ``gone``, once that is proved."""
    return Decision((write,), state="DELETING", why="everything it owned is proved gone")


def _deleting(inputs: InstanceInputs) -> Decision:
    found = deletion.decide(inputs)
    if found.released:
        return Decision(why="finalizer already released")
    if STATUS in inputs.failed:
        return Decision(retry=True, why="the status could not be written")
    if found.writes:
        status = shown_status(inputs, Verdict.deleting()).writes
        return Decision((*found.writes, *status), (), "DELETING", why="deleting resources")
    if found.waiting:
        return _reported(inputs, Verdict.deleting(found.message), retry=bool(found.blocked), note=found.waits_for)
    if RELEASE in inputs.failed:
        text = f"failed removing finalizer: failed to update unmanaged state: {inputs.failed[RELEASE]}"
        return _reported(inputs, Verdict.deleting(unmanaged=text), retry=True, note=text)
    return Decision(state="DELETING", gone=True, why="everything recorded is gone")
