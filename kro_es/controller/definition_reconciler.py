"""One definition, one pass: compile, issue a revision, install its API, serve its instances, say so in its status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from kro_es.api.definition import ResourceGraphDefinition, parse
from kro_es.api.objects import ObjectRef, terminating
from kro_es.controller.announcements import Announcements
from kro_es.controller.compiling import Compiler, failures_told
from kro_es.controller.crds import CustomKinds, GroupKind, Served
from kro_es.controller.definition_writes import DefinitionWrites, happened
from kro_es.controller.generated_crds import GeneratedCrds, Incompatible
from kro_es.controller.graph_revisions import GraphRevisions
from kro_es.controller.queue import Key
from kro_es.controller.resuming import Resuming
from kro_es.controller.selector_pins import selector_pins
from kro_es.controller.takeover import Redactions
from kro_es.controller.world import World
from kro_es.decisions import definition as definitions
from kro_es.decisions import definition_status
from kro_es.decisions.definition import DefinitionInputs
from kro_es.decisions.definition_status import Found
from kro_es.errors import ApiError, CompilerFailed, DefinitionErrors
from kro_es.events.types import Actor
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


class DefinitionReconciler:
    """``serve`` starts the watches a graph needs and queues its instances, ``again`` queues them; ``withdraw`` ends that."""

    def __init__(
        self,
        world: World,
        custom_kinds: CustomKinds,
        *,
        serve: Callable[..., Awaitable[None]],
        withdraw: Callable[[str], None],
        again: Callable[[str], None],
        keep: Keep,
    ) -> None:
        self._world = world
        self._custom_kinds = custom_kinds
        # what each definition and its kinds looked like when its last pass ended well
        self._settled: dict[Key, object] = {}
        self._serve = serve
        self._withdraw = withdraw
        self._again = again
        # the custom kinds of its graph that were there at its last pass
        self._served_to: dict[str, frozenset[GroupKind]] = {}
        # position of the last command about instances pinned by labels that they had a pass for
        self._pinned_at: dict[str, int] = {}
        self._keep = keep
        self._writes = DefinitionWrites(world)
        self._crds = GeneratedCrds(world, self._writes)
        self._revisions = GraphRevisions(world, self._writes, keep.revisions)
        self._compiler = Compiler(world, custom_kinds)
        self._resuming = Resuming(world, self._compiler, custom_kinds)
        self._announcements = Announcements(world)

    async def learn_redactions(self) -> None:
        """Once, before anything is served."""
        await Redactions(self._world, self._compiler, self._revisions).learn()

    def forget_settled(self) -> None:
        """The next pass of every definition looks at everything again."""
        self._settled.clear()

    def unseen(self) -> set[Key]:
        """Definitions that a start took up from the log; the next pass of each looks at everything."""
        for key in self._resuming.unseen:
            self._settled.pop(key, None)
        return set(self._resuming.unseen)

    async def reconcile(self, key: Key) -> Outcome:
        """One pass; none when neither the definition nor a kind it is compiled against has changed since the last."""
        edited = self._edited(key)
        if edited is not None and self._settled.get(key) == (edited, self._custom_kinds.standing(key)):
            return "settled"
        # it holds for what was there when the last pass ended well, not for what is there again after one that did not
        self._settled.pop(key, None)
        outcome = await self._pass(key)
        now = self._edited(key)
        if now not in (edited, None):
            # somebody was quicker than a patch of ours: the answer showed it, and no event will
            return await self.reconcile(key)
        if outcome == "settled" and edited is not None:
            self._settled[key] = (edited, self._custom_kinds.standing(key))
        self._follow_kinds(key, well=outcome == "settled")
        return outcome

    def _follow_kinds(self, key: Key, *, well: bool) -> None:
        """A kind that was gone and is back: no event tells the instances, which wait longer and longer for it."""
        now = self._custom_kinds.served_to(key)
        before = self._served_to.get(key.uid, now)
        self._served_to[key.uid] = now if well else before & now
        if well and now - before:
            self._again(key.uid)

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
        with self._world.open_reader() as reader:
            inputs = definitions.load(reader, ObjectRef.from_key(key.ref).name, key.uid, self._world.told())
        if inputs is None:
            self._withdraw(key.uid)
            self._custom_kinds.reads(key, ())
            self._settled.pop(key, None)
            self._served_to.pop(key.uid, None)
            self._pinned_at.pop(key.uid, None)
            self._resuming.forget(key)
            self._revisions.forget(key.uid)
            return "settled"
        if terminating(inputs.object):
            self._withdraw(key.uid)
            await self._revisions.release(inputs)
            if not self._keep.crd:
                await self._crds.remove(inputs)
            await self._writes.release(inputs)
            return "settled"
        await self._writes.finalize(inputs)
        if not inputs.newest and await self._import(inputs):
            return await self._pass(key)
        self._follow_pins(key.uid, inputs.head)
        if definition_status.waits(inputs):
            await self._say(inputs, None, Found())
            return "settled"
        try:
            with failures_told():
                definition = parse(inputs.object)
                inputs = replace(inputs, hash=spec_hash(definition))
            own = (definition.schema.group, definition.schema.kind)
            self._custom_kinds.reads(key, {own, *((gvk.group, gvk.kind) for gvk in required_kinds(definition))})
        except (DefinitionErrors, CompilerFailed) as error:
            return await self._refused(replace(inputs, hash=""), error)
        return await self._resumed(key, inputs, definition) or await self._resolved(inputs, definition)

    async def _resumed(self, key: Key, inputs: DefinitionInputs, definition: ResourceGraphDefinition) -> Outcome | None:
        """Serves what an earlier run left at rest; None when this run has to look at everything."""
        graph = await self._resuming.graph(key, inputs, definition)
        if graph is None:
            return None
        self._world.graphs.put(inputs.uid, inputs.newest, graph)
        await self._serve(graph, inputs.name, inputs.uid, again=False)
        return "settled"

    def _follow_pins(self, definition_uid: str, head: Row) -> None:
        """Pins by labels that began or ended since the last pass: each instance sees whether it is concerned."""
        position = int(str(head.get("pins_position", 0)))
        if self._pinned_at.setdefault(definition_uid, position) != position:
            self._pinned_at[definition_uid] = position
            self._again(definition_uid)

    async def _say(
        self, inputs: DefinitionInputs, judged: ResourceGraph | DefinitionErrors | CompilerFailed | None, found: Found
    ) -> None:
        """The status of the definition, by what was found."""
        failed = {"failed": str(judged)} if isinstance(judged, CompilerFailed) else {}
        await self._writes.status(inputs, definition_status.status(inputs, judged, found), {**found.given, **failed})

    async def _import(self, inputs: DefinitionInputs) -> bool:
        """Revisions of kro, or of a log that is lost, become this log's, with the leaves that must be redacted.

        So do pins by labels. Whether there were any revisions.
        """
        events = []
        for found in await self._revisions.adopted(inputs):
            try:
                body = definitions.imported(inputs, found)
            except DefinitionErrors as error:
                logger.warning("a GraphRevision cannot be read", name=found["metadata"]["name"], error=str(error))
                continue
            try:
                graph, kinds = await self._compiler.compile(parse({**inputs.object, "spec": body.spec}))
            except (DefinitionErrors, CompilerFailed) as error:
                logger.warning("a taken-over revision does not compile", number=body.number, error=str(error))
            else:
                body = definitions.with_graph(body, graph, await self._compiler.record(kinds))
                self._world.taints.learn(body.instance_group, body.instance_kind, body.tainted)
            events.append(happened(inputs, body, self._now()))
        pins = [happened(inputs, body, self._now(), actor=asker) for body, asker in selector_pins(inputs.object)]
        await self._world.log.append([*events, *pins])
        return bool(events)

    async def _resolved(self, inputs: DefinitionInputs, definition: ResourceGraphDefinition) -> Outcome:
        """Spec/04 §2.3, with the active revision kept while a new one is refused."""
        try:
            kinds = await self._compiler.kinds(definition)
            # before it is known whether it compiles: why it does not depends on them, too
            inputs = replace(inputs, schemas=await self._compiler.record(kinds))
            graph = await self._compiler.compiled(definition, kinds)
        except (DefinitionErrors, CompilerFailed) as error:
            return await self._refused(inputs, error)
        if inputs.is_new:
            await self._issue(inputs, graph)
        mirrored = await self._mirrored(inputs, graph)
        outcome = await self._activated(inputs, graph)
        return outcome if mirrored else "retry"

    async def _mirrored(self, inputs: DefinitionInputs, graph: ResourceGraph) -> bool:
        """False when the object of the revision could not be written: it is tried again, and nobody waits for it."""
        try:
            await self._revisions.mirror(inputs, graph)
        except ApiError as error:
            logger.warning("a GraphRevision cannot be written", definition=inputs.name, error=error.message)
            return False
        return True

    async def _refused(self, inputs: DefinitionInputs, error: DefinitionErrors | CompilerFailed) -> Outcome:
        """A refused spec is history too; the revision that was active goes on being served."""
        body = definitions.rejected(inputs, error)
        if not definitions.known(inputs, body):
            seen = self._seen(inputs)
            await self._world.log.append(
                [happened(inputs, body, self._now(), actor=_editor(seen), cause=_position(seen))]
            )
            if not _shown(inputs, "GraphAccepted", str(error)):
                reason = definition_status.reason_of(error)
                await self._announcements.say(inputs.object, "Warning", reason, str(error))
        await self._say(inputs, error, await self._serve_last_good(inputs))
        return "retry" if isinstance(error, DefinitionErrors) and _may_heal(error) else "settled"

    async def _serve_last_good(self, inputs: DefinitionInputs, *, refused: int = 0) -> Found:
        """After a restart the active revision has to be compiled again although the newest edit is refused.

        ``refused``: the revision that could not be installed just now.
        """
        number = int(str(inputs.head.get("active", 0)))
        if number and self._world.graphs.get(inputs.uid, number) is not None:
            return Found(served=number)
        with self._world.open_reader() as reader:
            rows = reader.rows("revisions", "definition_uid", inputs.uid)
        issued = {int(str(row["number"])): row for row in rows if row["number"]}
        if not number:
            before = {other: row for other, row in issued.items() if other != refused}
            number, graph = await self._served_before(inputs, before)
        elif number in issued:
            try:
                graph = await self._recompiled(inputs, issued[number])
            except (DefinitionErrors, CompilerFailed) as error:
                return Found(unserved=f"the active revision {number} does not compile any more: {error}")
        else:
            graph = None
        if graph is None:
            return Found()
        self._world.graphs.put(inputs.uid, number, graph)
        await self._serve(graph, inputs.name, inputs.uid, again=False)
        return Found(served=number)

    async def _recompiled(self, inputs: DefinitionInputs, row: Row) -> ResourceGraph:
        return await self._compiler.compile_revision(parse({**inputs.object, "spec": row["spec"]}), row)

    async def _served_before(
        self, inputs: DefinitionInputs, issued: Mapping[int, Row]
    ) -> tuple[int, ResourceGraph | None]:
        """No activation is in this log: the newest of the imported revisions whose API is the one that is installed."""
        for number in sorted(issued, reverse=True):
            try:
                graph = await self._recompiled(inputs, issued[number])
            except (DefinitionErrors, CompilerFailed):
                continue
            if await self._crds.installed(inputs, graph):
                await self._activate(inputs, number, found=True)
                return number, graph
        return 0, None

    async def _issue(self, inputs: DefinitionInputs, graph: ResourceGraph) -> None:
        """The next revision; a rollback command that asked for exactly this spec is its cause."""
        body, asked = definitions.issued(inputs, graph), inputs.command
        self._world.taints.learn(body.instance_group, body.instance_kind, body.tainted)
        actor = Actor(str(asked["actor"]), "cli") if asked else _editor(inputs.row)
        cause = int(str(inputs.head.get("command_position", 0))) if asked else _position(inputs.row)
        correlation = str(asked.get("correlation", ""))
        event = happened(inputs, body, self._now(), actor=actor, cause=cause, correlation=correlation)
        await self._world.log.append([event])
        await self._announcements.say(inputs.object, "Normal", "RevisionIssued", f"revision {body.number} issued")

    def _seen(self, inputs: DefinitionInputs) -> Row | None:
        """The last observation of the definition."""
        with self._world.open_reader() as reader:
            return reader.row("objects", ObjectRef.of(inputs.object).key)

    async def _activated(self, inputs: DefinitionInputs, graph: ResourceGraph) -> Outcome:
        """The API first, then the revision: instances never run against a schema that is not there (spec/04 T6)."""
        number = inputs.number
        try:
            crd = await self._crds.ensure(inputs, graph, number)
        except ApiError as error:
            await self._say(inputs, graph, await self._kind_refused(inputs, error))
            return "retry"
        gvk = graph.instance.gvk
        self._custom_kinds.accepted((gvk.group, gvk.kind), Served.of(crd))
        before = self._world.graphs.get(inputs.uid, number)
        self._world.graphs.put(inputs.uid, number, graph)
        if int(str(inputs.head.get("active", 0))) != number:
            await self._activate(inputs, number)
        # the same spec against a changed schema is another graph
        renewed = before is not None and before.schemas_digest != graph.schemas_digest
        found = Found(kind=crd["status"]["acceptedNames"]["kind"])
        try:
            await self._serve(graph, inputs.name, inputs.uid, again=renewed)
        except ApiError as error:
            found = replace(found, unwatched=error.message)
        await self._say(inputs, graph, found)
        return "retry" if found.unwatched else "settled"

    async def _kind_refused(self, inputs: DefinitionInputs, error: ApiError) -> Found:
        """Said once; the new revision waits, and the one before it goes on."""
        if not _shown(inputs, "KindReady", error.message):
            await self._announcements.say(inputs.object, "Warning", "KindNotReady", error.message)
        found = await self._serve_last_good(inputs, refused=inputs.number)
        if isinstance(error, Incompatible):
            return replace(found, installed=error.installed)
        return replace(found, refused=error.message)

    async def _activate(self, inputs: DefinitionInputs, number: int, *, found: bool = False) -> None:
        """``found``: only this log did not know it."""
        with self._world.open_reader() as reader:
            body = definitions.activated(reader, inputs.uid, inputs.name, number, found=found)
            row = reader.row("revisions", f"{inputs.uid}/{number:06d}")
        cause = int(str(row["position"])) if row else 0
        correlation = f"rollout/{inputs.name}/{number}"
        await self._world.log.append([happened(inputs, body, self._now(), cause=cause, correlation=correlation)])
        if not found and not _shown(inputs, "GraphRevisionsResolved", f"revision {number} compiled and active"):
            text = f"revision {number} is active, {body.instances} instances follow it"
            await self._announcements.say(inputs.object, "Normal", "RevisionActivated", text)

    def _now(self) -> int:
        return self._world.clock()


def _shown(inputs: DefinitionInputs, condition: str, message: str) -> bool:
    """Whether the definition's status says so already: another log, or kro, has told it."""
    found = (inputs.object.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == condition and item.get("message") == message for item in found)


def _editor(seen: Row | None) -> Actor:
    """The manager that made the edit, as the observation of it says."""
    found = str(seen["editor"]) if seen else ""
    return Actor(found, "manager") if found else Actor("", "unknown")


def _position(seen: Row | None) -> int:
    return int(str(seen["position"])) if seen else 0


def _may_heal(error: DefinitionErrors) -> bool:
    """A missing kind may be installed later; everything else needs an edit."""
    return any("schema not found" in fault.message and "cannot resolve" in fault.message for fault in error.faults)
