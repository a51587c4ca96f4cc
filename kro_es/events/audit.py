"""The API server's audit events: who asked for what, and which observation shows what came of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Generic, TypeAlias, TypeVar

from kro_es.api.objects import JsonValue
from kro_es.events.types import Actor, ActorSource, AuditMatched, Event, NewEvent, ObjectObserved, Subject

_VERBS = frozenset(["create", "update", "patch"])
_KEPT = 20_000
"""Audit events and observations remembered on either side; far more than either lags behind the other."""
_KEPT_OF_ONE = 64
"""Of one object: what is written all the time, and never joined, must not push everything else out."""
_BEFORE, _AFTER = 2_000_000, 15_000_000
"""Microseconds an observation may be earlier (two clocks) or later than the answer, where time has to tell."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One write that the API server carried out. ``uid`` and ``version`` are empty where the policy's level leaves them out."""

    audit_id: str
    user: str
    groups: tuple[str, ...]
    impersonated_by: str
    source_ips: tuple[str, ...]
    user_agent: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    uid: str
    version: int
    at: int
    """Microseconds since the epoch: when the answer was given."""


def parse(event: JsonValue) -> AuditRecord | None:
    """From an ``audit.k8s.io/v1`` Event; None for reads, refusals, status writes and everything that changed no object.

    Raises ValueError, TypeError, AttributeError or LookupError when it is no audit event, or one without its parts.
    """
    if not isinstance(event, dict) or not str(event.get("apiVersion", "audit.k8s.io/v1")).startswith("audit.k8s.io/"):
        raise ValueError("no event of audit.k8s.io")
    ref, status = event.get("objectRef") or {}, event.get("responseStatus") or {}
    code = int(status.get("code") or 0)
    if event.get("stage") != "ResponseComplete" or event.get("verb") not in _VERBS or not 200 <= code < 300:
        return None
    if ref.get("subresource") or not ref.get("resource") or "dryRun=" in str(event.get("requestURI", "")):
        return None
    meta = (event.get("responseObject") or {}).get("metadata") or {}
    user, other = event.get("user") or {}, event.get("impersonatedUser") or {}
    who = other or user
    return AuditRecord(
        audit_id=str(event.get("auditID", "")),
        user=str(who.get("username", "")),
        groups=tuple(who.get("groups") or ()),
        impersonated_by=str(user.get("username", "")) if other else "",
        source_ips=tuple(event.get("sourceIPs") or ()),
        user_agent=str(event.get("userAgent", "")),
        verb=str(event["verb"]),
        group=str(ref.get("apiGroup", "")),
        resource=str(ref["resource"]),
        namespace=str(ref.get("namespace", "")),
        name=str(ref.get("name") or meta.get("name", "")),
        uid=str(meta.get("uid", "")),
        version=int(meta.get("resourceVersion") or 0),
        at=int(datetime.fromisoformat(str(event["stageTimestamp"])).timestamp() * 1_000_000),
    )


_Object: TypeAlias = tuple[str, str, str, str]
"""Group, resource, namespace and name."""
_Version: TypeAlias = tuple[str, int]
"""uid and resourceVersion."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is needed of an observation; its object is not kept alive for it."""

    position: int
    subject: Subject
    stream: str
    correlation: str
    created: bool
    at: int


_Of = TypeVar("_Of", bound=Hashable)
_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class _Waiting(Generic[_Of, _Key, _Value]):
    """What one side told and the other did not yet, by object; the oldest are forgotten when there are too many."""

    def __init__(self) -> None:
        self._objects: OrderedDict[_Of, OrderedDict[_Key, _Value]] = OrderedDict()
        self._count = 0

    def add(self, of: _Of, key: _Key, value: _Value) -> None:
        known = self._objects.setdefault(of, OrderedDict())
        self._objects.move_to_end(of)
        self._count += key not in known
        known[key] = value
        while len(known) > _KEPT_OF_ONE:
            known.popitem(last=False)
            self._count -= 1
        while self._count > _KEPT:
            self._count -= len(self._objects.popitem(last=False)[1])

    def pop(self, of: _Of, key: _Key) -> _Value | None:
        known = self._objects.get(of)
        if known is None or key not in known:
            return None
        found = known.pop(key)
        self._count -= 1
        if not known:
            del self._objects[of]
        return found

    def of(self, of: _Of) -> Mapping[_Key, _Value]:
        return self._objects.get(of, {})


