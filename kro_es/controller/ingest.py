"""Watch to log: everything the API server shows is committed, redacted, once, before anything may act on it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import structlog

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, Resource, labels, resource_version, uid
from kro_es.api.watch import Broken, Burst, Changed, Listed, Watched, WatchItem
from kro_es.controller.gaps import Gaps
from kro_es.controller.ports import Cluster, EventLog, Reader
from kro_es.controller.vault import Vault
from kro_es.decisions.taint import Taints
from kro_es.errors import ApiError
from kro_es.events.from_watch import (
    Origin,
    Seen,
    changed_by,
    content_digest,
    managers,
    observed,
    subject_of,
    vanished,
)
from kro_es.events.types import (
    Actor,
    FieldsSeen,
    NewEvent,
    ObjectDeleted,
    ObjectGoneUnseen,
    ObjectLeftSelection,
    Subject,
    object_stream,
)
from kro_es.plan import owned

logger = structlog.get_logger(__name__)
_BATCH = 200
"""Objects looked at and appended at once: large enough for group commit, small enough to let decisions in between."""
_MOST_ENDED = 20_000
"""Uids of ended objects kept in memory; far more than watches can lag behind."""
_T = TypeVar("_T")
_End: TypeAlias = ObjectDeleted | ObjectGoneUnseen | ObjectLeftSelection


@dataclass(slots=True)
class _Head:
    """What is remembered of each live object between two events."""

    uid: str
    version: int
    content: bytes
    managers: dict[str, tuple[str, bytes]]
    part_of: str
    dropped: int = 0
    """Updates since the one recorded that changed no content."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A write of ours that is under way: who it is by, and the intent that led to it."""

    actor: Actor
    cause: int
    correlation: str = ""
    delete: bool = False


