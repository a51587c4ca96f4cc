"""Puts an old spec back as the next revision: plan first, then the command in the log, then the write."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Engine

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, JsonValue, Resource
from kro_es.cluster.client import connect
from kro_es.cluster.kubernetes import KubernetesCluster
from kro_es.errors import UserError
from kro_es.events.types import Actor, CommandRollback, NewEvent, Subject
from kro_es.history.queries import RevisionName, changes, revision, table
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.event_log import EventLog

_DEFINITIONS = Resource(
    Gvk.parse(metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND), "resourcegraphdefinitions", namespaced=False
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollback will do; ``base`` is the newest revision it was made against."""

    definition: str
    definition_uid: str
    to: int
    base: int
    spec: JsonObject
    spec_hash: str
    changes: Sequence[JsonObject]


def plan(engine: Engine, definition: str, to: int) -> Plan:
    """From the newest revision to the content of ``to``. Raises UserError for an unknown one."""
    row = revision(engine, RevisionName(definition, to))
    heads = table(engine, "SELECT newest FROM p_definitions WHERE key = ?", (row["definition_uid"],))
    base = int(str(heads[0]["newest"]))
    newest = revision(engine, RevisionName(definition, base))
    spec = _json(row["spec"])
    found = tuple(changes(_json(newest["spec"]), spec))
    return Plan(definition, str(row["definition_uid"]), to, base, spec, str(row["spec_hash"]), found)


async def carry_out(
    engine: Engine, made: Plan, reason: str, *, kubeconfig: str | None, context: str | None, user: str
) -> int:
    """Returns the position of the command. Raises UserError when the definition moved on since the plan."""
    client = await connect(kubeconfig, context, user_agent="kro-history")
    async with client:
        cluster = KubernetesCluster(client)
        live = await cluster.get(_DEFINITIONS, "", made.definition)
        if live["metadata"]["uid"] != made.definition_uid:
            raise UserError(
                f"{made.definition} was deleted and made again since revision {made.to}: nothing was changed"
            )
        if plan(engine, made.definition, made.to).base != made.base:
            raise UserError(f"{made.definition} has a newer revision than the plan: nothing was changed, plan again")
        position = _command(engine, made, reason, user)
        # the resourceVersion read above is the precondition: an edit in between is never overwritten
        await cluster.replace(_DEFINITIONS, {**live, "spec": made.spec}, metadata.ROLLBACK_MANAGER)
    return position


def _command(engine: Engine, made: Plan, reason: str, user: str) -> int:
    now = time.time_ns() // 1000
    digest = hashlib.sha256(f"{made.definition_uid}\0{made.to}\0{made.base}\0{now}".encode()).hexdigest()[:12]
    body = CommandRollback(made.definition_uid, made.definition, made.to, made.base, made.spec_hash, reason)
    subject = Subject(metadata.GROUP, metadata.DEFINITION_KIND, "", made.definition, made.definition_uid)
    event = NewEvent(f"command/{digest}", body, subject, Actor(user, "cli"), now, correlation=f"command/{digest}")
    return EventLog(engine, PROJECTIONS).append([event], now=now)[0].position


def _json(value: object) -> JsonValue:
    """A JSON column as it comes out of plain SQL."""
    return orjson.loads(value) if isinstance(value, str | bytes) else value