class Attributions:
    """Joins the two streams, whichever is ahead. ``plural`` names the resource of a kind; ``own`` is our own user.

    By uid and resourceVersion; where the audit level carries neither, by object, verb and time, if that fits one only.
    """

    def __init__(self, plural: Callable[[str], str], own: str) -> None:
        self._plural = plural
        self._own = own
        self._records: _Waiting[str, int, AuditRecord] = _Waiting()
        self._vague: _Waiting[_Object, int, AuditRecord] = _Waiting()
        self._seen: _Waiting[_Object, _Version, _Seen] = _Waiting()
        self._number = count()

    def observed(self, events: Iterable[Event]) -> list[NewEvent]:
        """What becomes known by observations just committed."""
        found: list[NewEvent] = []
        for event in events:
            if not isinstance(event.body, ObjectObserved) or event.actor.source == "controller":
                continue
            of, key = self._object(event), (event.subject.uid, event.resource_version)
            seen = _Seen(
                event.position, event.subject, event.stream, event.correlation, event.body.change == "added",
                event.occurred_at,
            )  # fmt: skip
            record = self._records.pop(*key)
            if record is not None:
                found.append(_matched(record, seen, "audit"))
                continue
            self._seen.add(of, key, seen)
            found += self._by_time(of)
        return found

    def audited(self, records: Iterable[AuditRecord]) -> list[NewEvent]:
        """What becomes known by audit events just read."""
        found: list[NewEvent] = []
        for record in records:
            of = (record.group, record.resource, record.namespace, record.name)
            if record.user == self._own:
                continue
            if not record.version:
                self._vague.add(of, next(self._number), record)
                found += self._by_time(of)
                continue
            seen = self._seen.pop(of, (record.uid, record.version))
            if seen is not None:
                found.append(_matched(record, seen, "audit"))
            else:
                self._records.add(record.uid, record.version, record)
        return found

    def _object(self, event: Event) -> _Object:
        subject = event.subject
        return subject.group, self._plural(subject.kind), subject.namespace, subject.name

    def _by_time(self, of: _Object) -> Iterator[NewEvent]:
        """Only one write and only one observation of the object in that time: anything else would be a guess."""
        records, observations = self._vague.of(of), self._seen.of(of)
        for number, record in list(records.items()):
            fitting = [(key, seen) for key, seen in observations.items() if _fits(record, seen)]
            if len(fitting) != 1:
                continue
            key, seen = fitting[0]
            if sum(1 for other in records.values() if _fits(other, seen)) == 1:
                self._vague.pop(of, number)
                self._seen.pop(of, key)
                yield _matched(record, seen, "audit-by-time")


def _fits(record: AuditRecord, seen: _Seen) -> bool:
    fitting = seen.created if record.verb == "create" else not seen.created or record.verb == "patch"
    return fitting and record.at - _BEFORE <= seen.at <= record.at + _AFTER


def _matched(record: AuditRecord, seen: _Seen, source: ActorSource) -> NewEvent:
    how = "uid and resourceVersion" if source == "audit" else "verb, name and time"
    body = AuditMatched(
        seen.position, record.groups, record.source_ips, record.user_agent, record.verb, record.impersonated_by, how,
        record.audit_id,
    )  # fmt: skip
    return NewEvent(
        f"audit/{seen.stream}", body, seen.subject, Actor(record.user, source), record.at, cause=seen.position,
        correlation=seen.correlation,
    )  # fmt: skip
