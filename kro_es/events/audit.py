"""The API server's audit events: who asked for what, and which observation shows what came of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from kro_es.api.objects import JsonValue
from kro_es.events.types import Actor, ActorSource, AuditMatched, Event, NewEvent, ObjectObserved

_VERBS = frozenset(["create", "update", "patch"])
_KEPT = 20_000
"""Audit events and observations remembered on either side; far more than either lags behind the other."""
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

    Raises ValueError when it is no audit event at all.
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


class Attributions:
    """Joins the two streams, whichever is ahead. ``plural`` names the resource of a kind; ``own`` is our own user.

    By uid and resourceVersion; where the audit level carries neither, by object, verb and time, if that fits one only.
    """

    def __init__(self, plural: Callable[[str], str], own: str) -> None:
        self._plural = plural
        self._own = own
        self._records: OrderedDict[tuple[str, int], AuditRecord] = OrderedDict()
        self._vague: OrderedDict[_Object, list[AuditRecord]] = OrderedDict()
        self._seen: OrderedDict[_Object, dict[tuple[str, int], Event]] = OrderedDict()

    def observed(self, events: Iterable[Event]) -> list[NewEvent]:
        """What becomes known by observations just committed."""
        found: list[NewEvent] = []
        for event in events:
            if not isinstance(event.body, ObjectObserved) or event.actor.source == "controller":
                continue
            key = (event.subject.uid, event.resource_version)
            record = self._records.pop(key, None)
            if record is not None:
                found.append(_matched(record, event, "audit"))
                continue
            of = self._object(event)
            self._seen.setdefault(of, {})[key] = event
            self._seen.move_to_end(of)
            found += self._by_time(of)
        while len(self._seen) > _KEPT:
            self._seen.popitem(last=False)
        return found

    def audited(self, records: Iterable[AuditRecord]) -> list[NewEvent]:
        """What becomes known by audit events just read."""
        found: list[NewEvent] = []
        for record in records:
            of = (record.group, record.resource, record.namespace, record.name)
            if record.user == self._own:
                continue
            if not record.version:
                self._vague.setdefault(of, []).append(record)
                found += self._by_time(of)
                continue
            event = self._seen.get(of, {}).pop((record.uid, record.version), None)
            if event is not None:
                found.append(_matched(record, event, "audit"))
            else:
                self._records[record.uid, record.version] = record
        while len(self._records) > _KEPT:
            self._records.popitem(last=False)
        while len(self._vague) > _KEPT:
            self._vague.popitem(last=False)
        return found

    def _object(self, event: Event) -> _Object:
        subject = event.subject
        return subject.group, self._plural(subject.kind), subject.namespace, subject.name

    def _by_time(self, of: _Object) -> Iterator[NewEvent]:
        """Only one write and only one observation of the object in that time: anything else would be a guess."""
        records, seen = self._vague.get(of, []), self._seen.get(of, {})
        for record in list(records):
            fitting = [(key, event) for key, event in seen.items() if _fits(record, event)]
            if len(fitting) != 1:
                continue
            key, event = fitting[0]
            if sum(1 for other in records if _fits(other, event)) == 1:
                records.remove(record)
                del seen[key]
                yield _matched(record, event, "audit-by-time")


def _fits(record: AuditRecord, event: Event) -> bool:
    body = event.body
    assert isinstance(body, ObjectObserved)
    created = body.change == "added"
    fitting = created if record.verb == "create" else not created or record.verb == "patch"
    return fitting and record.at - _BEFORE <= event.occurred_at <= record.at + _AFTER


def _matched(record: AuditRecord, event: Event, source: ActorSource) -> NewEvent:
    how = "uid and resourceVersion" if source == "audit" else "verb, name and time"
    body = AuditMatched(
        event.position, record.groups, record.source_ips, record.user_agent, record.verb, record.impersonated_by, how,
        record.audit_id,
    )  # fmt: skip
    return NewEvent(
        f"audit/{event.stream}", body, event.subject, Actor(record.user, source), record.at, cause=event.position,
        correlation=event.correlation,
    )  # fmt: skip
