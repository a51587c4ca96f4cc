"""Revision history per definition, refused attempts included, and which revision is active."""

from __future__ import annotations

from kro_es.api.objects import JsonValue
from kro_es.events.types import (
    CommandPinSelector,
    CommandRollback,
    CommandUnpinSelector,
    Event,
    InstanceSettled,
    ReconcileDecided,
    RevisionActivated,
    RevisionIssued,
    RevisionRejected,
)
from kro_es.projections.projection import Column, Row


class Revisions:
    """Key: ``<definition uid>/<number, six digits>``, or ``<definition uid>/~<position>`` for a refused attempt."""

    name = "revisions"
    version = 2
    columns = (
        Column("definition_uid", "text", "uid of the definition", indexed=True),
        Column("definition", "text", "name of the definition", indexed=True),
        Column("number", "int", "revision number; 0 for a refused attempt"),
        Column("state", "text", "issued, active (was made active at some time) or rejected"),
        Column("issued_at", "int", "microseconds since the epoch", indexed=True),
        Column("activated_at", "int", "microseconds since the epoch; 0 when never"),
        Column("activated_position", "int", "position of the activation; 0 when never"),
        Column("position", "int", "position of the event that issued or refused it"),
        Column("generation", "int", "metadata.generation of the definition"),
        Column("actor", "text", "who edited the definition"),
        Column("actor_source", "text", "how that is known"),
        Column("reason", "text", "why, when a person said so"),
        Column("rolled_back_to", "int", "the revision whose content this repeats; 0 when it is no rollback"),
        Column("spec_hash", "text", "hash of the spec (spec/04 §4)"),
        Column("spec", "json", "the definition's spec; null for a refused attempt"),
        Column("faults", "json", "why it was refused"),
        Column("instance_group", "text", "API group of the instances"),
        Column("instance_version", "text", "version of the instances"),
        Column("instance_kind", "text", "kind of the instances"),
        Column("instance_plural", "text", "plural of the instances"),
        Column("tainted", "json", "redacted field paths per node"),
        Column("engine", "text", "engine version that compiled it"),
        Column("schemas_digest", "text", "digest of the schemas it was compiled against"),
        Column("schemas", "json", "apiVersion and kind to the digest its schema is kept under"),
    )
    bodies = (RevisionIssued, RevisionActivated, RevisionRejected)

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case (
                RevisionIssued(definition_uid=uid, number=number) | RevisionActivated(definition_uid=uid, number=number)
            ):
                return (f"{uid}/{number:06d}",)
            case RevisionRejected(definition_uid=uid):
                return (f"{uid}/~{event.position}",)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        match event.body:
            case RevisionIssued() as issued:
                return _issued(issued, event)
            case RevisionRejected() as rejected:
                return _rejected(rejected, event)
            case RevisionActivated() if row is not None:
                return {
                    **row,
                    "state": "active",
                    "activated_at": event.occurred_at,
                    "activated_position": event.position,
                }
            case _:
                return row


def _issued(issued: RevisionIssued, event: Event) -> Row:
    return {
        **_blank(event, issued.definition_uid, issued.definition),
        "number": issued.number,
        "state": "issued",
        "generation": issued.generation,
        "reason": issued.reason,
        "rolled_back_to": issued.rolled_back_to,
        "spec_hash": issued.spec_hash,
        "spec": issued.spec,
        "instance_group": issued.instance_group,
        "instance_version": issued.instance_version,
        "instance_kind": issued.instance_kind,
        "instance_plural": issued.instance_plural,
        "tainted": issued.tainted,
        "engine": issued.engine,
        "schemas_digest": issued.schemas_digest,
        "schemas": issued.schemas,
    }


def _rejected(rejected: RevisionRejected, event: Event) -> Row:
    return {
        **_blank(event, rejected.definition_uid, rejected.definition),
        "state": "rejected",
        "generation": rejected.generation,
        "spec_hash": rejected.spec_hash,
        "faults": list(rejected.faults),
    }


def _blank(event: Event, definition_uid: str, definition: str) -> Row:
    return {
        "definition_uid": definition_uid,
        "definition": definition,
        "number": 0,
        "state": "",
        "generation": 0,
        "issued_at": event.occurred_at,
        "activated_at": 0,
        "activated_position": 0,
        "position": event.position,
        "actor": event.actor.name,
        "actor_source": event.actor.source,
        "reason": "",
        "rolled_back_to": 0,
        "spec_hash": "",
        "spec": None,
        "faults": None,
        "instance_group": "",
        "instance_version": "",
        "instance_kind": "",
        "instance_plural": "",
        "tainted": {},
        "engine": "",
        "schemas_digest": "",
        "schemas": {},
    }