class Ingest:
    """Owns the memory of what was last seen; one per controller."""

    def __init__(  # noqa: PLR0913 - the one place where these parts meet
        self,
        log: EventLog,
        cluster: Cluster,
        origin: Origin,
        *,
        taints: Taints,
        vault: Vault,
        open_reader: Callable[[], AbstractContextManager[Reader]],
        clock: Callable[[], int],
    ) -> None:
        self._log = log
        self._cluster = cluster
        self._origin = origin
        self._taints = taints
        self.vault = vault
        self._open_reader = open_reader
        self._clock = clock
        self._heads: dict[str, _Head] = {}
        self.gaps = Gaps(open_reader, clock)
        self._own_deletes: set[str] = set()
        self._sent: dict[str, Sent] = {}
        self._active: set[Watched] = set()
        self._picks: set[str] = set()
        self._applied: set[str] = set()
        # uids whose end is recorded: their events still on the way must not bring them back
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._unsure: set[str] = set()
        self.dropped = 0
        """Updates that changed nothing a person would call content."""

    async def sink(self, watched: Watched, item: WatchItem) -> None:
        match self._picked(item) if watched.picked else item:
            case Listed() as listed:
                self._active.add(watched)
                await self._listed(watched, listed)
            case Changed() as change:
                await self._changed(watched, (change,))
            case Burst(changes=changes):
                await self._changed(watched, changes)
            case Broken() as broken:
                self.gaps.begin(watched, broken)

    async def tell_lost(self) -> None:
        """To be called now and then: who asks before a gap has ended has to hear of it, too."""
        await self._record(self.gaps.news(self._active))

    def pick(self, ref: ObjectRef) -> None:
        """Watches of whole kinds that record only what is asked for record this object from here on."""
        self._picks.add(ref.key)

    def drop(self, ref: ObjectRef) -> None:
        self._picks.discard(ref.key)

    def _picked(self, item: WatchItem) -> WatchItem | None:
        match item:
            case Listed(objects=objects, resource_version=version):
                return Listed(tuple(obj for obj in objects if ObjectRef.of(obj).key in self._picks), version)
            case Changed(object=obj):
                return item if ObjectRef.of(obj).key in self._picks else None
            case Burst(changes=changes):
                return Burst(tuple(change for change in changes if ObjectRef.of(change.object).key in self._picks))
            case _:
                return item

    def stopped(self, watched: Watched) -> None:
        """Nobody needs the watch any more: what is recorded of its objects is old from here on."""
        self._active.discard(watched)
        self.gaps.unneeded(watched)

    def watches_members(self, group: str, kind: str) -> bool:
        """Whether every live child of this kind is recorded: its watch was listed and is not interrupted."""
        return any(
            watched.text == metadata.PART_OF and watched.kind_key == f"{group}/{kind}"
            for watched in self._active
            if watched not in self.gaps
        )

    def located(self, group: str, kind: str) -> Resource | None:
        """Where a watch that was listed and is not interrupted shows objects of the kind: it is served."""
        up = (w for w in self._active if w.kind_key == f"{group}/{kind}" and w not in self.gaps)
        found = next(up, None)
        return found.resource if found is not None else None

    def expect_delete(self, obj_uid: str) -> None:
        """A delete of ours was accepted: the DELETED event to come needs no explanation."""
        self._own_deletes.add(obj_uid)

    @contextmanager
    def sending(self, ref: ObjectRef, sent: Sent) -> Iterator[None]:
        """While it lasts, what a watch shows of the object by the same manager is the effect of this write.

        A watch may be quicker than the answer; both are one fact, and it has its cause whichever comes first.
        """
        self._sent[ref.key] = sent
        try:
            yield
        finally:
            self._sent.pop(ref.key, None)

    def observation(self, seen: Seen) -> NewEvent | None:
        """The event for an object just seen, or None when nothing a person would call content changed.

        Keeps the clear values of redacted leaves of what is recorded in memory.
        """
        obj_uid, version = uid(seen.object), resource_version(seen.object)
        if obj_uid in self._ended:
            return None
        ref = ObjectRef.of(seen.object)
        before = self._heads.get(ref.key)
        # most of what a watch shows is the echo of a write of ours
        if before is not None and before.uid == obj_uid and version < before.version:
            return None
        paths = self._taints.paths(seen.object)
        if before is not None and before.uid == obj_uid and version == before.version:
            if paths:
                self.vault.keep(seen.object, paths)
            return None
        head = _head(seen.object)
        if before is not None and before.uid == obj_uid:
            under_way = self._sent.get(ref.key)
            actor = changed_by(before.managers, head.managers, under_way.actor.name if under_way else "")
            self._heads[ref.key] = head
            if before.content == head.content:
                head.dropped = before.dropped + 1
                self.dropped += 1
                return None
            seen = replace(seen, dropped=before.dropped)
        else:
            actor = changed_by({}, head.managers)
            self._heads[ref.key] = head
        if paths:
            # only what is recorded: an update without a change must not push the recorded version out
            self.vault.keep(seen.object, paths)
        return observed(self._origin, self._explained(seen, actor, ref), paths)

    def _explained(self, seen: Seen, actor: Actor, ref: ObjectRef) -> Seen:
        """With the actor and, for an effect of ours, its cause; a delete moves no manager's entry."""
        sent = None if seen.cause else self._sent.get(ref.key)
        if sent is not None and (actor.name == sent.actor.name or (sent.delete and not actor.name)):
            return replace(seen, actor=sent.actor, cause=sent.cause, correlation=sent.correlation)
        if seen.actor.source != "unknown" or actor.source == "unknown":
            return seen
        return replace(seen, actor=actor)

    def applied(self, uids: Iterable[str]) -> None:
        """Children the log has an apply of: what we own in them is known."""
        self._applied.update(uids)

    def _fields_seen(self, obj: JsonObject) -> list[NewEvent]:
        """What our manager owns in a child that was here before this log."""
        if uid(obj) in self._applied or metadata.PART_OF not in labels(obj):
            return []
        fields = owned.own_fields(obj, metadata.CHILD_MANAGER)
        if fields is None:
            return []
        self._applied.add(uid(obj))
        body = FieldsSeen(owned.digest(fields), fields)
        stream = object_stream(ObjectRef.of(obj).key)
        return [NewEvent(stream, body, subject_of(obj), Actor("kro-es", "controller"), self._clock())]

    def latest_version(self, ref: ObjectRef) -> int:
        """Newest resourceVersion seen, recorded or not: what a write with a precondition needs."""
        head = self._heads.get(ref.key)
        return head.version if head else 0

    def part_of(self, ref: ObjectRef) -> str:
        """Apply set of the newest state seen; empty when there is none or it is not known here."""
        head = self._heads.get(ref.key)
        return head.part_of if head else ""

    def gone(self, subject: Subject, how: _End) -> NewEvent:
        ref = ObjectRef(subject.group, subject.kind, subject.namespace, subject.name)
        head = self._heads.get(ref.key)
        version = head.version if head else 0
        if head is not None and head.uid == subject.uid:
            del self._heads[ref.key]
        self.vault.forget(subject.uid)
        self._applied.discard(subject.uid)
        if subject.uid in self._unsure:
            self._unsure.discard(subject.uid)
        elif not isinstance(how, ObjectLeftSelection):
            self._ended[subject.uid] = None
            while len(self._ended) > _MOST_ENDED:
                self._ended.popitem(last=False)
        return vanished(self._origin, subject, how, version, self._clock())

    async def _changed(self, watched: Watched, changes: Sequence[Changed]) -> None:
        """What arrived at once shares a commit, unless it is so much that everybody else would wait for it."""
        self.gaps.resumed(watched)
        deleted = [subject_of(change.object) for change in changes if change.type == "DELETED"]
        live = await self._live(watched, (one for one in deleted if one.uid not in self._own_deletes))
        self._own_deletes.difference_update(one.uid for one in deleted)
        for some in _slices(changes):
            events: list[NewEvent | None] = []
            for change in some:
                obj = change.object
                if change.type == "DELETED":
                    events.append(self._end(subject_of(obj), ObjectDeleted(), live.get(uid(obj))))
                else:
                    seen = Seen(obj, "added" if change.type == "ADDED" else "modified", self._clock())
                    events.append(self.observation(seen))
            await self._record([event for event in events if event is not None])

    async def _live(self, watched: Watched, missing: Iterable[Subject]) -> dict[str, JsonObject]:
        """What is there still of that which a watch by labels does not show any more, by uid; all are asked for at once.

        Raises ApiError when there is no answer now: the watch begins again with a list, which lacks them, too.
        """
        if watched.selector is None:
            return {}
        asked = (self._read(watched.resource, subject) for subject in missing if subject.uid not in self._ended)
        return {uid(obj): obj for obj in await asyncio.gather(*asked) if obj is not None}

    async def _read(self, resource: Resource, subject: Subject) -> JsonObject | None:
        try:
            return await self._cluster.get(resource, subject.namespace, subject.name)
        except ApiError as error:
            if error.passing:
                raise
            if not error.not_found:
                ref = ObjectRef(subject.group, subject.kind, subject.namespace, subject.name)
                logger.warning("cannot tell a deletion from a lost label", object=str(ref), error=error.message)
                self._unsure.add(subject.uid)
            return None

    def _end(self, subject: Subject, gone: _End, live: JsonObject | None) -> NewEvent | None:
        """That it is gone, or only lost the label it was selected by; or what it is now when some watch goes on showing it."""
        if subject.uid in self._ended:
            return None
        if live is None:
            return self.gone(subject, gone)
        ref = ObjectRef.of(live)
        if any(other.covers(ref, labels(live)) and not other.picked for other in self._active):
            return self.observation(Seen(live, "read", self._clock()))
        return self.gone(subject, ObjectLeftSelection())

    async def _listed(self, watched: Watched, listed: Listed) -> None:
        known = self._known(watched, int(listed.resource_version))
        recorded = {(subject.uid, version) for subject, version in known}
        present = {uid(obj) for obj in listed.objects}
        missing = [subject for subject, _ in known if subject.uid not in present]
        live = await self._live(watched, missing)
        gap = self.gaps.end(watched, has_history=bool(known))
        events = [*gap]
        for some in _slices(listed.objects):
            for obj in some:
                if (uid(obj), resource_version(obj)) in recorded and self._recognised(obj):
                    events += self._fields_seen(obj)
                    continue
                event = self.observation(Seen(obj, "listed", self._clock(), late=bool(gap)))
                events += [event, *self._fields_seen(obj)] if event is not None else []
            await self._record(events)
            events = []
            # of what is all known nothing is recorded: the others get their turn all the same
            await asyncio.sleep(0)
        ends = (self._end(subject, ObjectGoneUnseen(), live.get(subject.uid)) for subject in missing)
        events += [event for event in ends if event is not None]
        for found in _slices(events):
            await self._record(found)

    async def _record(self, events: Sequence[NewEvent]) -> None:
        """One object that no log can keep must not hide the others of its list."""
        if not events:
            return
        try:
            await self._log.append(events)
        except ValueError as error:
            if len(events) == 1:
                logger.error("an observation cannot be recorded", error=str(error))
                return
            for event in events:
                await self._record([event])

    def _recognised(self, obj: JsonObject) -> bool:
        """An object just as the log has it, of which nothing has to be kept in clear; nothing was seen of it before."""
        ref = ObjectRef.of(obj)
        if ref.key in self._heads or uid(obj) in self._ended or self._taints.paths(obj):
            return False
        self._heads[ref.key] = _head(obj)
        return True

    def _known(self, watched: Watched, version: int) -> list[tuple[Subject, int]]:
        """Recorded live objects this watch should show, at which version; what was seen after the list is not in it."""
        found = []
        with self._open_reader() as reader:
            for row in reader.rows("objects", "kind_key", watched.kind_key):
                obj = row["object"]
                assert isinstance(obj, dict)
                ref = ObjectRef.of(obj)
                shown = watched.covers(ref, labels(obj)) and (not watched.picked or ref.key in self._picks)
                seen = int(str(row["resource_version"]))
                if shown and seen <= version:
                    subject = Subject(ref.group, ref.kind, ref.namespace, ref.name, str(row["uid"]))
                    found.append((subject, seen))
        return found


def _slices(found: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (found[start : start + _BATCH] for start in range(0, len(found), _BATCH))


def _head(obj: JsonObject) -> _Head:
    part_of = labels(obj).get(metadata.PART_OF, "")
    return _Head(uid(obj), resource_version(obj), content_digest(obj), managers(obj), part_of)
