"""One definition, one pass: compile, issue a revision, install its API, serve its instances, say so in its status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from kro_es.api import metadata
from kro_es.api.conditions import Conditions, with_held
from kro_es.api.definition import ResourceGraphDefinition, parse
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource, terminating
from kro_es.controller.crds import CustomKinds, Served
from kro_es.controller.definition_status import DEPENDENTS, status_body
from kro_es.controller.definition_writes import DefinitionWrites
from kro_es.controller.graph_revisions import GraphRevisions, imported
from kro_es.controller.queue import Key
from kro_es.controller.world import World
from kro_es.decisions import hold
from kro_es.errors import ApiError, DefinitionErrors, DefinitionFault
from kro_es.events.types import (
    Actor,
    NewEvent,
    RevisionActivated,
    RevisionIssued,
    RevisionRejected,
    Subject,
    definition_stream,
)
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.graph.hash import spec_hash
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row

logger = structlog.get_logger(__name__)
Outcome = Literal["settled", "retry"]
CONTROLLER = Actor("kro-es", "controller")


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
        max_revisions: int,
    ) -> None:
        self._world = world
        self._custom_kinds = custom_kinds
        # what each definition and its kinds looked like when its last pass ended well
        self._settled: dict[Key, object] = {}
        self._serve = serve
        self._withdraw = withdraw
        self._writes = DefinitionWrites(world)
        self._revisions = GraphRevisions(world, self._writes, max_revisions)

    def forget_settled(self) -> None:
        """The next pass of every definition looks at everything again."""
        self._settled.clear()

    async def reconcile(self, key: Key) -> Outcome:
        """One pass; none when neither the definition nor a kind it is compiled against has changed since the last."""
        edited = self._edited(key)
        if edited is not None and self._settled.get(key) == (edited, self._custom_kinds.standing(key)):
            return "settled"
        outcome = await self._pass(key)
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
            definition = parse(obj)
            loaded = _Loaded(obj, row, head, definition, spec_hash(definition), held)
            own = (definition.schema.group, definition.schema.kind)
            self._custom_kinds.reads(key, {own, *((gvk.group, gvk.kind) for gvk in required_kinds(definition))})
        except DefinitionErrors as error:
            return await self._refused(_Refused(obj, head, "", held), error, conditions)
        return await self._resolved(loaded, conditions)

    async def _say(
        self, obj: JsonObject, conditions: Conditions, graph: ResourceGraph | None, number: int, held: Row | None
    ) -> None:
        """The status of the definition, by what was found."""
        before = (obj.get("status") or {}).get("conditions") or []
        shown = with_held((), before, hold.told(obj, held), obj["metadata"].get("generation", 0), self._now())
        body = status_body(obj, conditions, graph, number, shown[0] if shown else None)
        await self._writes.status(obj, body)

    async def _import(self, obj: JsonObject, head: Row) -> Row:
        """Revisions of kro, or of a log that is lost, become this log's, with the leaves that must be redacted."""
        events = []
        for found in await self._revisions.found(obj):
            body = imported(obj, found, self._world.engine)
            if body is None:
                continue
            try:
                graph = await self._compile(parse({**obj, "spec": body.spec}))
            except DefinitionErrors as error:
                logger.warning("a taken-over revision does not compile", number=body.number, error=str(error))
            else:
                body = replace(body, tainted=_tainted(graph), schemas_digest=graph.schemas_digest)
                self._world.taints.learn(body.instance_group, body.instance_kind, body.tainted)
            events.append(self._event(obj, body))
        if not events:
            return head
        await self._world.log.append(events)
        with self._world.open_reader() as reader:
            return reader.row("definitions", obj["metadata"]["uid"]) or {}

    async def _resolved(self, loaded: _Loaded, conditions: Conditions) -> Outcome:
        """Spec/04 §2.3, with the active revision kept while a new one is refused."""
        try:
            graph = await self._compile(loaded.definition)
        except DefinitionErrors as error:
            return await self._refused(
                _Refused(loaded.object, loaded.head, loaded.hash, loaded.hold), error, conditions
            )
        number = int(str(loaded.head.get("newest", 0)))
        if loaded.head.get("newest_hash") != loaded.hash:
            number = await self._issue(loaded, graph)
        conditions.set("GraphAccepted", "True", "Valid", "resource graph and schema are valid", self._now())
        self._set_resolved(conditions, number)
        return await self._activated(loaded, graph, number, conditions)

    async def _compile(self, definition: ResourceGraphDefinition) -> ResourceGraph:
        """Schemas first, then the pure compile, off the event loop: a large graph must not hold up the others."""
        kinds = await self._world.cluster.kinds(required_kinds(definition), self._custom_kinds.names)
        return await asyncio.to_thread(
            compile_graph,
            definition,
            kinds,
            omit=self._world.omit,
            environment=self._world.environment,
            rules=self._world.rules,
        )

    async def _refused(self, found: _Refused, error: DefinitionErrors, conditions: Conditions) -> Outcome:
        """A refused spec is history too; the revision that was active goes on being served."""
        obj, head, found_hash = found.object, found.head, found.hash
        meta = obj["metadata"]
        faults = tuple(_fault(fault) for fault in error.faults)
        if head.get("rejected_hash") != (found_hash or "unparsable") or head.get("rejected_faults") != list(faults):
            body = RevisionRejected(
                meta["uid"], meta["name"], found_hash or "unparsable", meta.get("generation", 0), faults
            )
            await self._world.log.append([self._event(obj, body)])
        conditions.set("GraphAccepted", "False", "InvalidResourceGraph", str(error), self._now())
        newest = int(str(head.get("newest", 0)))
        if newest:
            self._set_resolved(conditions, newest)
        await self._serve_last_good(obj, head)
        await self._say(obj, conditions, None, newest, found.hold)
        return "retry" if _may_heal(error) else "settled"

    def _set_resolved(self, conditions: Conditions, number: int) -> None:
        text = f"revision {number} compiled and active"
        conditions.set("GraphRevisionsResolved", "True", "Resolved", text, self._now())

    async def _serve_last_good(self, obj: JsonObject, head: Row) -> None:
        """After a restart the active revision has to be compiled again although the newest edit is refused."""
        number = int(str(head.get("active", 0)))
        definition_uid = obj["metadata"]["uid"]
        if number and self._world.graphs.get(definition_uid, number) is not None:
            return
        with self._world.open_reader() as reader:
            rows = reader.rows("revisions", "definition_uid", definition_uid)
        issued = {int(str(row["number"])): row["spec"] for row in rows if row["number"]}
        if number:
            graph = await self._compile(parse({**obj, "spec": issued[number]})) if number in issued else None
        else:
            number, graph = await self._served_before(obj, issued)
        if graph is None:
            return
        self._world.graphs.put(definition_uid, number, graph)
        await self._serve(graph, obj["metadata"]["name"], definition_uid, again=False)

    async def _served_before(self, obj: JsonObject, issued: Mapping[int, object]) -> tuple[int, ResourceGraph | None]:
        """No activation is in this log: the newest of the imported revisions whose API is the one that is installed."""
        for number in sorted(issued, reverse=True):
            try:
                graph = await self._compile(parse({**obj, "spec": issued[number]}))
            except DefinitionErrors:
                continue
            if await self._writes.installed(obj, graph):
                await self._activate(obj, graph, number)
                return number, graph
        return 0, None

    async def _issue(self, loaded: _Loaded, graph: ResourceGraph) -> int:
        """The next number; a rollback command that asked for exactly this spec is its cause."""
        obj, head = loaded.object, loaded.head
        meta = obj["metadata"]
        status = obj.get("status") or {}
        number = max(int(str(head.get("newest", 0))), int(status.get("lastIssuedRevision") or 0)) + 1
        command = head.get("command") or {}
        assert isinstance(command, dict)
        asked = command if command.get("spec_hash") == loaded.hash else {}
        instance = graph.instance
        body = RevisionIssued(
            definition_uid=meta["uid"],
            definition=meta["name"],
            number=number,
            spec=obj["spec"],
            spec_hash=loaded.hash,
            generation=meta.get("generation", 0),
            topological_order=graph.topological_order,
            instance_group=instance.gvk.group,
            instance_version=instance.gvk.version,
            instance_kind=instance.gvk.kind,
            instance_plural=instance.plural,
            engine=self._world.engine,
            schemas_digest=graph.schemas_digest,
            tainted=_tainted(graph),
            reason=str(asked.get("reason", "")),
            rolled_back_to=int(asked.get("to", 0)),
        )
        self._world.taints.learn(instance.gvk.group, instance.gvk.kind, body.tainted)
        actor = Actor(str(asked["actor"]), "cli") if asked else await self._editor(obj)
        cause = int(str(head.get("command_position", 0))) if asked else int(str(loaded.row["position"]))
        correlation = str(asked.get("correlation", ""))
        await self._world.log.append([self._event(obj, body, actor=actor, cause=cause, correlation=correlation)])
        await self._revisions.mirror(obj, number, loaded.hash, graph)
        return number

    async def _editor(self, obj: JsonObject) -> Actor:
        """The manager that made the edit, as the observation of it says."""
        with self._world.open_reader() as reader:
            row = reader.row("objects", ObjectRef.of(obj).key)
        editor = str(row["editor"]) if row else ""
        return Actor(editor, "manager") if editor else Actor("", "unknown")

    async def _activated(self, loaded: _Loaded, graph: ResourceGraph, number: int, conditions: Conditions) -> Outcome:
        """The API first, then the revision: instances never run against a schema that is not there (spec/04 T6)."""
        obj, outcome = loaded.object, "settled"
        definition_uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
        try:
            crd = await self._writes.ensure_crd(obj, graph)
        except ApiError as error:
            conditions.set("KindReady", "False", "Failed", error.message, self._now())
            await self._serve_last_good(obj, loaded.head)
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
            await self._serve(graph, name, definition_uid, again=renewed)
            conditions.set("ControllerReady", "True", "Running", "controller is running", self._now())
        await self._say(obj, conditions, graph, number, loaded.hold)
        return "settled" if outcome == "settled" else "retry"

    async def _activate(self, obj: JsonObject, graph: ResourceGraph, number: int) -> None:
        gvk = graph.instance.gvk
        with self._world.open_reader() as reader:
            known = len(reader.rows("objects", "kind_key", f"{gvk.group}/{gvk.kind}"))
            row = reader.row("revisions", f"{obj['metadata']['uid']}/{number:06d}")
        body = RevisionActivated(obj["metadata"]["uid"], obj["metadata"]["name"], number, known)
        cause = int(str(row["position"])) if row else 0
        correlation = f"rollout/{obj['metadata']['name']}/{number}"
        await self._world.log.append([self._event(obj, body, cause=cause, correlation=correlation)])

    def _event(
        self,
        obj: JsonObject,
        body: RevisionIssued | RevisionRejected | RevisionActivated,
        *,
        actor: Actor = CONTROLLER,
        cause: int = 0,
        correlation: str = "",
    ) -> NewEvent:
        meta = obj["metadata"]
        subject = Subject(metadata.GROUP, metadata.DEFINITION_KIND, "", meta["name"], meta["uid"])
        stream = definition_stream(meta["uid"])
        return NewEvent(stream, body, subject, actor, self._now(), cause=cause, correlation=correlation)

    def _now(self) -> int:
        return self._world.clock()


def definition_resource() -> Resource:
    gvk = Gvk.parse(metadata.DEFINITION_API_VERSION, metadata.DEFINITION_KIND)
    return Resource(gvk, "resourcegraphdefinitions", namespaced=False)


def definition_ref(name: str) -> ObjectRef:
    return ObjectRef(metadata.GROUP, metadata.DEFINITION_KIND, "", name)


def _tainted(graph: ResourceGraph) -> dict[str, list[list[str | int]]]:
    found = {node.id: [list(path) for path in node.tainted_paths] for node in graph.nodes if node.tainted_paths}
    if graph.tainted_status:
        found["status"] = [["status", *path] for path in graph.tainted_status]
    return found


def _fault(fault: DefinitionFault) -> JsonObject:
    return {
        "message": fault.message,
        "resource": fault.resource,
        "path": fault.path,
        "expression": fault.expression,
        "column": fault.column,
    }


def _may_heal(error: DefinitionErrors) -> bool:
    """A missing kind may be installed later; everything else needs an edit."""
    return any("schema not found" in fault.message and "cannot resolve" in fault.message for fault in error.faults)
