"""Carries a plan out: the command in the log, then one write to the cluster, then the log is watched to the end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, Resource, resource_version
from kro_es.cluster.client import ApiClient, connect
from kro_es.cluster.kubernetes import KubernetesCluster
from kro_es.errors import ApiError, UserError
from kro_es.events.types import (
    Actor,
    Body,
    CommandInstanceRollback,
    CommandRollback,
    NewEvent,
    Subject,
    instance_stream,
)
from kro_es.history import plan as plans
from kro_es.history.plan import Kinds, Plan
from kro_es.history.revisions import parsed
from kro_es.history.risks import ClusterUnknown
from kro_es.history.source import History
from kro_es.history.targets import Target
from kro_es.history.timeline import key
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.event_log import EventLog

_DEFINITIONS = Resource(
    Gvk.parse(metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND), "resourcegraphdefinitions", namespaced=False
)
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster, as kubectl takes it."""

    kubeconfig: str | None
    context: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollback is; ``verdict`` is empty while it goes on, then done or failed."""

    revision: int
    done: int
    failed: int
    pending: int
    verdict: str = ""
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        number = f"revision {self.revision}: " if self.revision else ""
        return f"{number}{self.done} done, {self.failed} failed, {self.pending} to go"


@asynccontextmanager
async def _cluster(where: Where) -> AsyncIterator[tuple[ApiClient, KubernetesCluster]]:
    try:
        client = await connect(where.kubeconfig, where.context, user_agent="kro-history")
    except UserError as error:
        raise ClusterUnknown(str(error)) from error
    async with client:
        yield client, KubernetesCluster(client)


async def planned(history: History, target: Target, to: str, where: Where) -> Plan:
    """The plan against the cluster the log is of. Raises UserError when it is another one, ClusterUnknown."""
    async with _cluster(where) as (_, cluster):
        try:
            await _same_cluster(history, cluster)
        except ApiError as error:
            raise ClusterUnknown(f"the cluster does not answer: {error}") from error
        if target.is_definition:
            kinds = await cluster.kinds(plans.needs(history, target.ref.name, number_of(target, to)), {})
        else:
            kinds = await cluster.kinds(plans.instance_needs(history, target), {})
    return made(history, target, to, kinds)


def made(history: History, target: Target, to: str, kinds: Kinds | None) -> Plan:
    if target.is_definition:
        return plans.of_definition(history, target, number_of(target, to), kinds)
    return plans.of_instance(history, target, to, kinds)


def number_of(target: Target, to: str) -> int:
    """``3`` or ``webapp@3``. Raises UserError."""
    number = to.removeprefix(f"{target.ref.name}@")
    if not number.isdigit():
        raise UserError(f"{to!r} is no revision of {target.ref.name}: give its number, e.g. --to 2")
    return int(number)


async def _same_cluster(history: History, cluster: KubernetesCluster) -> None:
    found = await cluster.cluster_id()
    if history.cluster and found != history.cluster:
        raise UserError(
            f"this log is of cluster {history.cluster}, the kubeconfig leads to {found}: nothing was changed"
        )


async def carry_out(history: History, plan: Plan, reason: str, where: Where, *, breaking: bool) -> int:
    """Position of the command. Raises UserError when anything moved on since the plan; then nothing was changed."""
    async with _cluster(where) as (client, cluster):
        await _same_cluster(history, cluster)
        user = await _user(client)
        resource, live = await _live(history, cluster, plan)
        position = _command(history, plan, reason, user)
        body = {**live, "spec": plan.spec}
        if breaking:
            meta = live["metadata"]
            allowed = {**(meta.get("annotations") or {}), metadata.ALLOW_BREAKING: "true"}
            body["metadata"] = {**meta, "annotations": allowed}
        # the resourceVersion read above is the precondition: an edit in between is never overwritten
        await cluster.replace(resource, body, metadata.ROLLBACK_MANAGER)
    return position


async def _live(history: History, cluster: KubernetesCluster, plan: Plan) -> tuple[Resource, JsonObject]:
    """The object to be written, exactly as the plan knew it."""
    ref = plan.target.ref
    resource: Resource | None = _DEFINITIONS
    if not plan.target.is_definition:
        resource = await cluster.resource_for_group_kind(ref.group, ref.kind)
    if resource is None:
        raise UserError(f"the cluster does not serve {ref.group_kind} any more: nothing was changed")
    live = await cluster.get(resource, ref.namespace, ref.name)
    if live["metadata"]["uid"] != plan.target.uid:
        raise UserError(f"{plan.target.name} was deleted and made again: nothing was changed")
    if plan.target.is_definition:
        newest, _ = plans.definition_specs(history, ref.name, plan.to)
        moved = newest["number"] != plan.base
    else:
        head = history.log.state_at(plan.target.stream)
        rows = history.rows("SELECT object FROM p_objects WHERE key = ?", (ref.key,))
        seen = parsed(rows[0]["object"]) if rows else {}
        moved = head is None or seen.get("spec") != live.get("spec") or resource_version(live) < head.resource_version
    if moved:
        raise UserError(f"{plan.target.name} changed since the plan was made: nothing was changed, plan again")
    return resource, live


async def _user(client: ApiClient) -> str:
    """Who the API server says is asking."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await client.request("POST", _REVIEW, body=body)
    found: str = answer["status"]["userInfo"]["username"]
    return found