class Definitions:
    """Key: definition uid. The head of each definition's history, what a pass needs to know first."""

    name = "definitions"
    version = 2
    columns = (
        Column("definition", "text", "name", indexed=True),
        Column("newest", "int", "highest revision number issued"),
        Column("newest_hash", "text", "its spec hash"),
        Column("active", "int", "active revision; 0 when none"),
        Column("activated_position", "int", "position of the activation"),
        Column("rejected_hash", "text", "spec hash of the last refused attempt, empty once one is accepted"),
        Column("rejected_faults", "json", "its faults"),
        Column("command_position", "int", "position of the last rollback command not yet carried out; 0 when none"),
        Column("command", "json", "that command: to, spec_hash, reason, actor"),
        Column("pins", "json", "labels by which instances are pinned, the oldest command first; null for none"),
        Column("pins_position", "int", "position of the last command about them; 0 when there was none"),
    )
    bodies = (
        RevisionIssued, RevisionActivated, RevisionRejected, CommandRollback, CommandPinSelector, CommandUnpinSelector,
    )  # fmt: skip

    def keys(self, event: Event) -> tuple[str, ...]:
        match event.body:
            case (
                RevisionIssued(definition_uid=uid)
                | RevisionActivated(definition_uid=uid)
                | RevisionRejected(definition_uid=uid)
                | CommandRollback(definition_uid=uid)
                | CommandPinSelector(definition_uid=uid)
                | CommandUnpinSelector(definition_uid=uid)
            ):
                return (uid,)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        before = row or dict(_NO_HISTORY)
        match event.body:
            case RevisionIssued() as issued:
                return {
                    **before,
                    "definition": issued.definition,
                    "newest": issued.number,
                    "newest_hash": issued.spec_hash,
                    **_NOTHING_REFUSED,
                    **_NOTHING_ASKED,
                }
            case RevisionRejected() as rejected:
                return {
                    **before,
                    "definition": rejected.definition,
                    "rejected_hash": rejected.spec_hash,
                    "rejected_faults": list(rejected.faults),
                }
            case RevisionActivated() as activated:
                return {**before, "active": activated.number, "activated_position": event.position}
            case CommandRollback() as command:
                return {**before, "command_position": event.position, "command": _asked(command, event)}
            case CommandPinSelector() | CommandUnpinSelector() as command:
                return {**before, "pins": _pins(before, command, event) or None, "pins_position": event.position}
            case _:
                return row


_NOTHING_REFUSED: Row = {"rejected_hash": "", "rejected_faults": None}
_NOTHING_ASKED: Row = {"command_position": 0, "command": None}
_NO_HISTORY: Row = {
    "definition": "",
    "newest": 0,
    "newest_hash": "",
    "active": 0,
    "activated_position": 0,
    **_NOTHING_REFUSED,
    **_NOTHING_ASKED,
    "pins": None,
    "pins_position": 0,
}


def _asked(command: CommandRollback, event: Event) -> Row:
    return {
        "to": command.to,
        "spec_hash": command.spec_hash,
        "reason": command.reason,
        "actor": event.actor.name,
        "correlation": event.correlation,
    }


def _pins(before: Row, command: CommandPinSelector | CommandUnpinSelector, event: Event) -> list[JsonValue]:
    """A command about the same labels in the same place takes the place of the one before."""
    known = before["pins"] or []
    assert isinstance(known, list)
    same = (command.namespace, command.selector)
    others = [one for one in known if (one["namespace"], one["selector"]) != same]
    if isinstance(command, CommandUnpinSelector):
        return others
    found = {
        "namespace": command.namespace,
        "selector": command.selector,
        "number": command.number,
        "mark": command.mark,
        "position": event.position,
        "since": event.occurred_at,
        "actor": event.actor.name,
        "reason": command.reason,
    }
    return [*others, found]


class Rollouts:
    """Key: ``<definition uid>/<number, six digits>/<instance uid>``: one instance moving to one revision."""

    name = "rollouts"
    version = 2
    columns = (
        Column("definition_uid", "text", "uid of the definition", indexed=True),
        Column("number", "int", "revision number"),
        Column("instance_uid", "text", "uid of the instance"),
        Column("namespace", "text", "namespace of the instance"),
        Column("name", "text", "name of the instance"),
        Column("started_at", "int", "first decision at this revision, microseconds since the epoch"),
        Column("finished_at", "int", "when it settled; 0 while it has not"),
        Column("state", "text", "rolling, done or failed"),
        Column("message", "text", "why it failed"),
        Column("born", "int", "1 when the instance was made at this revision, 0 when it moved to it"),
    )
    bodies = (ReconcileDecided, InstanceSettled)

    def keys(self, event: Event) -> tuple[str, ...]:
        if not event.stream.startswith("instance/"):
            return ()
        uid = event.stream.removeprefix("instance/")
        match getattr(event.body, "revision", 0), getattr(event.body, "definition_uid", ""):
            case (int() as number, str() as definition) if number and definition:
                return (f"{definition}/{number:06d}/{uid}",)
            case _:
                return ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        definition, number, uid = key.split("/", 2)
        before: Row = row or {
            "definition_uid": definition,
            "number": int(number),
            "instance_uid": uid,
            "namespace": event.subject.namespace,
            "name": event.subject.name,
            "started_at": event.occurred_at,
            "finished_at": 0,
            "state": "rolling",
            "message": "",
            # nothing was ever decided about it before
            "born": int(event.stream_version == 1),
        }
        body = event.body
        if not isinstance(body, InstanceSettled) or before["state"] == "done":
            return before
        if body.ready:
            return {**before, "state": "done", "finished_at": event.occurred_at, "message": ""}
        if body.state == "ERROR":
            return {**before, "state": "failed", "message": body.message}
        return before
