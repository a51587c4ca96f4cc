"""What a person wants to read, in order: one line per thing that happened."""

from __future__ import annotations

from typing import TypeAlias

from kro_es.api import metadata
from kro_es.api.objects import labels
from kro_es.events import types as e
from kro_es.projections.projection import EVERY, Column, Row

_COMMON = (
    "object.observed",
    "reconcile.decided",
    "resource.applied",
    "instance.settled",
    "write.done",
    "audit.matched",
)
"""What nearly all of a log is made of."""
_FAILED = ("position", "instance_uid", "correlation")
"""What refused writes are counted by."""
WHAT = Column("what", "text", "type of the event", indexed=True, then=_FAILED, common=_COMMON)
DEFINITION = Column(
    "definition_uid", "text", "uid of the definition it belongs to", indexed=True, then=("position",), common=("",)
)
"""Most events belong to none."""
SOURCE = Column(
    "actor_source",
    "text",
    "how that is known",
    indexed=True,
    then=("actor", "position"),
    common=("controller", "manager", "unknown"),
)
"""People are few among programs, and asked for most."""


class Timeline:
    """Key: position, twenty digits."""

    name = "timeline"
    version = 2
    columns = (
        Column("position", "int", "position in the log", indexed=True),
        Column("occurred_at", "int", "when it happened, microseconds since the epoch"),
        WHAT,
        Column("api_group", "text", "API group of the object concerned"),
        Column("kind", "text", "kind of the object concerned"),
        Column("namespace", "text", "its namespace"),
        Column("name", "text", "its name"),
        Column("uid", "text", "its uid"),
        Column("instance_uid", "text", "uid of the instance it belongs to", indexed=True, then=("position",)),
        DEFINITION,
        Column("summary", "text", "what happened, in words"),
        Column("actor", "text", "who"),
        SOURCE,
        Column("cause", "int", "position of the event that led to this one; 0 when unknown"),
        Column("correlation", "text", "rollout or command it belongs to"),
    )
    bodies = EVERY

    def keys(self, event: e.Event) -> tuple[str, ...]:
        own = f"{event.position:020d}"
        return (f"{event.body.observation:020d}", own) if isinstance(event.body, e.AuditMatched) else (own,)

    def fold(self, key: str, row: Row | None, event: e.Event) -> Row | None:
        if int(key) != event.position:
            return row and {**row, "actor": event.actor.name, "actor_source": event.actor.source}
        subject = event.subject
        return {
            "position": event.position,
            "occurred_at": event.occurred_at,
            "what": event.type,
            "api_group": subject.group,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
            "instance_uid": _instance(event),
            "definition_uid": _definition(event),
            "summary": summary(event),
            "actor": event.actor.name,
            "actor_source": event.actor.source,
            "cause": event.cause,
            "correlation": event.correlation,
        }


def _instance(event: e.Event) -> str:
    if event.stream.startswith("instance/"):
        return event.stream.removeprefix("instance/")
    if isinstance(event.body, e.ObjectObserved):
        found = labels(event.body.object)
        if metadata.INSTANCE_ID in found:
            return found[metadata.INSTANCE_ID]
        if metadata.DEFINITION_ID in found:
            return event.subject.uid
    return ""


def _definition(event: e.Event) -> str:
    if event.stream.startswith("definition/"):
        return event.stream.removeprefix("definition/")
    if isinstance(event.body, e.ObjectObserved) and event.subject.kind == metadata.DEFINITION_KIND:
        return event.subject.uid
    found: str = getattr(event.body, "definition_uid", "")
    return found


def summary(event: e.Event) -> str:
    """One line in words; never a value of a field, so nothing redacted can slip through."""
    match event.body:
        case e.ObjectObserved() | e.ObjectDeleted() | e.ObjectGoneUnseen() | e.ObjectLeftSelection():
            return _observation(event.body)
        case e.WatchGap() | e.WatchLost() | e.WatchResumed():
            return _watching(event.body)
        case e.AuditMatched(verb=verb, observation=observation, how=how):
            return f"{verb} by this user is what was seen at {observation} (by {how})"
        case (
            e.RevisionIssued() | e.RevisionRejected() | e.RevisionActivated() | e.CommandRollback()
            | e.SchemaRecorded() | e.CrdApplied()
        ):  # fmt: skip
            return _revision(event.body)
        case e.ReconcileDecided() as decided:
            return _decision(decided)
        case e.CommandInstanceRollback() | e.CommandHold() | e.CommandRelease():
            return _command(event.body)
        case (
            e.CommandPin() | e.CommandUnpin() | e.CommandPinSelector() | e.CommandUnpinSelector()
            | e.InstancePinned() | e.InstanceUnpinned()
        ):  # fmt: skip
            return _pin(event.body)
        case _:
            return _outcome(event.body)


def _observation(body: e.ObjectObserved | e.ObjectDeleted | e.ObjectGoneUnseen | e.ObjectLeftSelection) -> str:
    match body:
        case e.ObjectObserved(seen_late=True):
            return "seen (late: it changed while nobody watched)"
        case e.ObjectObserved(change=change):
            return {
                "added": "seen for the first time",
                "modified": "seen changed",
                "listed": "found by listing",
                "response": "returned by our write",
                "read": "read",
            }[change]
        case e.ObjectDeleted():
            return "deleted"
        case e.ObjectGoneUnseen():
            return "gone: deleted while nobody watched"
        case e.ObjectLeftSelection():
            return "left the selection: it lost the label it was watched by"