def _command(history: History, plan: Plan, reason: str, user: str) -> int:
    now = time.time_ns() // 1000
    target = plan.target
    digest = hashlib.sha256(f"{target.uid}\0{plan.to}\0{plan.base}\0{now}".encode()).hexdigest()[:12]
    stream, body = f"command/{digest}", _body(plan, reason)
    if isinstance(body, CommandInstanceRollback):
        stream = instance_stream(target.uid)
    ref = target.ref
    subject = Subject(ref.group, ref.kind, ref.namespace, ref.name, target.uid)
    event = NewEvent(stream, body, subject, Actor(user, "cli"), now, correlation=f"command/{digest}")
    return EventLog(history.engine, PROJECTIONS).append([event], now=now)[0].position


def _body(plan: Plan, reason: str) -> Body:
    if plan.target.is_definition:
        return CommandRollback(plan.definition_uid, plan.definition, plan.to, plan.base, plan.digest, reason)
    return CommandInstanceRollback(plan.target.uid, plan.to, plan.base, plan.digest, reason)


def watched(history: History, plan: Plan, command: int, seconds: float) -> Iterator[Progress]:
    """Every step of the way as the log tells it, until the verdict; gives up after ``seconds`` without calling it a failure."""
    look: Callable[[], Progress] = (
        (lambda: _definition_progress(history, plan, command))
        if plan.target.is_definition
        else (lambda: _instance_progress(history, plan, command))
    )
    deadline, last = time.monotonic() + seconds, None
    while True:
        found = look()
        if found != last:
            yield found
        last = found
        if found.verdict or time.monotonic() > deadline:
            return
        time.sleep(_POLL)


def _definition_progress(history: History, plan: Plan, command: int) -> Progress:
    sql = "SELECT number, state, faults, activated_at FROM p_revisions WHERE definition_uid = ? AND position > ?"
    rows = history.rows(f"{sql} ORDER BY position", (plan.definition_uid, command))
    refused = [row for row in rows if row["state"] == "rejected"]
    issued = [row for row in rows if row["state"] != "rejected"]
    if refused and not issued:
        faults = tuple(str(fault["message"]) for fault in parsed(refused[-1]["faults"]))
        return Progress(0, 0, 0, 0, "failed", faults)
    total = int(
        str(
            history.rows("SELECT count(*) AS n FROM p_instances WHERE definition_uid = ?", (plan.definition_uid,))[0][
                "n"
            ]
        )
    )
    if not issued:
        return Progress(0, 0, 0, total)
    number = int(str(issued[0]["number"]))
    sql = "SELECT name, namespace, state, message FROM p_rollouts WHERE definition_uid = ? AND number = ?"
    states = history.rows(f"{sql} ORDER BY key", (plan.definition_uid, number))
    done = sum(1 for row in states if row["state"] == "done")
    failed = [row for row in states if row["state"] == "failed"]
    pending = max(0, total - done - len(failed))
    verdict = "" if pending or not issued[0]["activated_at"] else "failed" if failed else "done"
    texts = tuple(f"{row['namespace']}/{row['name']}: {row['message']}" for row in failed)
    return Progress(number, done, len(failed), pending, verdict, texts)


def _instance_progress(history: History, plan: Plan, command: int) -> Progress:
    """Settled means: at the generation our write made, which is the first observation after the command."""
    sql = "SELECT state, ready, message, settled_generation, revision FROM p_instances WHERE key = ?"
    rows = history.rows(sql, (plan.target.uid,))
    objects = history.rows("SELECT generation, position, object FROM p_objects WHERE key = ?", (plan.target.ref.key,))
    if not rows or not objects:
        return Progress(0, 0, 1, 0, "failed", (f"{plan.target.name} is gone",))
    row, obj = rows[0], objects[0]
    written = int(str(obj["position"])) > command and parsed(obj["object"]).get("spec") == plan.spec
    sql = "SELECT count(*) AS n FROM p_timeline WHERE instance_uid = ? AND what = 'instance.settled' AND key > ?"
    settled = int(str(history.rows(sql, (plan.target.uid, key(command)))[0]["n"]))
    if not written or not settled or row["settled_generation"] != obj["generation"]:
        return Progress(int(str(row["revision"])), 0, 0, 1)
    if row["state"] == "ERROR":
        return Progress(int(str(row["revision"])), 0, 1, 0, "failed", (str(row["message"]),))
    done = row["state"] == "ACTIVE"
    return Progress(int(str(row["revision"])), int(done), 0, int(not done), "done" if done else "")
