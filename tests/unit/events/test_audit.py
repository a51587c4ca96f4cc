"""Audit events and observations find each other, whichever comes first; what would be a guess is left or marked."""

from __future__ import annotations

from typing import Any

import pytest

from kro_es.events import audit as sides
from kro_es.events.audit import Attributions, AuditRecord, parse
from kro_es.events.types import Actor, AuditMatched, Event, NewEvent, ObjectObserved, Subject

AT = 1_772_442_000_000_000
WIDGETS = ("kro.run", "webshops", "prod", "shop")


def audit(version: int = 7, **more: Any) -> dict[str, Any]:
    """As the API server writes it at level RequestResponse; without ``version`` as at level Metadata."""
    shown = {"responseObject": {"metadata": {"uid": "u1", "resourceVersion": str(version)}}} if version else {}
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a1",
        "stage": "ResponseComplete", "requestURI": "/apis/kro.run/v1alpha1/namespaces/prod/webshops/shop", "verb": "patch",
        "user": {"username": "dana", "groups": ["platform", "system:authenticated"]}, "sourceIPs": ["10.0.0.9"],
        "userAgent": "kubectl/v1.36", "responseStatus": {"metadata": {}, "code": 200},
        "objectRef": {"resource": "webshops", "namespace": "prod", "name": "shop", "apiGroup": "kro.run"},
        "stageTimestamp": "2026-03-02T09:00:00.100000Z", **shown, **more,
    }  # fmt: skip


def record(version: int = 7, **more: Any) -> AuditRecord:
    found = parse(audit(version, **more))
    assert found is not None
    return found


def seen(
    position: int = 41, version: int = 7, *, source: Any = "manager", change: Any = "modified", at: int = AT
) -> Event:
    body = ObjectObserved({"metadata": {}}, change)
    subject = Subject("kro.run", "WebShop", "prod", "shop", "u1")
    actor = Actor("kubectl-client-side-apply", source)
    stream = "object/kro.run/WebShop/prod/shop"
    return Event(position, stream, 3, body.TYPE, 1, body, subject, actor, at, at, version, 0, "", "", "c")


def attributions() -> Attributions:
    return Attributions(lambda kind: f"{kind.lower()}s", "system:serviceaccount:kro-system:kro-es")


def only(found: list[NewEvent]) -> tuple[str, str, int]:
    (event,) = found
    assert isinstance(event.body, AuditMatched)
    return event.actor.name, event.actor.source, event.body.observation


def test_an_observation_gets_its_user_by_uid_and_version_in_either_order() -> None:
    late, early = attributions(), attributions()
    assert late.observed([seen()]) == []
    assert only(late.audited([record()])) == ("dana", "audit", 41)
    assert early.audited([record()]) == []
    (event,) = early.observed([seen()])
    assert only([event]) == ("dana", "audit", 41)
    assert event.cause == 41
    assert isinstance(event.body, AuditMatched)
    assert (event.body.groups, event.body.source_ips) == (("platform", "system:authenticated"), ("10.0.0.9",))
    assert event.body.how == "uid and resourceVersion"


def test_another_version_of_the_object_is_another_persons() -> None:
    found = attributions()
    found.observed([seen(version=6)])
    assert found.audited([record(7)]) == []


def test_a_record_is_used_once() -> None:
    found = attributions()
    found.observed([seen()])
    assert len(found.audited([record()])) == 1
    assert found.observed([seen(position=42)]) == []


def test_where_the_level_tells_no_version_object_verb_and_time_do_and_that_is_marked() -> None:
    found = attributions()
    found.observed([seen()])
    assert only(found.audited([record(0)])) == ("dana", "audit-by-time", 41)
    early = attributions()
    early.audited([record(0)])
    assert only(early.observed([seen()])) == ("dana", "audit-by-time", 41)


@pytest.mark.parametrize(
    "other",
    [
        seen(at=AT + 60_000_000),
        seen(at=AT - 60_000_000),
    ],
)
def test_by_time_means_at_that_time(other: Event) -> None:
    found = attributions()
    found.observed([other])
    assert found.audited([record(0)]) == []


def test_a_creation_is_not_an_update() -> None:
    found = attributions()
    found.observed([seen()])
    assert found.audited([record(0, verb="create")]) == []
    assert only(found.observed([seen(40, 5, change="added")])) == ("dana", "audit-by-time", 40)


def test_two_edits_at_once_are_not_guessed_apart() -> None:
    found = attributions()
    found.observed([seen(41, 7), seen(42, 8)])
    assert found.audited([record(0), record(0, auditID="a2", user={"username": "erin"})]) == []


def test_what_the_controller_wrote_needs_no_audit() -> None:
    found = attributions()
    assert found.observed([seen(source="controller")]) == []
    own = {"username": "system:serviceaccount:kro-system:kro-es"}
    found.audited([record(user=own)])
    assert found.observed([seen()]) == []


def test_who_asks_in_the_name_of_another_is_kept_beside_it() -> None:
    found = record(impersonatedUser={"username": "dana"}, user={"username": "portal"})
    assert (found.user, found.impersonated_by) == ("dana", "portal")


@pytest.mark.parametrize(
    "more",
    [
        {"verb": "get"},
        {"verb": "delete"},
        {"stage": "RequestReceived"},
        {"responseStatus": {"code": 403}},
        {"objectRef": {"resource": "webshops", "subresource": "status", "name": "shop"}},
        {"requestURI": "/apis/kro.run/v1alpha1/namespaces/prod/webshops/shop?dryRun=All&fieldManager=kubectl"},
    ],
)
def test_what_changed_no_spec_is_passed_over(more: dict[str, Any]) -> None:
    assert parse(audit(**more)) is None


@pytest.mark.parametrize("event", [[], "x", {"apiVersion": "v1", "kind": "Event"}])
def test_what_is_no_audit_event_is_told(event: Any) -> None:
    with pytest.raises(ValueError, match=r"no event of audit\.k8s\.io"):
        parse(event)


def test_what_waits_for_the_other_side_is_bounded_also_for_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status is observed all day and never audited; a lock is audited all day and never observed."""
    monkeypatch.setattr(sides, "_KEPT_OF_ONE", 3)
    found = attributions()
    found.observed([seen(position, position) for position in range(1, 5)])
    assert found.audited([record(1)]) == []
    assert only(found.audited([record(2)])) == ("dana", "audit", 2)
    early = attributions()
    early.audited([record(version) for version in range(1, 5)])
    assert early.observed([seen(1, 1)]) == []
    assert only(early.observed([seen(2, 2)])) == ("dana", "audit", 2)


def test_of_very_many_objects_the_longest_untouched_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "_KEPT", 2)
    found = attributions()
    for name in ("shop", "blog", "docs"):
        found.audited(
            [record(0, objectRef={"resource": "webshops", "namespace": "prod", "name": name, "apiGroup": "kro.run"})]
        )
    assert found.observed([seen()]) == []


@pytest.mark.parametrize("missing", ["stageTimestamp", "verb", "stage"])
def test_an_event_without_its_parts_is_told_or_passed_over(missing: str) -> None:
    event = {name: value for name, value in audit().items() if name != missing}
    if missing == "stageTimestamp":
        with pytest.raises(LookupError):
            parse(event)
    else:
        assert parse(event) is None
