"""One rollback while it is carried out: the commands it appends, and what the written objects say about them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource, annotations_of
from kro_es.errors import UserError
from kro_es.events.types import (
    Actor,
    Body,
    CommandHold,
    CommandInstanceRollback,
    CommandPin,
    CommandPinSelector,
    CommandRelease,
    CommandRollback,
    CommandUnpin,
    CommandUnpinSelector,
    NewEvent,
    Subject,
    definition_stream,
    instance_stream,
)
from kro_es.history.pinning import Pinning
from kro_es.history.plan import Plan
from kro_es.history.source import History
from kro_es.history.targets import Target
from kro_es.schema.openapi import KindSchema
from kro_es.store.event_log import EventLog


class Cluster(Protocol):
    """The Kubernetes API as a rollback uses it; every refusal is an ``ApiError``."""

    async def cluster_id(self) -> str: ...

    async def user(self) -> str:
        """Who the API server says is asking."""
        ...

    async def kinds(self, gvks: Iterable[Gvk], custom: Mapping[tuple[str, str], str]) -> Mapping[Gvk, KindSchema]: ...

    async def resource_for_group_kind(self, group: str, kind: str) -> Resource | None: ...

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject: ...

    async def create(
        self, resource: Resource, obj: JsonObject, manager: str, *, dry_run: bool = False
    ) -> JsonObject: ...

    async def replace(
        self, resource: Resource, obj: JsonObject, manager: str, *, dry_run: bool = False
    ) -> JsonObject: ...

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: JsonObject, *, manager: str, subresource: str = ""
    ) -> JsonObject: ...


@dataclass
class Errand:
    """One rollback while it is carried out."""

    history: History
    cluster: Cluster
    reason: str
    breaking: bool
    hold: bool
    user: str = ""
    correlation: str = ""
    log: EventLog = field(init=False)

    def __post_init__(self) -> None:
        # the controller folds commands with its own next commit, so that its rows never jump
        self.log = EventLog(self.history.engine)

    def command(self, plan: Plan) -> int:
        """Position of the command; with a hold, both are in the log or none."""
        found = []
        if plan.labelled is not None:
            stream = definition_stream(plan.definition_uid)
            found.append(self._event(stream, plan.target.ref, plan.target.uid, _labelled_body(plan, self.reason)))
        elif not plan.keeps_spec:
            body = _body(plan, self.reason)
            stream = self.correlation if isinstance(body, CommandRollback) else instance_stream(plan.target.uid)
            found.append(self._event(stream, plan.target.ref, plan.target.uid, body))
        return self.append(*found, *(self.lasting(plan, plan.target.uid) if plan.again is None else ()))

    def lasting(self, plan: Plan, obj_uid: str) -> list[NewEvent]:
        """What goes on counting: the revision it runs, and the hold."""
        found = []
        if plan.pinning is not None:
            body = _pin_body(plan, plan.pinning, obj_uid, self.reason)
            found.append(self._event(instance_stream(obj_uid), plan.target.ref, obj_uid, body))
        return [*found, *([self.held(plan, obj_uid)] if self.hold else [])]

    def held(self, plan: Plan, obj_uid: str) -> NewEvent:
        body = CommandHold(obj_uid, plan.spec, mark_of(plan), self.reason)
        return self._event(_stream(plan.target, obj_uid), plan.target.ref, obj_uid, body)

    def release(self, target: Target) -> NewEvent:
        body = CommandRelease(target.uid, self.reason)
        return self._event(_stream(target, target.uid), target.ref, target.uid, body)

    def append(self, *events: NewEvent) -> int:
        """Raises UserError for who may read the log and not write it, or finds it busy for too long."""
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 slow to load

        try:
            return self.log.append(events, now=time.time_ns() // 1000)[0].position
        except DBAPIError as error:
            text = str(error.orig).strip().partition("\n")[0]
            raise UserError(
                f"the command could not be written to the log, and nothing is done without: {text}"
            ) from error

    def _event(self, stream: str, ref: ObjectRef, obj_uid: str, body: Body) -> NewEvent:
        subject = Subject(ref.group, ref.kind, ref.namespace, ref.name, obj_uid)
        now = time.time_ns() // 1000
        return NewEvent(stream, body, subject, Actor(self.user, "cli"), now, correlation=self.correlation)


def with_spec(errand: Errand, plan: Plan, live: JsonObject) -> JsonObject:
    """The resourceVersion of ``live`` is the precondition: an edit in between is never overwritten."""
    said = {metadata.ALLOW_BREAKING: "true"} if errand.breaking and plan.target.is_definition else {}
    said |= {metadata.HELD: mark_of(plan)} if errand.hold else {}
    meta = {**live["metadata"], "annotations": {**annotations_of(live), **said}}
    if plan.pinning is not None:
        meta = _pinned(meta, plan.pinning)
    return {**live, "metadata": meta} | ({} if plan.keeps_spec else {"spec": plan.spec})


def mark_of(plan: Plan) -> str:
    """What the annotation on a held object says: ``revision 2@<digest>``."""
    what = "revision" if plan.target.is_definition else "position"
    return f"{what} {plan.to}@{plan.digest[:16]}"


def _stream(target: Target, obj_uid: str) -> str:
    return definition_stream(obj_uid) if target.is_definition else instance_stream(obj_uid)


def _body(plan: Plan, reason: str) -> Body:
    if plan.target.is_definition:
        return CommandRollback(plan.definition_uid, plan.definition, plan.to, plan.base, plan.digest, reason)
    return CommandInstanceRollback(plan.target.uid, plan.to, plan.base, plan.digest, reason)


def _labelled_body(plan: Plan, reason: str) -> CommandPinSelector | CommandUnpinSelector:
    it = plan.labelled
    assert it is not None
    uid, name = plan.definition_uid, plan.definition
    if not it.number:
        return CommandUnpinSelector(uid, name, it.namespace, it.selector, reason)
    return CommandPinSelector(uid, name, it.namespace, it.selector, it.number, it.mark, reason)


def _pinned(meta: JsonObject, pinning: Pinning) -> JsonObject:
    """Metadata that says what it is pinned to, or nothing about it."""
    words = {"annotations": (metadata.PINNED, pinning.mark), "labels": (metadata.PINNED_REVISION, str(pinning.number))}
    found = {}
    for part, (name, value) in words.items():
        others = {key: text for key, text in (meta.get(part) or {}).items() if key != name}
        found[part] = {**others, name: value} if pinning.mark else others
    return {**meta, **found}


def _pin_body(plan: Plan, pinning: Pinning, obj_uid: str, reason: str) -> CommandPin | CommandUnpin:
    if not pinning.mark:
        return CommandUnpin(obj_uid, reason)
    return CommandPin(obj_uid, plan.definition_uid, plan.definition, pinning.number, pinning.mark, reason)
