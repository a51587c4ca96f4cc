"""One definition, one pass: compile, issue a revision, install its API, serve its instances, say so in its status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from kro_es.api.conditions import HELD, Conditions, with_word
from kro_es.api.definition import ResourceGraphDefinition, parse
from kro_es.api.objects import JsonObject, ObjectRef, terminating
from kro_es.controller import definition_facts as facts
from kro_es.controller.announcements import Announcements
from kro_es.controller.compiling import Compiler, failures_told, faults_of
from kro_es.controller.crds import CustomKinds, Served
from kro_es.controller.definition_status import DEPENDENTS, status_body
from kro_es.controller.definition_writes import DefinitionWrites
from kro_es.controller.generated_crds import GeneratedCrds
from kro_es.controller.graph_revisions import GraphRevisions, imported
from kro_es.controller.queue import Key
from kro_es.controller.takeover import Redactions
from kro_es.controller.world import World
from kro_es.decisions import hold
from kro_es.errors import ApiError, CompilerFailed, DefinitionErrors
from kro_es.events.types import (
    Actor,
    RevisionActivated,
    RevisionRejected,
)
from kro_es.graph.compile import required_kinds
from kro_es.graph.hash import spec_hash
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row

logger = structlog.get_logger(__name__)
Outcome = Literal["settled", "retry"]


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays in the cluster: GraphRevision objects of a definition (0: all), and its CRD when it is deleted."""

    revisions: int
    crd: bool


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What a pass read about the definition; ``object`` has the spec that counts."""

    object: JsonObject
    row: Row
    head: Row
    definition: ResourceGraphDefinition
    hash: str
    hold: Row | None


@dataclass(frozen=True, slots=True)
class _Refused:
    """A spec that cannot be used; ``hash`` is empty when it cannot even be read."""

    object: JsonObject
    head: Row
    hash: str
    hold: Row | None


class DefinitionReconciler:
    """``serve`` starts the watches a graph needs and queues its instances; ``withdraw`` ends that."""

    def __init__(
        self,
        world: World,
        custom_kinds: CustomKinds,
        *,
        serve: Callable[..., Awaitable[None]],
        withdraw: Callable[[str], None],
        keep: Keep,
    ) -> None:
        self._world = world
        self._custom_kinds = custom_kinds
        # what each definition and its kinds looked like when its last pass ended well
        self._settled: dict[Key, object] = {}
        self._serve = serve
        self._withdraw = withdraw
        self._keep = keep
        self._writes = DefinitionWrites(world)
        self._crds = GeneratedCrds(world, self._writes)
        self._revisions = GraphRevisions(world, self._writes, keep.revisions)
        self._compiler = Compiler(world, custom_kinds)
        self._announcements = Announcements(world)

    async def learn_redactions(self) -> None:
        """Once, before anything is served."""
        await Redactions(self._world, self._compiler, self._revisions).learn()

    def forget_settled(self) -> None:
        """The next pass of every definition looks at everything again."""
        self._settled.clear()

    async def reconcile(self, key: Key) -> Outcome:
        """One pass; none when neither the definition nor a kind it is compiled against has changed since the last."""
        edited = self._edited(key)
        if edited is not None and self._settled.get(key) == (edited, self._custom_kinds.standing(key)):
            return "settled"
        outcome = await self._pass(key)
        now = self._edited(key)
        if now not in (edited, None):
            # somebody was quicker than a patch of ours: the answer showed it, and no event will
            return await self.reconcile(key)
        if outcome == "settled" and edited is not None:
            self._settled[key] = (edited, self._custom_kinds.standing(key))
        return outcome

    def _edited(self, key: Key) -> object:
        """What makes another pass worth it; None when the definition is not there."""
        with self._world.open_reader() as reader:
            row = reader.row("objects", key.ref)
            held = reader.row("holds", key.uid)
        if row is None or row["uid"] != key.uid:
            return None
        obj = row["object"]
        assert isinstance(obj, dict)
        meta = obj["metadata"]
        return meta.get("generation"), meta.get("annotations"), terminating(obj), held and held["position"]

    async def _pass(self, key: Key) -> Outcome:
        world = self._world
        with world.open_reader() as reader:
            row = reader.row("objects", key.ref)
            head = reader.row("definitions", key.uid) or {}
            held = reader.row("holds", key.uid)
        if row is None or row["uid"] != key.uid:
            self._withdraw(key.uid)
            self._custom_kinds.reads(key, ())
            self._settled.pop(key, None)
            return "settled"
        obj = row["object"]
        assert isinstance(obj, dict)
        if terminating(obj):
            self._withdraw(key.uid)
            await self._revisions.release(obj)
            if not self._keep.crd:
                await self._crds.remove(obj)
            await self._writes.release(obj)
            return "settled"
        await self._writes.finalize(obj)
        if not head.get("newest"):
            head = await self._import(obj, head)
        conditions = Conditions.load(obj, DEPENDENTS)
        if text := hold.lost(obj, held):
            conditions.set("GraphAccepted", "Unknown", "HeldUnknown", text, self._now())
            await self._say(obj, conditions, None, int(str(head.get("newest", 0))), held)
            return "settled"
        obj = hold.effective(obj, held)
        try:
            with failures_told():
                definition = parse(obj)
                loaded = _Loaded(obj, row, head, definition, spec_hash(definition), held)
            own = (definition.schema.group, definition.schema.kind)
            self._custom_kinds.reads(key, {own, *((gvk.group, gvk.kind) for gvk in required_kinds(definition))})
        except (DefinitionErrors, CompilerFailed) as error:
            return await self._refused(_Refused(obj, head, "", held), error, conditions)
        return await self._resolved(loaded, conditions)

    async def _say(
        self, obj: JsonObject, conditions: Conditions, graph: ResourceGraph | None, number: int, held: Row | None
    ) -> None:
        """The status of the definition, by what was found."""
        before = (obj.get("status") or {}).get("conditions") or []
        shown = with_word((), before, (HELD, hold.told(obj, held)), obj["metadata"].get("generation", 0), self._now())
        body = status_body(obj, conditions, graph, number, shown[0] if shown else None)
        await self._writes.status(obj, body)

    async def _import(self, obj: JsonObject, head: Row) -> Row:
        """Revisions of kro, or of a log that is lost, become this log's, with the leaves that must be redacted."""
        events = []
        for found in await self._revisions.adopted(obj):
            body = imported(obj, found, self._world.engine)
            if body is None:
                continue
            try:
                graph, kinds = await self._compiler.compile(parse({**obj, "spec": body.spec}))
            except (DefinitionErrors, CompilerFailed) as error:
                logger.warning("a taken-over revision does not compile", number=body.number, error=str(error))
            else:
                schemas = await self._compiler.record(graph, kinds)
                body = replace(body, tainted=facts.tainted(graph), schemas_digest=graph.schemas_digest, schemas=schemas)
                self._world.taints.learn(body.instance_group, body.instance_kind, body.tainted)
            events.append(facts.event(obj, body, self._now()))
        if not events:
            return head
        await self._world.log.append(events)
        with self._world.open_reader() as reader:
            return reader.row("definitions", obj["metadata"]["uid"]) or {}

    async def _resolved(self, loaded: _Loaded, conditions: Conditions) -> Outcome:
        """Spec/04 §2.3, with the active revision kept while a new one is refused."""
        try:
            graph, kinds = await self._compiler.compile(loaded.definition)
        except (DefinitionErrors, CompilerFailed) as error:
            return await self._refused(
                _Refused(loaded.object, loaded.head, loaded.hash, loaded.hold), error, conditions
            )
        number = int(str(loaded.head.get("newest", 0)))
        if loaded.head.get("newest_hash") != loaded.hash:
            number = await self._issue(loaded, graph, await self._compiler.record(graph, kinds))
        conditions.set("GraphAccepted", "True", "Valid", "resource graph and schema are valid", self._now())
        self._set_resolved(conditions, number)
        return await self._activated(loaded, graph, number, conditions)

    async def _refused(
        self, found: _Refused, error: DefinitionErrors | CompilerFailed, conditions: Conditions
    ) -> Outcome:
        """A refused spec is history too; the revision that was active goes on being served."""
        obj, head, found_hash = found.object, found.head, found.hash or "unparsable"
        meta = obj["metadata"]
        faults = tuple(facts.fault(fault) for fault in faults_of(error))
        reason = "InvalidResourceGraph" if isinstance(error, DefinitionErrors) else "CompilerFailed"
        if head.get("rejected_hash") != found_hash or head.get("rejected_faults") != list(faults):
            body = RevisionRejected(meta["uid"], meta["name"], found_hash, meta.get("generation", 0), faults)
            seen = self._seen(obj)
            await self._world.log.append(
                [facts.event(obj, body, self._now(), actor=facts.editor(seen), cause=facts.position(seen))]
            )
            if not facts.shown(obj, "GraphAccepted", str(error)):
                await self._announcements.say(obj, "Warning", reason, str(error))
        conditions.set("GraphAccepted", "False", reason, str(error), self._now())
        newest = int(str(head.get("newest", 0)))
        if newest:
            self._set_resolved(conditions, newest)
        await self._serve_last_good(obj, head, conditions)
        await self._say(obj, conditions, None, newest, found.hold)
        return "retry" if isinstance(error, DefinitionErrors) and facts.may_heal(error) else "settled"

    def _set_resolved(self, conditions: Conditions, number: int) -> None:
        text = f"revision {number} compiled and active"
        conditions.set("GraphRevisionsResolved", "True", "Resolved", text, self._now())

    async def _serve_last_good(self, obj: JsonObject, head: Row, conditions: Conditions, *, refused: int = 0) -> int:
        """After a restart the active revision has to be compiled again although the newest edit is refused.

        ``refused``: the revision that could not be installed just now. Returns the one that is served; 0: none is.
        """
        number, definition_uid = int(str(head.get("active", 0))), obj["metadata"]["uid"]
        if number and self._world.graphs.get(definition_uid, number) is not None:
            self._set_resolved(conditions, number)
            return number
        with self._world.open_reader() as reader:
            rows = reader.rows("revisions", "definition_uid", definition_uid)
        issued = {int(str(row["number"])): row for row in rows if row["number"]}
        if not number:
            before = {other: row for other, row in issued.items() if other != refused}
            number, graph = await self._served_before(obj, before)
        elif number in issued:
            try:
                graph = await self._recompiled(obj, issued[number])
            except (DefinitionErrors, CompilerFailed) as error:
                text = f"the active revision {number} does not compile any more: {error}"
                conditions.set("GraphRevisionsResolved", "False", "Failed", text, self._now())
                return 0
        else:
            graph = None
        if graph is None:
            return 0
        self._world.graphs.put(definition_uid, number, graph)
        self._set_resolved(conditions, number)
        await self._serve(graph, obj["metadata"]["name"], definition_uid, again=False)
        return number

    async def _recompiled(self, obj: JsonObject, row: Row) -> ResourceGraph:
        return await self._compiler.compile_revision(parse({**obj, "spec": row["spec"]}), row)

    async def _served_before(self, obj: JsonObject, issued: Mapping[int, Row]) -> tuple[int, ResourceGraph | None]:
        """No activation is in this log: the newest of the imported revisions whose API is the one that is installed."""
        for number in sorted(issued, reverse=True):
            try:
                graph = await self._recompiled(obj, issued[number])
            except (DefinitionErrors, CompilerFailed):
                continue
            if await self._crds.installed(obj, graph):
                await self._activate(obj, graph, number, quietly=True)
                return number, graph
        return 0, None

    async def _issue(self, loaded: _Loaded, graph: ResourceGraph, schemas: dict[str, str]) -> int:
        """The next number; a rollback command that asked for exactly this spec is its cause."""
        obj, head = loaded.object, loaded.head
        status = obj.get("status") or {}
        number = max(int(str(head.get("newest", 0))), int(status.get("lastIssuedRevision") or 0)) + 1
        command = head.get("command") or {}
        assert isinstance(command, dict)
        asked = command if command.get("spec_hash") == loaded.hash else {}
        body = facts.issued(obj, graph, number, engine=self._world.engine, schemas=schemas)
        body = replace(
            body,
            reason=str(asked.get("reason", "")),
            rolled_back_to=int(asked.get("to", 0)),
        )
        self._world.taints.learn(body.instance_group, body.instance_kind, body.tainted)
        actor = Actor(str(asked["actor"]), "cli") if asked else facts.editor(loaded.row)
        cause = int(str(head.get("command_position", 0))) if asked else facts.position(loaded.row)
        correlation = str(asked.get("correlation", ""))
        event = facts.event(obj, body, self._now(), actor=actor, cause=cause, correlation=correlation)
        await self._world.log.append([event])
        await self._revisions.mirror(obj, number, loaded.hash, graph)
        await self._announcements.say(obj, "Normal", "RevisionIssued", f"revision {number} issued")
        return number

    def _seen(self, obj: JsonObject) -> Row | None:
        """The last observation of the definition."""
        with self._world.open_reader() as reader:
            return reader.row("objects", ObjectRef.of(obj).key)

    async def _activated(self, loaded: _Loaded, graph: ResourceGraph, number: int, conditions: Conditions) -> Outcome:
        """The API first, then the revision: instances never run against a schema that is not there (spec/04 T6)."""
        obj, outcome = loaded.object, "settled"
        definition_uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
        try:
            crd = await self._crds.ensure(obj, graph, number)
        except ApiError as error:
            await self._kind_refused(loaded, number, error, conditions)
            outcome = "retry"
        else:
            gvk = graph.instance.gvk
            self._custom_kinds.accepted((gvk.group, gvk.kind), Served.of(crd))
            text = f"kind {crd['status']['acceptedNames']['kind']} has been accepted and ready"
            conditions.set("KindReady", "True", "Ready", text, self._now())
            before = self._world.graphs.get(definition_uid, number)
            self._world.graphs.put(definition_uid, number, graph)
            if int(str(loaded.head.get("active", 0))) != number:
                await self._activate(obj, graph, number)
            # the same spec against a changed schema is another graph
            renewed = before is not None and before.schemas_digest != graph.schemas_digest
            try:
                await self._serve(graph, name, definition_uid, again=renewed)
            except ApiError as error:
                conditions.set("ControllerReady", "False", "FailedToStart", error.message, self._now())
                outcome = "retry"
            else:
                conditions.set("ControllerReady", "True", "Running", "controller is running", self._now())
        await self._say(obj, conditions, graph, number, loaded.hold)
        return "settled" if outcome == "settled" else "retry"

    async def _kind_refused(self, loaded: _Loaded, number: int, error: ApiError, conditions: Conditions) -> None:
        """Said once; the new revision waits, and the one before it goes on."""
        conditions.set("KindReady", "False", "Failed", error.message, self._now())
        if not facts.shown(loaded.object, "KindReady", error.message):
            await self._announcements.say(loaded.object, "Warning", "KindNotReady", error.message)
        served = await self._serve_last_good(loaded.object, loaded.head, conditions, refused=number)
        if served and served != number:
            text = f"revision {number} compiled; revision {served} stays active until the CRD accepts it"
            conditions.set("GraphRevisionsResolved", "True", "Resolved", text, self._now())

    async def _activate(self, obj: JsonObject, graph: ResourceGraph, number: int, *, quietly: bool = False) -> None:
        """``quietly``: only this log did not know it."""
        gvk = graph.instance.gvk
        with self._world.open_reader() as reader:
            known = len(reader.rows("objects", "kind_key", f"{gvk.group}/{gvk.kind}"))
            row = reader.row("revisions", f"{obj['metadata']['uid']}/{number:06d}")
        body = RevisionActivated(obj["metadata"]["uid"], obj["metadata"]["name"], number, known)
        cause = int(str(row["position"])) if row else 0
        correlation = f"rollout/{obj['metadata']['name']}/{number}"
        await self._world.log.append([facts.event(obj, body, self._now(), cause=cause, correlation=correlation)])
        if not quietly and not facts.shown(obj, "GraphRevisionsResolved", f"revision {number} compiled and active"):
            text = f"revision {number} is active, {known} instances follow it"
            await self._announcements.say(obj, "Normal", "RevisionActivated", text)

    def _now(self) -> int:
        return self._world.clock()
