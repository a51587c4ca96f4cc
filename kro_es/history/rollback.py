"""Carries a plan out: each command in the log before its write to the cluster, in the plan's order; what is done stays done."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource, annotations_of, resource_version, uid
from kro_es.cluster.client import connect
from kro_es.cluster.kubernetes import KubernetesCluster
from kro_es.errors import ApiError, Interrupted, UserError
from kro_es.history import plan as plans
from kro_es.history import selecting, whole
from kro_es.history.compare import object_at
from kro_es.history.errand import Cluster, Errand, mark_of, with_spec
from kro_es.history.pinning import needs
from kro_es.history.plan import Plan
from kro_es.history.revisions import parsed
from kro_es.history.risks import ClusterUnknown
from kro_es.history.selecting import Selected
from kro_es.history.source import History
from kro_es.history.targets import Target
from kro_es.history.whole import Rollback, Wanted
from kro_es.store.sql import marks

_DEFINITIONS = Resource(
    Gvk.parse(metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND), "resourcegraphdefinitions", namespaced=False
)
_REVISIONS = Resource(
    Gvk.parse(metadata.REVISION_API_VERSION, metadata.REVISION_KIND), "graphrevisions", namespaced=False
)
_POLL = 0.2
_LOOKS = 25
"""How often the log is asked for what the cluster shows already: five seconds."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster, as kubectl takes it."""

    kubeconfig: str | None
    context: str | None


@dataclass
class Written:
    """What was written: the first command, and the resourceVersion of each object after its write, by ``ObjectRef.key``."""

    command: int = 0
    versions: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def reach(where: Where) -> AsyncIterator[KubernetesCluster]:
    """Raises ClusterUnknown when no kubeconfig works."""
    try:
        client = await connect(where.kubeconfig, where.context, user_agent="kro-history")
    except UserError as error:
        raise ClusterUnknown(str(error)) from error
    async with client:
        yield KubernetesCluster(client)


async def planned(history: History, cluster: Cluster, target: Target, wanted: Wanted) -> Rollback:
    """The plan against the cluster the log is of. Raises UserError when it is another one, ClusterUnknown."""
    await _answering(history, cluster)
    kinds = await cluster.kinds(whole.needs(history, target, wanted), {})
    made = whole.of(history, target, wanted, kinds)
    await _collected(cluster, made)
    return made


async def planned_pins(history: History, cluster: Cluster, instances: Sequence[Target], number: int | None) -> Rollback:
    """As :func:`planned`: all of them pinned to a revision, or (None) unpinned."""
    await _answering(history, cluster)
    kinds = await cluster.kinds(needs(history, instances, number), {})
    made = whole.of_pins(history, instances, number, kinds)
    await _collected(cluster, made)
    return made


async def planned_labels(history: History, cluster: Cluster, chosen: Selected, number: int | None) -> Rollback | None:
    """As :func:`planned`, for whoever has these labels; None when there is nothing to unpin."""
    await _answering(history, cluster)
    kinds = await cluster.kinds(selecting.needs(history, chosen, number), {})
    if number is None:
        return selecting.of_unpin(history, chosen, kinds)
    made = selecting.of_pin(history, chosen, number, kinds)
    await _collected(cluster, made)
    return made


async def _answering(history: History, cluster: Cluster) -> None:
    try:
        await _same_cluster(history, cluster)
    except ApiError as error:
        raise ClusterUnknown(f"the cluster does not answer: {error}") from error


async def _collected(cluster: Cluster, made: Rollback) -> None:
    """A pin outlives its log by the GraphRevision alone: without it nobody is pinned. Raises UserError."""
    pinned = {(step.definition, step.pinning.number) for step in made.steps if step.pinning and step.pinning.mark}
    pinned |= {(step.definition, step.labelled.number) for step in made.steps if step.labelled}
    for definition, number in sorted(pinned):
        try:
            await cluster.get(_REVISIONS, "", f"{definition}-r{number:05d}")
        except ApiError as error:
            if not error.not_found:
                raise
            raise UserError(
                f"revision {number} of {definition} was collected: the cluster has no GraphRevision of it any more, and a"
                f" lost log could not bring it back; `kro-history rollback {definition} --to {number}` issues it anew"
            ) from error


async def _same_cluster(history: History, cluster: Cluster) -> None:
    found = await cluster.cluster_id()
    if history.cluster and found != history.cluster:
        raise UserError(
            f"this log is of cluster {history.cluster}, the kubeconfig leads to {found}: nothing was changed"
        )


