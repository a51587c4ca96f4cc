"""A decision and what came of its writes, as events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, resource_version
from kro_es.decisions.decide import Decision
from kro_es.decisions.inputs import InstanceInputs
from kro_es.decisions.pin import Moved
from kro_es.decisions.writes import PlannedWrite
from kro_es.errors import ApiError
from kro_es.events.from_watch import subject_of
from kro_es.events.types import (
    Actor,
    Body,
    InstanceGone,
    NewEvent,
    ReconcileDecided,
    ResourceApplied,
    ResourceDeleted,
    Subject,
    WriteDone,
    WriteFailed,
    WriteUnsent,
    instance_stream,
)
from kro_es.plan import owned

CONTROLLER = Actor("kro-es", "controller")


@dataclass(frozen=True, slots=True)
class Thread:
    """What ties the events of one pass together: the stream they go to, what caused them, the rollout they belong to."""

    stream: str
    subject: Subject
    cause: int
    correlation: str

    def event(self, body: Body, at: int, *, subject: Subject | None = None, cause: int | None = None) -> NewEvent:
        return NewEvent(
            self.stream, body, subject or self.subject, CONTROLLER, at,
            cause=self.cause if cause is None else cause, correlation=self.correlation,
        )  # fmt: skip


def thread(inputs: InstanceInputs, known: int = 0) -> Thread:
    """Cause: the newest thing read since the last decision, or what is ``known`` to be.

    Correlation: the rollout, while the instance moves to a revision.
    """
    row, followed = inputs.settled, inputs.followed
    decided = int(str(row["decided_position"])) if row else 0
    newer = [item.position for item in inputs.inputs if item.position > decided]
    moving = followed is not None and (row is None or row["settled_revision"] != followed.number)
    correlation = f"rollout/{followed.definition}/{followed.number}" if followed is not None and moving else ""
    uid = inputs.instance["metadata"]["uid"]
    cause = inputs.moved_by or known or max(newer, default=0)
    return Thread(instance_stream(uid), subject_of(inputs.instance), cause, correlation)


def decided(inputs: InstanceInputs, decision: Decision, engine: str) -> ReconcileDecided:
    definition_uid, number = inputs.following
    return ReconcileDecided(
        at=inputs.now,
        position=inputs.position,
        inputs=inputs.inputs,
        writes=tuple(write.described(index) for index, write in enumerate(decision.writes)),
        nodes=decision.nodes,
        revision=number,
        definition_uid=definition_uid,
        engine=engine,
        state=decision.state,
        drift=decision.drift,
        accepted=decision.accepted,
        given=inputs.given,
        why=decision.why,
    )


def applied(  # noqa: PLR0913 - the facts of one outcome, all of them needed
    write: PlannedWrite,
    index: int,
    intent: int,
    answer: JsonObject,
    recorded: JsonObject,
    before: int,
    *,
    known_fields: bool,
) -> ResourceApplied:
    """Outcome of a child's apply. ``recorded`` is the answer as it is logged; ``before`` the resourceVersion seen last."""
    fields = owned.own_fields(answer, metadata.CHILD_MANAGER) or {}
    others = {
        entry.get("manager", "")
        for entry in answer["metadata"].get("managedFields") or ()
        if entry.get("manager") != metadata.CHILD_MANAGER and entry.get("subresource") is None
    }
    digest = owned.digest(fields)
    return ResourceApplied(
        intent=intent,
        index=index,
        node=write.node,
        desired_digest=write.digest,
        owned_digest=owned.owned_digest(recorded, fields),
        fields_digest=digest,
        fields=None if known_fields else fields,
        created=before == 0 and not others,
        changed=resource_version(answer) != before,
        adopted=tuple(sorted(others)) if before == 0 else (),
        # what this decision found itself is told by the intent
        puts_back=write.put_back(intent) if write.puts_back.get("since") else {},
    )


def taken_over(inputs: InstanceInputs, decision: Decision) -> list[NewEvent]:
    """Children that need no write, one event each."""
    tied = thread(inputs)
    return [
        tied.event(body, inputs.now, subject=subject_of(child.object), cause=int(str(child.row["position"])))
        for child, body in decision.taken_over
    ]


def moved_pin(inputs: InstanceInputs, moved: Moved) -> NewEvent:
    """A pin by labels that begins or ends for this instance."""
    return thread(inputs).event(noted(inputs, moved), inputs.now)


def noted(inputs: InstanceInputs, moved: Moved) -> Moved:
    """With what it was decided by."""
    return replace(moved, position=inputs.position, served_by=inputs.served_by, given=inputs.given)


def outcome(write: PlannedWrite, index: int, intent: int, answer: JsonObject | None) -> Body:
    """Outcome of any write but a child's apply."""
    if write.verb == "delete":
        return ResourceDeleted(intent, index, write.node, gone=not still_there(answer))
    return WriteDone(intent, index, write.what, write.digest)


def still_there(answer: JsonObject | None) -> bool:
    """Whether the answer to a delete shows an object that goes later: held by a finalizer or by its grace period.

    The server answers with a Status, or for some kinds with the last state of the object, when it went at once; a 404
    is None.
    """
    if answer is None or "metadata" not in answer:
        return False
    meta = answer["metadata"]
    return "deletionTimestamp" in meta and bool(meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"))


def failed(write: PlannedWrite, index: int, intent: int, error: ApiError, message: str) -> WriteFailed:
    """``message`` is the error's text with secret values taken out."""
    return WriteFailed(intent, index, write.node, error.status, error.reason, message, write.put_back(intent))


def unsent(write: PlannedWrite, index: int, intent: int, failures: Iterable[str]) -> WriteUnsent:
    """``failures``: keys of the writes that failed before its turn."""
    return WriteUnsent(intent, index, ", ".join(sorted(failures)), write.put_back(intent))


def gone(inputs: InstanceInputs) -> InstanceGone:
    row = inputs.settled
    return InstanceGone(str(row["definition_uid"]) if row else "", tuple(sorted(inputs.nodes)))


def target(write: PlannedWrite, answer: JsonObject | None) -> Subject:
    """What the outcome is about: the object as the server named it, or as we did."""
    if answer and answer.get("kind") == write.ref.kind and answer.get("metadata", {}).get("uid"):
        return subject_of(answer)
    ref: ObjectRef = write.ref
    return Subject(ref.group, ref.kind, ref.namespace, ref.name, write.uid)
