"""What the API server shows becomes an event, with an identity that a relist or an echo cannot double."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, labels, resource_version, uid
from kro_es.api.sensitive import Path
from kro_es.events.redaction import Redactor
from kro_es.events.types import (
    Actor,
    NewEvent,
    ObjectDeleted,
    ObjectGoneUnseen,
    ObjectLeftSelection,
    ObjectObserved,
    Subject,
    object_stream,
)

Change = Literal["added", "modified", "listed", "response", "read"]
UNKNOWN = Actor("", "unknown")


@dataclass(frozen=True, slots=True)
class Origin:
    """What all observations of one controller share: whose cluster, which epoch of its store, which redaction key."""

    cluster: str
    epoch: int
    redactor: Redactor

    def identity(self, obj_uid: str, version: int, fact: str) -> str:
        """Identity of a fact (architecture §3): the same fact seen twice has the same identity."""
        text = f"{self.cluster}\0{self.epoch}\0{obj_uid}\0{version}\0{fact}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at an object."""

    object: JsonObject
    change: Change
    at: int
    """Microseconds since the epoch, our clock."""
    late: bool = False
    actor: Actor = UNKNOWN
    cause: int = 0
    correlation: str = ""
    dropped: int = 0
    """Looks since the one recorded before that showed no other content."""


def subject_of(obj: Mapping[str, object]) -> Subject:
    ref = ObjectRef.of(obj)
    return Subject(ref.group, ref.kind, ref.namespace, ref.name, uid(obj))


def observed(origin: Origin, seen: Seen, paths: Iterable[Path]) -> NewEvent:
    """The observation as an event: managedFields dropped, the leaves at ``paths`` redacted."""
    paths = tuple(paths)
    recorded = origin.redactor.redact(recordable(without_managed_fields(seen.object)), paths)
    # under another key, or with more of it redacted, the same state is recorded once more
    fact = f"observed\0{origin.redactor.key_id}\0{sorted(map(str, paths))}" if paths else "observed"
    return NewEvent(
        stream=object_stream(ObjectRef.of(seen.object).key),
        body=ObjectObserved(recorded, seen.change, seen.late, seen.dropped),
        subject=subject_of(seen.object),
        actor=seen.actor,
        occurred_at=seen.at,
        resource_version=resource_version(seen.object),
        cause=seen.cause,
        correlation=seen.correlation,
        event_id=origin.identity(uid(seen.object), resource_version(seen.object), fact),
    )


def vanished(
    origin: Origin,
    subject: Subject,
    body: ObjectDeleted | ObjectGoneUnseen | ObjectLeftSelection,
    version: int,
    at: int,
) -> NewEvent:
    ref = ObjectRef(subject.group, subject.kind, subject.namespace, subject.name)
    return NewEvent(
        stream=object_stream(ref.key),
        body=body,
        subject=subject,
        actor=UNKNOWN,
        occurred_at=at,
        resource_version=version,
        event_id=origin.identity(subject.uid, 0, "vanished"),
    )


def recordable(obj: JsonObject) -> JsonObject:
    """The object as far as it is worth keeping: a CRD's schemas, which may be half a megabyte, become their digests.

    Not those of a CRD that is a child: its fields are compared with what was applied.
    """
    if obj.get("kind") != "CustomResourceDefinition" or metadata.PART_OF in labels(obj):
        return obj
    versions = [
        {**version, "schema": hashlib.sha256(orjson.dumps(version["schema"], option=orjson.OPT_SORT_KEYS)).hexdigest()}
        if version.get("schema")
        else version
        for version in obj["spec"].get("versions") or ()
    ]
    return {**obj, "spec": {**obj["spec"], "versions": versions}}


def without_managed_fields(obj: JsonObject) -> JsonObject:
    meta = obj["metadata"]
    if "managedFields" not in meta:
        return obj
    return {**obj, "metadata": {name: value for name, value in meta.items() if name != "managedFields"}}


def content_digest(obj: JsonObject) -> bytes:
    """Digest of what a person would call the object's content: no resourceVersion, no managedFields.

    An update that changes neither is a heartbeat or a no-op and is not recorded.
    """
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return hashlib.sha256(orjson.dumps({**obj, "metadata": meta}, option=orjson.OPT_SORT_KEYS)).digest()


def managers(obj: JsonObject) -> dict[str, tuple[str, bytes]]:
    """Field manager entries as ``manager/operation/subresource -> (time, digest of the fields)``."""
    found: dict[str, tuple[str, bytes]] = {}
    for entry in obj["metadata"].get("managedFields") or ():
        key = "/".join((entry.get("manager", ""), entry.get("operation", ""), entry.get("subresource", "")))
        fields = orjson.dumps(entry.get("fieldsV1"), option=orjson.OPT_SORT_KEYS)
        found[key] = (entry.get("time", ""), hashlib.sha256(fields).digest())
    return found


def changed_by(
    before: Mapping[str, tuple[str, bytes]], after: Mapping[str, tuple[str, bytes]], sent: str = ""
) -> Actor:
    """The manager whose entry is new or moved; the newest of several, one of ours only when it is the only one.

    Who is made to give up a field keeps the time of its own last write: that tells it from who took the field. Who
    only removes fields of ours leaves no entry, and is unknown, unless a write of ours is under way by manager ``sent``.
    """
    moved = [(time, key) for key, (time, digest) in after.items() if before.get(key) != (time, digest)]
    wrote = [(time, key) for time, key in moved if key not in before or before[key][0] != time] or moved
    if not wrote:
        return UNKNOWN
    foreign = [item for item in wrote if not item[1].startswith(("kro.run/", "kro-es/"))]
    time, key = max(foreign or wrote)
    name = key.split("/Apply/")[0].split("/Update/")[0]
    lost = not foreign and key in before and before[key][0] == time
    return UNKNOWN if lost and name != sent else Actor(name, "manager")


def micros(timestamp: str) -> int:
    """RFC 3339 as the API server writes it, in microseconds since the epoch."""
    return int(datetime.fromisoformat(timestamp).timestamp() * 1_000_000)