async def carry_out(  # noqa: PLR0913 - what the command line asks for
    history: History,
    cluster: Cluster,
    rollback: Rollback,
    reason: str,
    *,
    breaking: bool = False,
    hold: bool = False,
    seconds: float = 300.0,
) -> Written:
    """Raises UserError when anything moved on since the plan, Interrupted for Ctrl-C, with what was done by then.

    ``seconds``: how long the definition may take to become active where instances have to wait for that.
    """
    await _same_cluster(history, cluster)
    user = await cluster.user()
    names = "\0".join(f"{step.target.uid}\0{step.to}\0{step.base}" for step in rollback.steps)
    digest = hashlib.sha256(f"{names}\0{time.time_ns()}".encode()).hexdigest()[:12]
    errand = Errand(history, cluster, reason, breaking, hold, user, f"command/{digest}")
    written = Written()
    for step in rollback.steps:
        if step.follows_labels:
            continue
        try:
            position, obj = await _write(errand, step)
            written.command = written.command or position
            written.versions[step.target.ref.key] = resource_version(obj)
            if step.target.is_definition and step.changes and step is not rollback.steps[-1]:
                await _active(errand, step, position, seconds)
        except (UserError, ApiError) as error:
            if not written.versions:
                raise
            raise UserError(_stopped(rollback, len(written.versions), str(error))) from error
        except asyncio.CancelledError as error:
            doubt = f" in the middle of {step.target.name}, which may be written or not"
            why = "stopped" + ("" if step.target.ref.key in written.versions else doubt)
            raise Interrupted(_stopped(rollback, len(written.versions), why)) from error
    return written


def _stopped(rollback: Rollback, done: int, why: str) -> str:
    names = [step.target.name for step in rollback.steps]
    return (
        f"{why}; done: {', '.join(names[:done]) or 'nothing'}; not done: {', '.join(names[done:]) or 'nothing'}."
        f" The same command again goes on where this ended; the way back: {rollback.way_back}"
    )


async def _write(errand: Errand, plan: Plan) -> tuple[int, JsonObject]:
    """Position of the command, and the object. What the API server would refuse is refused before there is a command in the log."""
    cluster, ref = errand.cluster, plan.target.ref
    resource: Resource | None = _DEFINITIONS
    if not plan.target.is_definition:
        resource = await cluster.resource_for_group_kind(ref.group, ref.kind)
    if resource is None:
        raise UserError(f"the cluster does not serve {ref.group_kind} any more: {plan.target.name} was not written")
    if plan.again is not None:
        return await _make_again(errand, resource, plan)
    if plan.labelled is not None:
        return await _write_labels(errand, resource, plan)
    if not (errand.hold or plan.keeps_spec) and hold_on(errand.history, plan.target):
        raise UserError(f"{plan.target.name} is held: release it first, or hold it at this too with --hold")
    position = 0
    for _ in range(_LOOKS):
        live = await _live(errand, resource, plan)
        body = with_spec(errand, plan, live)
        try:
            await cluster.replace(resource, body, metadata.ROLLBACK_MANAGER, dry_run=True)
            position = position or errand.command(plan)
            made = await cluster.replace(resource, body, metadata.ROLLBACK_MANAGER)
            if resource_version(made) == resource_version(live) and plan.pinning is not None:
                # somebody took the mark away before; the controller has to be woken all the same
                await _marked(cluster, resource, ref, "unpinned", annotation=metadata.PINNED)
                made = await _marked(cluster, resource, ref, None, annotation=metadata.PINNED)
            return position, made
        except ApiError as error:
            if not error.conflict:
                raise
            # somebody wrote in between; unless it was an edit, which the next look finds, that is the controller's status
            await asyncio.sleep(_POLL)
    raise UserError(f"{plan.target.name} changes faster than it can be written: nothing was written")


async def _write_labels(errand: Errand, resource: Resource, plan: Plan) -> tuple[int, JsonObject]:
    """What the definition carries is what the log says, whoever else changed it meanwhile."""
    live = await errand.cluster.get(resource, "", plan.target.ref.name)
    if uid(live) != plan.target.uid:
        raise UserError(f"{plan.target.name} was deleted and made again: it was not written")
    position = errand.command(plan)
    found = selecting.annotation(errand.history, plan.target.uid)
    if annotations_of(live).get(metadata.PINNED_INSTANCES) == found:
        # the controller has to be woken all the same
        await _marked(errand.cluster, resource, plan.target.ref, "[]", annotation=metadata.PINNED_INSTANCES)
    made = await _marked(errand.cluster, resource, plan.target.ref, found, annotation=metadata.PINNED_INSTANCES)
    return position, made


async def _make_again(errand: Errand, resource: Resource, plan: Plan) -> tuple[int, JsonObject]:
    assert plan.again is not None
    try:
        await errand.cluster.create(resource, plan.again, metadata.ROLLBACK_MANAGER, dry_run=True)
    except ApiError as error:
        if error.conflict:
            raise UserError(f"{plan.target.name} is there again since the plan was made: plan again") from error
        raise
    position = errand.command(plan)
    made = await errand.cluster.create(resource, plan.again, metadata.ROLLBACK_MANAGER)
    if lasting := errand.lasting(plan, uid(made)):
        errand.append(*lasting)
    if errand.hold:
        made = await _marked(errand.cluster, resource, plan.target.ref, mark_of(plan))
    return position, made


