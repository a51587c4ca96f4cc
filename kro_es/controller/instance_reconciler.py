"""One instance, one pass: load, compute, apply, record, until there is nothing left that can be done now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, groupby

import structlog

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, Resource, labels, resource_version, terminating, uid
from kro_es.controller.externals import ExternalReads
from kro_es.controller.ingest import Sent
from kro_es.controller.pinned import PinnedRevisions
from kro_es.controller.ports import Reader
from kro_es.controller.queue import Key
from kro_es.controller.release import Outcome, Releases
from kro_es.controller.world import World
from kro_es.decisions import record
from kro_es.decisions.children import foreign_text
from kro_es.decisions.choice import Graphs
from kro_es.decisions.decide import Decision, decide
from kro_es.decisions.inputs import InstanceInputs
from kro_es.decisions.load import Moment, load
from kro_es.decisions.record import Thread
from kro_es.decisions.writes import NOTICE, STATUS, UID_CONFLICT, PlannedWrite
from kro_es.errors import ApiError
from kro_es.events.from_watch import Seen
from kro_es.events.redaction import scrub, secret_texts
from kro_es.events.types import Actor, Event, NewEvent, ObjectDeleted, ObjectObserved, ReconcileDecided
from kro_es.plan import owned
from kro_es.plan.applyset import applyset_id
from kro_es.projections.projection import Row

logger = structlog.get_logger(__name__)

_NOT_KEPT = "the API server accepts what is written and then shows something else"
_TOLD = ("labels", "annotations")
MOST_ROUNDS = 64
"""Decisions in one pass; a graph needs about as many as it is deep, so more is a loop."""


class InstanceReconciler:
    """Key in, one pass over the four steps; the decision itself is ``decisions.decide``."""

    def __init__(self, world: World, pinned: PinnedRevisions) -> None:
        self._world = world
        self._pinned = pinned
        self._known_fields: set[str] = set()
        self._claims: dict[ObjectRef, str] = {}
        self._releases = Releases(world)
        # instances with a write that may or may not have been carried out
        self._unanswered: set[str] = set()
        # by uid, where a pin by labels that began or ended just now is recorded
        self._moved: dict[str, int] = {}

    async def reconcile(self, key: Key) -> Outcome | float:
        """One pass. ``retry`` asks for another one later, with growing delay; a number for one in so many seconds."""
        failed: dict[str, str] = {}
        asked: list[tuple[str, str, str]] = []
        for _ in range(MOST_ROUNDS):
            # decided while the reader is open: what the decision looks up is at the position it is recorded with
            with self._world.open_reader() as reader:
                externals = ExternalReads(reader, self._world.externals, self._world.taints, self._clear)
                inputs = self._load(reader, key, failed, externals)
                decision = decide(inputs) if inputs else Decision()
            found = (child.ref.key for child in externals.found)
            await self._world.externals.release(self._world.externals.reads(key, externals.wanted, found))
            if await self._waited(inputs, externals):
                continue
            if inputs is None:
                return "settled"
            if decision.gone:
                surely = inputs.instance_uid not in self._unanswered
                released = await self._releases.release(inputs, surely=surely, failed=failed)
                if released == "refused":
                    continue
                return released
            if not (decision.records or decision.writes or decision.settled or decision.moved):
                return _rest(decision, failed)
            asked, before = [(write.verb, write.key, write.digest) for write in decision.writes], asked
            if asked and asked == before:
                # the server took it and shows something else: only an event, or time, makes a difference
                logger.warning("the server does not keep what is written", instance=key.ref, what=asked)
                if {verb for verb, _, _ in asked} == {"put"}:
                    return "settled"
                failed.update({write.key: _NOT_KEPT for write in decision.writes})
            elif not await self._act(inputs, decision, failed):
                return _rest(decision, failed)
        logger.error("a pass did not come to rest", instance=key.ref, rounds=MOST_ROUNDS)
        return "retry"

    # --- load ---------------------------------------------------------------------------------------------------

    def _load(
        self, reader: Reader, key: Key, failed: dict[str, str], externals: ExternalReads
    ) -> InstanceInputs | None:
        """Everything at one log position; None when the object is not (or no longer) there or not yet clear."""
        world, ref = self._world, ObjectRef.from_key(key.ref)
        graphs = Graphs(world.graphs.server(ref.group, ref.kind), world.graphs.get, world.graphs.uncompiled)
        moment = Moment(graphs, externals, self._clear, world.clock(), failed)
        inputs = load(reader, ref, key.uid, world.standing, moment)
        digests = {str(row["fields_digest"]) for row in inputs.nodes.values()} if inputs else set()
        self._known_fields |= {digest for digest in digests if inputs and inputs.field_set(digest) is not None}
        return inputs

    async def _waited(self, inputs: InstanceInputs | None, externals: ExternalReads) -> bool:
        """Whether something was not at hand, and is now: objects of others, or the graph it is pinned to."""
        if externals.missing:
            await self._world.externals.wait(externals.missing)
            return True
        if inputs is not None and inputs.lacking:
            await self._pinned.compile(inputs.served_by, inputs.lacking)
            return True
        return False

    def _clear(self, row: Row) -> JsonObject | None:
        """The recorded object with its secret values put back from memory."""
        recorded = row["object"]
        assert isinstance(recorded, dict)
        vault = self._world.ingest.vault
        return vault.clear(recorded) if self._world.taints.paths(recorded) else recorded

    # --- apply and record ---------------------------------------------------------------------------------------

    async def _act(self, inputs: InstanceInputs, decision: Decision, failed: dict[str, str]) -> bool:
        """Intent, writes, outcomes. True when another decision should follow in this pass."""
        if decision.taken_over:
            await self._world.log.append(record.taken_over(inputs, decision))
            return True
        if decision.moved_pin is not None:
            (event,) = await self._world.log.append([record.moved_pin(inputs, decision.moved_pin)])
            self._moved[inputs.instance_uid] = event.position
            return True
        # its end is in no row that the next decision reads
        thread = record.thread(inputs, self._moved.pop(inputs.instance_uid, 0))
        events = []
        if decision.writes or decision.moved:
            events.append(thread.event(record.decided(inputs, decision, self._world.engine), inputs.now))
        if decision.settled is not None and not decision.writes:
            events.append(thread.event(decision.settled, inputs.now))
        committed = await self._world.log.append(events)
        if not decision.writes:
            return False
        intent = next(event for event in committed if isinstance(event.body, ReconcileDecided))
        before = len(failed)
        recorded = await self._write_all(inputs, decision, thread, intent, failed)
        settled = decision.settled if len(failed) == before else None
        if settled is not None:
            recorded.append(self._world.log.submit([thread.event(settled, self._world.clock(), cause=intent.position)]))
        outcomes = await asyncio.gather(*recorded)
        return settled is None or _overtaken(inputs, decision, chain.from_iterable(outcomes))

    async def _write_all(
        self, inputs: InstanceInputs, decision: Decision, thread: Thread, intent: Event, failed: dict[str, str]
    ) -> list[Awaitable[tuple[Event, ...]]]:
        """Stage by stage; the writes of one stage at once. A failed stage ends the pass's writing.

        Returns the outcomes on their way to the log: the intent there already covers every write, so that only what
        is decided next has to wait for them.
        """
        numbered = list(enumerate(decision.writes))
        recorded: list[Awaitable[tuple[Event, ...]]] = []
        for _, together in groupby(numbered, key=lambda item: item[1].stage):
            stage = list(together)
            if self._ends_unseen(inputs, decision, stage):
                recorded += self._unsent(stage, thread, intent.position, ())
                break
            writes = [self._write(inputs, write, index, thread, intent.position) for index, write in stage]
            results = await asyncio.gather(*writes) if len(writes) > 1 else [await writes[0]]
            recorded += [outcome for _, _, outcome in results]
            failures = {name: text for name, text, _ in results if text}
            failed.update(failures)
            if failures:
                recorded += self._unsent(numbered[len(recorded) :], thread, intent.position, failures)
                break
        return recorded

    def _ends_unseen(
        self, inputs: InstanceInputs, decision: Decision, stage: Iterable[tuple[int, PlannedWrite]]
    ) -> bool:
        """Whether a status would only tell that an instance goes whose children are gone, and which goes next."""
        if not terminating(inputs.instance) or {write.what for _, write in stage} != {STATUS}:
            return False
        alone = inputs.instance["metadata"].get("finalizers") == [metadata.FINALIZER]
        deleted = any(write.verb == "delete" for write in decision.writes)
        return alone and deleted and not any(self._world.ingest.latest_version(child.ref) for child in inputs.children)

    def _unsent(
        self,
        left: Sequence[tuple[int, PlannedWrite]],
        thread: Thread,
        intent: int,
        failures: Iterable[str],
    ) -> list[Awaitable[tuple[Event, ...]]]:
        """The end of what was announced and will not be sent, on its way to the log."""
        now = self._world.clock()
        events = [
            thread.event(record.unsent(write, index, intent, failures), now, subject=record.target(write, None))
            for index, write in left
        ]
        return [self._world.log.submit(events)] if events else []

    async def _write(
        self, inputs: InstanceInputs, write: PlannedWrite, index: int, thread: Thread, intent: int
    ) -> tuple[str, str, Awaitable[tuple[Event, ...]]]:
        """One write; returns the node (or what it was), the error text, if any, and the outcome on its way to the log."""
        text = ""
        # taken before the write: its echo on the watch may be here before the answer
        before = self._world.ingest.latest_version(write.ref)
        with ExitStack() as claimed:
            claimed.callback(self._unclaim, inputs, write)
            try:
                if write.verb == "apply" and write.node:
                    self._claim(inputs, write)
                with self._world.ingest.sending(write.ref, _sent(write, intent, thread)):
                    answer = await self._send(inputs, write)
            except ApiError as error:
                text = self._worded(inputs, write, error)
                outcome = record.failed(write, index, intent, error, text)
                events: Sequence[NewEvent] = [
                    thread.event(outcome, self._world.clock(), subject=record.target(write, None))
                ]
            else:
                events = self._outcome(write, index, thread, intent, (before, answer))
            recorded = asyncio.ensure_future(self._world.log.submit(events))
            # held until the outcome is in the log
            release = claimed.pop_all()
            recorded.add_done_callback(lambda _: release.close())
        # nobody depends on a notice: the pass did what it had to
        return write.key, "" if write.what == NOTICE else text, recorded

    def _worded(self, inputs: InstanceInputs, write: PlannedWrite, error: ApiError) -> str:
        """The refusal without any secret value; notes what may have been carried out all the same."""
        if error.outcome_unknown:
            self._unanswered.add(inputs.instance_uid)
        meant = secret_texts(write.body, self._world.taints.paths(write.body)) if write.body else ()
        if write.verb == "delete" and error.conflict:
            # another object has the name by now, and may be on its way to us
            self._unanswered.add(inputs.instance_uid)
            return UID_CONFLICT
        return scrub(error.message, {*self._world.ingest.vault.texts, *meant})

    def _claim(self, inputs: InstanceInputs, write: PlannedWrite) -> None:
        """All instances apply with one field manager, so the server sees no conflict between two of them: we must.

        Held until the outcome is in the log. Raises ApiError when the object is, or is about to be, another's.
        """
        own = applyset_id(ObjectRef.of(inputs.instance))
        known = self._world.ingest.part_of(write.ref)
        theirs = known if known not in ("", own) else self._claims.setdefault(write.ref, own)
        if theirs != own:
            raise ApiError(409, "Claimed", foreign_text(write.ref, write.resource, theirs, own))

    def _unclaim(self, inputs: InstanceInputs, write: PlannedWrite) -> None:
        if self._claims.get(write.ref) == applyset_id(ObjectRef.of(inputs.instance)):
            del self._claims[write.ref]

    async def _send(self, inputs: InstanceInputs, write: PlannedWrite) -> JsonObject | None:
        cluster = self._world.cluster
        resource = await self._resource(write.resource)
        if write.verb == "delete":
            self._world.ingest.expect_delete(write.uid)
            return await cluster.delete(resource, write.ref.namespace, write.ref.name, write.uid)
        if write.what == NOTICE:
            await cluster.create(resource, write.body, write.manager)
            return None
        if write.verb == "put":
            return await self._put_status(resource, write)
        if write.node:
            return await self._apply_child(inputs, resource, write)
        return await cluster.apply(resource, write.body, write.manager, force=write.force)

    async def _apply_child(self, inputs: InstanceInputs, resource: Resource, write: PlannedWrite) -> JsonObject:
        """The first apply of an identity never seen is not forced: a conflict means somebody else's object.

        It is then read and recorded as it was before it is taken over (architecture §2).
        """
        try:
            return await self._world.cluster.apply(resource, write.body, write.manager, force=write.force)
        except ApiError as error:
            if not error.conflict or write.force:
                raise
            live = await self._world.cluster.get(resource, write.ref.namespace, write.ref.name)
            seen = self._world.ingest.observation(Seen(live, "read", self._world.clock()))
            if seen is not None:
                await self._world.log.append([seen])
            own = applyset_id(ObjectRef.of(inputs.instance))
            theirs = labels(live).get(metadata.PART_OF, own)
            if theirs != own:
                raise ApiError(409, "Claimed", foreign_text(write.ref, resource, theirs, own)) from error
            return await self._world.cluster.apply(resource, write.body, write.manager, force=True)

    async def _put_status(self, resource: Resource, write: PlannedWrite) -> JsonObject:
        """PUT needs the newest resourceVersion; ours may be old by an update that changed nothing we record."""
        body = {**write.body, "metadata": dict(write.body["metadata"])}
        newest = self._world.ingest.latest_version(write.ref)
        body["metadata"]["resourceVersion"] = str(max(newest, resource_version(body)))
        try:
            return await self._world.cluster.put_status(resource, body, write.manager)
        except ApiError as error:
            if not error.conflict:
                raise
            live = await self._world.cluster.get(resource, write.ref.namespace, write.ref.name)
            if uid(live) != uid(body):
                raise
            # an edit that came in between must wake another pass: within the answer to our write nobody would see it
            seen = self._world.ingest.observation(Seen(live, "read", self._world.clock()))
            if seen is not None:
                await self._world.log.append([seen])
            body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
            return await self._world.cluster.put_status(resource, body, write.manager)

    async def _resource(self, resource: Resource) -> Resource:
        if resource.plural:
            return resource
        found = await self._world.located(resource.gvk.group, resource.gvk.kind)
        if found is None:
            raise ApiError(404, "NotFound", f"the server no longer serves {resource.gvk.group_kind}")
        return found

    def _outcome(
        self, write: PlannedWrite, index: int, thread: Thread, intent: int, versions: tuple[int, JsonObject | None]
    ) -> Sequence[NewEvent]:
        """The observation of what the server returned and the outcome, in one commit.

        ``versions``: the resourceVersion seen before the write, and the object the server answered with.
        """
        before, answer = versions
        now = self._world.clock()
        subject = record.target(write, answer)
        observed: list[NewEvent] = []
        if write.verb == "delete" and not record.still_there(answer):
            observed = [self._world.ingest.gone(subject, ObjectDeleted("response"))]
        elif answer is not None:
            seen = Seen(answer, "response", now, actor=_actor(write), cause=intent, correlation=thread.correlation)
            event = self._world.ingest.observation(seen)
            observed = [event] if event else []
        if write.verb == "apply" and write.node:
            assert answer is not None
            recorded = self._world.origin.redactor.redact(answer, self._world.taints.paths(answer))
            digest = owned.digest(owned.own_fields(answer, metadata.CHILD_MANAGER) or {})
            known = digest in self._known_fields
            self._known_fields.add(digest)
            self._world.ingest.applied([subject.uid])
            body = record.applied(write, index, intent, answer, recorded, before, known_fields=known)
            return [*observed, thread.event(body, now, subject=subject, cause=intent)]
        return [
            *observed,
            thread.event(record.outcome(write, index, intent, answer), now, subject=subject, cause=intent),
        ]


def _overtaken(inputs: InstanceInputs, decision: Decision, outcomes: Iterable[Event]) -> bool:
    """Whether somebody was quicker than a patch of the instance: it has no precondition, and only its answer shows it."""
    ours = {
        (part, name)
        for write in decision.writes
        if write.verb == "apply" and not write.node
        for part in _TOLD
        for name in write.body["metadata"].get(part) or ()
    }
    recorded = inputs.instance_row["object"]
    assert isinstance(recorded, dict)
    known = _told(recorded, ours)
    return any(
        isinstance(event.body, ObjectObserved)
        and event.body.change == "response"
        and event.subject.uid == inputs.instance_uid
        and _told(event.body.object, ours) != known
        for event in outcomes
    )


def _told(instance: JsonObject, ours: set[tuple[str, str]]) -> tuple[object, ...]:
    """What of an instance its next decision may depend on and a patch of its metadata leaves alone."""
    meta = instance["metadata"]
    parts = ({k: v for k, v in (meta.get(part) or {}).items() if (part, k) not in ours} for part in _TOLD)
    return meta.get("generation"), meta.get("deletionTimestamp"), *parts


def _sent(write: PlannedWrite, intent: int, thread: Thread) -> Sent:
    return Sent(_actor(write), intent, thread.correlation, delete=write.verb == "delete")


def _actor(write: PlannedWrite) -> Actor:
    """A delete has no field manager; it is the owner of the child who asked for it."""
    return Actor(write.manager or metadata.CHILD_MANAGER, "controller")


def _rest(decision: Decision, failed: Mapping[str, str]) -> Outcome | float:
    if decision.retry or failed:
        return "retry"
    return decision.after / 1_000_000 if decision.after else "settled"
