"""Committed events to keys: who has to look again because of what just happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, labels, terminating
from kro_es.controller.externals import ExternalWatches
from kro_es.controller.ports import Reader
from kro_es.controller.queue import Key, Queue
from kro_es.events.types import (
    Event,
    ObjectDeleted,
    ObjectGoneUnseen,
    ObjectLeftSelection,
    ObjectObserved,
    RevisionActivated,
)
from kro_es.projections.projection import Row


class Projector:
    """The rows are folded in the transaction of the events; what is left is to wake the passes that read them."""

    def __init__(
        self, queue: Queue, open_reader: Callable[[], AbstractContextManager[Reader]], externals: ExternalWatches
    ) -> None:
        self._queue = queue
        self._externals = externals
        self._open_reader = open_reader
        self._kinds: dict[tuple[str, str], str] = {}
        self._owners: dict[str, Key] = {}
        # by uid: the labels of a child that name its instance can be edited, the instance still is the same one
        self._instances: dict[str, Key] = {}

    def know(self, group: str, kind: str, definition_uid: str) -> None:
        """Objects of this kind are instances from now on."""
        self._kinds[(group, kind)] = definition_uid

    def serve(self, group: str, kind: str, definition_uid: str) -> None:
        """Objects of this kind are instances from now on; all that are known get a pass."""
        self.know(group, kind, definition_uid)
        for key, _ in self._found(group, kind):
            self._queue.add(key)

    def take_up(self, coming: Set[str]) -> None:
        """At a start: instances of the definitions ``coming`` get their pass with these, but for those that are to go."""
        for (group, kind), definition_uid in list(self._kinds.items()):
            for key, obj in self._found(group, kind):
                if definition_uid not in coming or terminating(obj):
                    self._queue.add(key)

    def _found(self, group: str, kind: str) -> Iterator[tuple[Key, JsonObject]]:
        with self._open_reader() as reader:
            for row in reader.rows("objects", "kind_key", f"{group}/{kind}"):
                obj = row["object"]
                assert isinstance(obj, dict)
                ref = ObjectRef(group, kind, str(row["namespace"]), str(row["name"]))
                key = Key("instance", str(row["uid"]), ref.key)
                self._instances[key.uid] = key
                yield key, obj

    def again(self, definition_uid: str) -> None:
        """Every instance of the definition gets a pass."""
        for (group, kind), owner in list(self._kinds.items()):
            if owner == definition_uid:
                self.serve(group, kind, owner)

    def seed(self, rows: Iterable[Row]) -> None:
        """After a restart: which recorded object belongs to which instance, from rows of ``objects``."""
        for row in rows:
            obj = row["object"]
            assert isinstance(obj, dict)
            owner = self._owner(labels(obj))
            if owner is not None:
                self._owners[ObjectRef.of(obj).key] = owner

    def requeue(self) -> None:
        """Every known instance gets a pass."""
        for (group, kind), definition_uid in list(self._kinds.items()):
            self.serve(group, kind, definition_uid)

    def committed(self, events: Sequence[Event]) -> None:
        for event in events:
            match event.body:
                case ObjectObserved():
                    self._observed(event)
                case ObjectDeleted() | ObjectGoneUnseen() | ObjectLeftSelection():
                    self._vanished(event)
                case RevisionActivated(definition_uid=definition_uid):
                    self._activated(definition_uid)
                case _:
                    pass
        if events:
            self._externals.position = events[-1].position

    def _observed(self, event: Event) -> None:
        body = event.body
        assert isinstance(body, ObjectObserved)
        subject = event.subject
        ref = ObjectRef(subject.group, subject.kind, subject.namespace, subject.name)
        # an object that lost the label still is a child: its instance puts the label back
        before = self._owners.get(ref.key)
        owner = self._owner(labels(body.object)) or before
        if owner is not None:
            self._owners[ref.key] = owner
        self._externals.changed(ref, labels(body.object))
        # the pass that wrote it is still running and reads it next: the others have to be told
        # (its echo on the watch may have been quicker than the answer)
        written = body.change == "response" or (event.cause > 0 and event.actor.source == "controller")
        by_owner = written and event.actor.name == metadata.CHILD_MANAGER
        own = self._own_key(event)
        if own is not None and own.kind == "instance":
            self._instances[own.uid] = own
        if own is not None and (by_owner or not written):
            self._queue.add(own)
        for key in (before, owner):
            if key is not None and not by_owner:
                self._queue.add(self._named(key))

    def _own_key(self, event: Event) -> Key | None:
        """Definitions and instances have passes of their own; an instance may be a child of another one too."""
        subject = event.subject
        ref = ObjectRef(subject.group, subject.kind, subject.namespace, subject.name)
        if (subject.group, subject.kind) == (metadata.GROUP, metadata.DEFINITION_KIND):
            return Key("definition", subject.uid, ref.key)
        if (subject.group, subject.kind) in self._kinds:
            return Key("instance", subject.uid, ref.key)
        return None

    def _vanished(self, event: Event) -> None:
        subject = event.subject
        ref = ObjectRef(subject.group, subject.kind, subject.namespace, subject.name)
        self._externals.changed(ref, None)
        owner = self._owners.pop(ref.key, None)
        if owner is not None:
            self._queue.add(self._named(owner))
        own = self._own_key(event)
        if own is not None and own.kind == "definition":
            self._queue.add(own)
        elif own is not None:
            self._instances.pop(own.uid, None)
            self._queue.forget(own)

    def _named(self, owner: Key) -> Key:
        """The instance as it is really called."""
        return self._instances.get(owner.uid, owner)

    def _activated(self, definition_uid: str) -> None:
        for (group, kind), uid in self._kinds.items():
            if uid == definition_uid:
                self.serve(group, kind, definition_uid)
                return

    @staticmethod
    def _owner(found: Mapping[str, str]) -> Key | None:
        uid = found.get(metadata.INSTANCE_ID)
        if not uid:
            return None
        ref = ObjectRef(
            found.get(metadata.INSTANCE_GROUP, ""),
            found.get(metadata.INSTANCE_KIND, ""),
            found.get(metadata.INSTANCE_NAMESPACE, ""),
            found.get(metadata.INSTANCE_NAME, ""),
        )
        return Key("instance", uid, ref.key)