async def _marked(
    cluster: Cluster, resource: Resource, ref: ObjectRef, mark: str | None, *, annotation: str = metadata.HELD
) -> JsonObject:
    """The annotation of a hold or pin, written or (None) taken away; the controller looks again because of it."""
    body = {"metadata": {"annotations": {annotation: mark}}}
    return await cluster.merge_patch(resource, ref.namespace, ref.name, body, manager=metadata.ROLLBACK_MANAGER)


def hold_on(history: History, target: Target) -> JsonObject | None:
    """The row of what holds it; None when nothing does."""
    rows = history.rows("SELECT * FROM p_holds WHERE key = ?", (target.uid,))
    return rows[0] if rows else None


async def release(history: History, cluster: Cluster, target: Target, reason: str) -> None:
    """What the cluster shows counts again. Raises UserError when it is not held."""
    await _same_cluster(history, cluster)
    resource: Resource | None = _DEFINITIONS
    if not target.is_definition:
        resource = await cluster.resource_for_group_kind(target.ref.group, target.ref.kind)
    if resource is None:
        raise UserError(f"the cluster does not serve {target.ref.group_kind} any more")
    live = await cluster.get(resource, target.ref.namespace, target.ref.name)
    if metadata.HELD not in annotations_of(live) and hold_on(history, target) is None:
        raise UserError(f"{target.name} is not held")
    errand = Errand(history, cluster, reason, breaking=False, hold=False, user=await cluster.user())
    errand.append(errand.release(target))
    if metadata.HELD not in annotations_of(live):
        # somebody took the mark away; the controller has to be woken all the same
        await _marked(cluster, resource, target.ref, "released")
    await _marked(cluster, resource, target.ref, None)


async def _live(errand: Errand, resource: Resource, plan: Plan) -> JsonObject:
    """The object to be written, exactly as the plan knew it."""
    history, ref = errand.history, plan.target.ref
    try:
        live = await errand.cluster.get(resource, ref.namespace, ref.name)
    except ApiError as error:
        if error.not_found:
            raise UserError(f"{plan.target.name} is not in the cluster any more: it was not written") from error
        raise
    if uid(live) != plan.target.uid:
        raise UserError(f"{plan.target.name} was deleted and made again: it was not written")
    if plan.target.is_definition:
        newest, _ = plans.definition_specs(history, ref.name, plan.to)
        moved = newest["number"] != plan.base
    else:
        moved = not await _seen(history, plan, live) or _edited(history, plan)
    if moved:
        raise UserError(f"{plan.target.name} changed since the plan was made: it was not written, plan again")
    return live


async def _seen(history: History, plan: Plan, live: JsonObject) -> bool:
    """Whether the log has the object as it is; it may be a moment behind."""
    for _ in range(_LOOKS):
        seen = object_at(history, plan.target.ref, history.log.head()) or {}
        # by its version too: what a schema adds or prunes when it is read is no edit
        if seen and (seen.get("spec") == live.get("spec") or resource_version(seen) >= resource_version(live)):
            return True
        await asyncio.sleep(_POLL)
    return False


def _edited(history: History, plan: Plan) -> bool:
    """Whether anybody but the controller (which may write what a new schema adds) changed it since the plan."""
    return bool(edits(history, plan.target.stream, "e.position > ?", plan.base))


def edits(history: History, stream: str, condition: str, value: int) -> list[str]:
    """Field managers other than the controller's that changed an object."""
    own = (metadata.LABELLER, metadata.PARENT_MANAGER, metadata.CONTROLLER_MANAGER)
    sql = (
        "SELECT a.name AS name FROM events e JOIN streams s ON s.id = e.stream_id JOIN actors a ON a.id = e.actor_id"  # noqa: S608
        f" WHERE s.name = ? AND {condition} AND a.source = 'manager' AND a.name NOT IN ({marks(len(own))})"
    )
    return [str(row["name"]) for row in history.rows(sql, (stream, value, *own))]


async def _active(errand: Errand, plan: Plan, command: int, seconds: float) -> None:
    """Until the definition serves what was written: instances written earlier would meet the old schema."""
    sql = (
        "SELECT state, faults, activated_position FROM p_revisions WHERE definition_uid = ? AND position > ?"
        " ORDER BY position"
    )
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        rows: Sequence[JsonObject] = errand.history.rows(sql, (plan.definition_uid, command))
        if any(row["activated_position"] for row in rows):
            return
        if rows and rows[-1]["state"] == "rejected":
            faults = "; ".join(str(fault["message"]) for fault in parsed(rows[-1]["faults"]))
            raise UserError(f"{plan.target.name} was refused: {faults}")
        await asyncio.sleep(_POLL)
    raise UserError(f"{plan.target.name} is not active after {seconds:g} s")