def _watching(body: e.WatchGap | e.WatchLost | e.WatchResumed) -> str:
    match body:
        case e.WatchGap(kind=kind, reason=reason):
            return f"gap: nobody watched {kind} ({reason})"
        case e.WatchLost(kind=kind, reason=reason):
            return f"lost: nobody watches {kind} ({reason})"
        case e.WatchResumed(kind=kind, needed=True):
            return f"{kind} is watched again: nothing was missed"
        case e.WatchResumed(kind=kind):
            return f"{kind} need not be watched any more"


_OfRevision: TypeAlias = (
    e.RevisionIssued | e.RevisionRejected | e.RevisionActivated | e.CommandRollback | e.SchemaRecorded | e.CrdApplied
)


def _revision(body: _OfRevision) -> str:
    match body:
        case e.RevisionIssued(number=number, rolled_back_to=back) if back:
            return f"revision {number} issued: the content of revision {back}"
        case e.RevisionIssued(number=number):
            return f"revision {number} issued"
        case e.RevisionRejected(faults=faults):
            return f"edit refused: {len(faults)} fault(s)"
        case e.RevisionActivated(number=number, instances=instances):
            return f"revision {number} active, {instances} instance(s) follow"
        case e.SchemaRecorded(api_version=api_version, kind=kind):
            return f"schema of {api_version} {kind} recorded"
        case e.CrdApplied(crd=crd, number=number, created=created):
            return f"CRD {crd} {'created' if created else 'changed'} for revision {number}"
        case e.CommandRollback(to=to, reason=reason):
            return f"rollback to revision {to} asked for: {reason}"


def _decision(decided: e.ReconcileDecided) -> str:
    parts = [
        f"{write.verb} {write.kind} {write.name}{'/' + write.subresource if write.subresource else ''}"
        for write in decided.writes
    ]
    text = "decided: " + (", ".join(parts) if parts else "nothing to write")
    if decided.drift:
        text += f" (drift: {len(decided.drift)} field(s) changed by others)"
    return text


def _command(body: e.CommandInstanceRollback | e.CommandHold | e.CommandRelease) -> str:
    match body:
        case e.CommandInstanceRollback(to=to, reason=reason):
            return f"rollback to its spec at position {to} asked for: {reason}"
        case e.CommandHold(mark=mark, reason=reason):
            return f"held at {mark.partition('@')[0]}: {reason}"
        case e.CommandRelease(reason=reason):
            return f"released: {reason}"


_OfPin: TypeAlias = (
    e.CommandPin
    | e.CommandUnpin
    | e.CommandPinSelector
    | e.CommandUnpinSelector
    | e.InstancePinned
    | e.InstanceUnpinned
)


def _pin(body: _OfPin) -> str:
    match body:
        case e.CommandPin(number=number, reason=reason):
            return f"pinned to revision {number}: {reason}"
        case e.CommandUnpin(reason=reason):
            return f"unpinned: {reason}"
        case e.CommandPinSelector(number=number, reason=reason):
            return f"instances with {_whose(body)} pinned to revision {number}: {reason}"
        case e.CommandUnpinSelector(reason=reason):
            return f"instances with {_whose(body)} unpinned: {reason}"
        case e.InstancePinned(number=number, selector=selector):
            return f"pinned to revision {number}: it has {selector}"
        case e.InstanceUnpinned(selector=selector):
            return f"unpinned: no pin of {selector} selects it any more"


def _whose(body: e.CommandPinSelector | e.CommandUnpinSelector) -> str:
    return body.selector + (f" in namespace {body.namespace}" if body.namespace else "")


def _outcome(body: e.Body) -> str:
    match body:
        case e.ResourceApplied(created=created, changed=changed):
            return "created" if created else "applied" if changed else "applied, nothing changed"
        case e.ResourceDeleted(gone=gone):
            return "delete: already gone" if gone else "delete accepted"
        case e.WriteDone(what=what):
            return f"written: {what}"
        case e.WriteFailed(reason=reason, status=status):
            return f"write failed: {status} {reason}"
        case e.WriteUnsent(after=after):
            return f"not sent: {after} had failed" if after else "not sent: nothing is left that it would tell of"
        case e.OutcomeUnknown(found=found):
            return f"outcome of a write unknown: {found}"
        case e.InstanceSettled(state=state, ready=ready, revision=revision):
            return f"{state}, {'ready' if ready else 'not ready'}, at revision {revision}"
        case _ if body.TYPE.startswith("log."):
            return _maintenance(body)
        case e.ControllerStarted(engine=engine):
            return f"controller {engine} started"
        case _:
            return {
                e.InstanceGone.TYPE: "everything it owned is gone",
                e.ControllerStopped.TYPE: "controller stopped",
            }.get(body.TYPE, body.TYPE)


def _maintenance(body: e.Body) -> str:
    match body:
        case e.LogPruned(events=events):
            return f"pruned: {events} observation(s) of status are gone"
        case e.LogRedacted(positions=positions, reason=reason):
            return f"redacted: {len(positions)} event(s): {reason}"
        case e.LogAdopted(origin=origin):
            return f"adopted: {origin}"
        case e.LogCopied(to=to, form=form):
            return f"{form} to {to}"
        case e.LogRebuilt(projections=projections):
            return f"rebuilt: {', '.join(projections)}"
        case e.LogRetrained(dictionary=dictionary):
            return f"compressed with dictionary {dictionary} from here on"
        case _:
            return body.TYPE
