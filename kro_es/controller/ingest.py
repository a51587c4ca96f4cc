"""Watch to log: everything the API server shows is committed, redacted, once, before anything may act on it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

import structlog

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, Resource, labels, resource_version, uid
from kro_es.api.watch import Broken, Burst, Changed, Listed, Watched, WatchItem
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
    WatchGap,
    object_stream,
)
from kro_es.plan import owned

logger = structlog.get_logger(__name__)
_BATCH = 200
"""Events of a list appended at once: large enough for group commit, small enough to let decisions in between."""

_MOST_ENDED = 20_000
"""Uids of ended objects kept in memory; far more than watches can lag behind."""


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
        self._unwatched_since: dict[Watched, tuple[int, str]] = {}
        self._own_deletes: set[str] = set()
        self._sent: dict[str, Sent] = {}
        self._active: set[Watched] = set()
        self._once_up: set[Watched] = set()
        self._picks: set[str] = set()
        # uids whose end is recorded: their events still on the way must not bring them back
        self._applied: set[str] = set()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self.last_seen_alive = 0
        """Microseconds: until when an earlier run is known to have watched; 0 for an empty log."""
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
            case Broken(reason=reason):
                self._unwatched_since.setdefault(watched, (self._clock(), reason))

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
        self._unwatched_since.setdefault(watched, (self._clock(), "not needed"))

    def watches_members(self, group: str, kind: str) -> bool:
        """Whether every live child of this kind is recorded: its watch was listed and is not interrupted."""
        return any(
            watched.text == metadata.PART_OF and watched.kind_key == f"{group}/{kind}"
            for watched in self._active
            if watched not in self._unwatched_since
        )

    def located(self, group: str, kind: str) -> Resource | None:
        """Where a watch that was listed and is not interrupted shows objects of the kind: it is served."""
        up = (w for w in self._active if w.kind_key == f"{group}/{kind}" and w not in self._unwatched_since)
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
        if not isinstance(how, ObjectLeftSelection):
            self._ended[subject.uid] = None
            while len(self._ended) > _MOST_ENDED:
                self._ended.popitem(last=False)
        return vanished(self._origin, subject, how, version, self._clock())

    async def _changed(self, watched: Watched, changes: Sequence[Changed]) -> None:
        """What arrived at once shares a commit, but for a deletion that the API server has to be asked about."""
        self._unwatched_since.pop(watched, None)
        events: list[NewEvent] = []
        for change in changes:
            obj = change.object
            if change.type != "DELETED":
                seen = self.observation(Seen(obj, "added" if change.type == "ADDED" else "modified", self._clock()))
                events += [seen] if seen is not None else []
                continue
            explained = uid(obj) in self._own_deletes
            self._own_deletes.discard(uid(obj))
            if uid(obj) in self._ended:
                continue
            how: _End | None = ObjectDeleted()
            if watched.selector is not None and not explained:
                await self._record(events)
                events = []
                how = await self._end(watched, subject_of(obj), ObjectDeleted())
            events += [self.gone(subject_of(obj), how)] if how is not None else []
        await self._record(events)

    async def _end(self, watched: Watched, subject: Subject, gone: _End) -> _End | None:
        """Whether what a watch no longer shows is gone, or only lost the label it was selected by.

        None when some watch goes on showing it.
        """
        if watched.selector is None:
            return gone
        ref = ObjectRef(subject.group, subject.kind, subject.namespace, subject.name)
        try:
            live = await self._cluster.get(watched.resource, ref.namespace, ref.name)
        except ApiError as error:
            if not error.not_found:
                logger.warning("cannot tell a deletion from a lost label", object=str(ref), error=error.message)
            return gone
        if uid(live) != subject.uid:
            return gone
        if any(other.covers(ref, labels(live)) and not other.picked for other in self._active):
            event = self.observation(Seen(live, "read", self._clock()))
            await self._record([event] if event is not None else [])
            return None
        return ObjectLeftSelection()

    async def _listed(self, watched: Watched, listed: Listed) -> None:
        known = self._known(watched, int(listed.resource_version))
        recorded = {(subject.uid, version) for subject, version in known}
        events = self._gap(watched, has_history=bool(known))
        late = bool(events)
        present = set()
        for obj in listed.objects:
            present.add(uid(obj))
            if (uid(obj), resource_version(obj)) in recorded and self._recognised(obj):
                events += self._fields_seen(obj)
                continue
            event = self.observation(Seen(obj, "listed", self._clock(), late=late))
            if event is not None:
                events.append(event)
                events += self._fields_seen(obj)
        for subject, _ in known:
            how = None if subject.uid in present else await self._end(watched, subject, ObjectGoneUnseen())
            if how is not None:
                events.append(self.gone(subject, how))
        for start in range(0, len(events), _BATCH):
            await self._record(events[start : start + _BATCH])

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

    def _gap(self, watched: Watched, *, has_history: bool) -> list[NewEvent]:
        """A watch that is refused since the start was blind before it, too: from the end of the run before."""
        before = self.last_seen_alive if has_history and watched not in self._once_up else 0
        self._once_up.add(watched)
        since, reason = self._unwatched_since.pop(watched, (before, "restart"))
        since = min(since, before or since)
        if not since:
            return []
        now = self._clock()
        gap = WatchGap(watched.kind_key, watched.text, since, now, reason)
        subject = Subject(watched.resource.gvk.group, watched.resource.gvk.kind)
        stream = f"watch/{watched.kind_key}/{watched.text}"
        return [NewEvent(stream, gap, subject, Actor("kro-es", "controller"), now)]


def _head(obj: JsonObject) -> _Head:
    part_of = labels(obj).get(metadata.PART_OF, "")
    return _Head(uid(obj), resource_version(obj), content_digest(obj), managers(obj), part_of)
