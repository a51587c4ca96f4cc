"""Events as a controller would record them, appended through the real log: fixed clock, fixed identities, no cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Engine

from kro_es.api.definition import parse
from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.events import types as e
from kro_es.events.from_watch import Change, Origin, Seen, observed, subject_of, vanished
from kro_es.events.redaction import Redactor, paths_of
from kro_es.graph.hash import spec_hash
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate

CLUSTER = "11111111-2222-4333-8444-555555555555"
START = 1_772_442_000_000_000
"""2026-03-02T09:00:00Z in microseconds."""
ENGINE = "kro-es 0.1.0"
CONTROLLER = e.Actor("kro-es", "controller")
SECOND = 1_000_000


def identity(*parts: object) -> str:
    """A uid that is the same in every run."""
    text = hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"


def manager(name: str) -> e.Actor:
    return e.Actor(name, "manager")


@dataclass
class Recorder:
    """One log being written; ``now`` moves by :meth:`wait` only."""

    engine: Engine
    now: int = START
    version: int = 1000
    objects: dict[str, JsonObject] = field(default_factory=dict)
    """Last recorded state by ``ObjectRef.key``."""

    def __post_init__(self) -> None:
        migrate(self.engine)
        self.log = EventLog(self.engine, PROJECTIONS, cluster=CLUSTER)
        self.fence = self.log.issue_fence()
        self.origin = Origin(CLUSTER, 1, Redactor.of(b"k" * 32))

    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    def append(self, *events: e.NewEvent) -> tuple[e.Event, ...]:
        return self.log.append(events, now=self.now)

    def see(
        self, obj: JsonObject, actor: e.Actor, change: Change = "modified", *, late: bool = False, **more: Any
    ) -> e.Event:
        """The object as the API server shows it now: the next resourceVersion, a generation that follows the spec."""
        self.wait(0.012)
        found = self.append(self.observation(obj, actor, change, late=late, **more))
        return found[0]

    def observation(
        self, obj: JsonObject, actor: e.Actor, change: Change, *, late: bool = False, **more: Any
    ) -> e.NewEvent:
        self.version += 3
        ref = ObjectRef.of(obj)
        before = self.objects.get(ref.key)
        meta = dict(obj["metadata"])
        generation = before["metadata"]["generation"] if before else 1
        if before and before.get("spec") != obj.get("spec"):
            generation += 1
        meta.setdefault("uid", identity(ref.key, 1))
        meta |= {"generation": generation, "resourceVersion": str(self.version)}
        obj = {**obj, "metadata": meta}
        self.objects[ref.key] = obj
        seen = Seen(obj, change, self.now, late=late, actor=actor, **more)
        return observed(self.origin, seen, paths_of(ref.kind, ref.group))

    def gone(
        self, obj: JsonObject, body: e.ObjectDeleted | e.ObjectGoneUnseen, actor: e.Actor | None = None
    ) -> e.Event:
        self.version += 3
        event = vanished(self.origin, subject_of(obj), body, self.version, self.now)
        self.objects.pop(ObjectRef.of(obj).key, None)
        return self.append(replace(event, actor=actor) if actor else event)[0]

    def last(self, obj: JsonObject) -> JsonObject:
        return self.objects[ObjectRef.of(obj).key]

    # --- definitions --------------------------------------------------------------------------------------------

    def define(self, definition: JsonObject, editor: e.Actor, number: int, **issued: Any) -> e.Event:
        """An accepted edit: seen, issued, activated. ``issued``: cause, reason, rolled_back_to, actor, correlation."""
        seen = self.see(definition, editor)
        obj = self.last(definition)
        meta, schema = obj["metadata"], obj["spec"]["schema"]
        self.wait(0.08)
        body = e.RevisionIssued(
            meta["uid"], meta["name"], number, obj["spec"], spec_hash(parse(obj)), meta["generation"],
            tuple(item["id"] for item in obj["spec"]["resources"]), "kro.run", schema["apiVersion"], schema["kind"],
            schema["kind"].lower() + "s", ENGINE, "digest",
            reason=issued.get("reason", ""), rolled_back_to=issued.get("rolled_back_to", 0),
        )  # fmt: skip
        (event,) = self.append(
            self._about(
                obj,
                body,
                issued.get("actor", editor),
                issued.get("cause", seen.position),
                issued.get("correlation", ""),
            )
        )
        self.wait(0.4)
        instances = sum(1 for found in self.objects.values() if found["kind"] == schema["kind"])
        activated = e.RevisionActivated(meta["uid"], meta["name"], number, instances)
        rollout = f"rollout/{meta['name']}/{number}"
        return self.append(self._about(obj, activated, CONTROLLER, event.position, rollout))[0]

    def refuse(self, definition: JsonObject, actor: e.Actor, *faults: JsonObject) -> e.Event:
        self.see(definition, actor)
        obj = self.last(definition)
        meta = obj["metadata"]
        self.wait(0.05)
        body = e.RevisionRejected(meta["uid"], meta["name"], spec_hash(parse(obj)), meta["generation"], faults)
        return self.append(self._about(obj, body, CONTROLLER, 0, ""))[0]

    def command(self, definition: JsonObject, body: e.CommandRollback, actor: e.Actor) -> e.Event:
        obj = self.last(definition)
        correlation = f"command/{identity(self.now)[:12]}"
        event = self._about(obj, body, actor, 0, correlation)
        return self.append(replace(event, stream=correlation))[0]

    def _about(self, obj: JsonObject, body: e.Body, actor: e.Actor, cause: int, correlation: str) -> e.NewEvent:
        stream = e.definition_stream(obj["metadata"]["uid"])
        return e.NewEvent(stream, body, subject_of(obj), actor, self.now, cause=cause, correlation=correlation)

    # --- instances ----------------------------------------------------------------------------------------------

    def of(self, instance: JsonObject, body: e.Body, *, cause: int, correlation: str = "", **more: Any) -> e.NewEvent:
        """An event of the instance's stream."""
        uid = self.last(instance)["metadata"]["uid"]
        subject = more.get("subject") or subject_of(self.last(instance))
        return e.NewEvent(
            e.instance_stream(uid), body, subject, CONTROLLER, self.now, cause=cause, correlation=correlation
        )

    def decided(
        self,
        instance: JsonObject,
        writes: Sequence[e.Write],
        nodes: Sequence[e.NodeReport],
        *,
        cause: int,
        **body: Any,
    ) -> e.Event:
        """``body``: revision, definition_uid, state, drift, why, correlation."""
        self.wait(0.02)
        correlation = body.pop("correlation", "")
        head = self.log.head()
        inputs = (e.Input(f"object/{ObjectRef.of(instance).key}", 1, cause),)
        decision = e.ReconcileDecided(self.now, head, inputs, tuple(writes), tuple(nodes), engine=ENGINE, **body)
        return self.append(self.of(instance, decision, cause=cause, correlation=correlation))[0]
