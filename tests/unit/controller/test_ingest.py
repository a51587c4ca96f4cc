"""What the watches show reaches the log once, in order, and what has ended stays ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from kro_es.api.objects import JsonObject, ObjectRef, Resource
from kro_es.api.watch import Broken, Burst, Changed, Listed, Watched
from kro_es.controller.ingest import Sent
from kro_es.errors import ApiError
from kro_es.events.from_watch import Seen, subject_of
from kro_es.events.redaction import MARK
from kro_es.events.types import (
    Actor,
    ObjectDeleted,
    ObjectLeftSelection,
    ObjectObserved,
    WatchGap,
)
from tests.support.ingesting import CONFIG_MAPS, SECRETS, Live, Log, ingest_for, observed, row


async def test_an_echo_and_an_older_version_are_not_recorded_again() -> None:
    log = Log()
    ingest = ingest_for(log)
    for version in (5, 5, 4):
        await ingest.sink(CONFIG_MAPS, Changed("MODIFIED", observed(version=version, data={"v": str(version)})))
    assert [event.resource_version for event in log.events] == [5]


async def test_an_update_without_new_content_is_counted_and_moves_the_version() -> None:
    log = Log()
    ingest = ingest_for(log)
    for version in (1, 2):
        await ingest.sink(CONFIG_MAPS, Changed("MODIFIED", observed(version=version)))
    assert len(log.events) == 1
    assert ingest.dropped == 1
    assert ingest.latest_version(ObjectRef.of(observed())) == 2


async def test_an_echo_that_is_quicker_than_the_answer_has_the_cause_of_the_write() -> None:
    log = Log()
    ingest = ingest_for(log)
    entry = {"manager": "us", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {}}}
    theirs = {**entry, "manager": "them", "operation": "Update"}
    ours, other = observed(data={"v": "1"}), observed("b", data={"v": "2"})
    ours["metadata"]["managedFields"], other["metadata"]["managedFields"] = [entry], [theirs]
    sent = Sent(Actor("us", "controller"), 7, "pass/1")
    with ingest.sending(ObjectRef.of(ours), sent), ingest.sending(ObjectRef.of(other), sent):
        await ingest.sink(CONFIG_MAPS, Changed("ADDED", ours))
        await ingest.sink(CONFIG_MAPS, Changed("ADDED", other))
    assert [(event.actor, event.cause, event.correlation) for event in log.events] == [
        (Actor("us", "controller"), 7, "pass/1"),
        (Actor("them", "manager"), 0, ""),
    ]
    assert ingest.observation(Seen(ours, "response", 1, actor=sent.actor, cause=7)) is None


async def test_the_mark_of_a_deletion_has_the_cause_of_the_delete() -> None:
    log = Log()
    ingest = ingest_for(log)
    obj = observed()
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", obj))
    marked = observed(version=2)
    marked["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with ingest.sending(ObjectRef.of(obj), Sent(Actor("us", "controller"), 7, delete=True)):
        await ingest.sink(CONFIG_MAPS, Changed("MODIFIED", marked))
    assert [(event.actor.name, event.cause) for event in log.events] == [("", 0), ("us", 7)]


async def test_events_still_on_the_way_do_not_bring_back_what_has_ended() -> None:
    log = Log()
    ingest = ingest_for(log)
    obj = observed()
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", obj))
    await log.append([ingest.gone(subject_of(obj), ObjectDeleted("response"))])
    await ingest.sink(CONFIG_MAPS, Changed("MODIFIED", observed(version=2, data={"late": "yes"})))
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", observed(version=3)))
    assert log.types == [ObjectObserved, ObjectDeleted]


async def test_a_new_object_of_the_same_name_is_recorded_after_the_old_one_ended() -> None:
    log = Log()
    ingest = ingest_for(log)
    await log.append([ingest.gone(subject_of(observed()), ObjectDeleted("response"))])
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", observed(version=7, uid="second")))
    assert log.types == [ObjectDeleted, ObjectObserved]


@pytest.mark.parametrize(
    ("live", "expected"),
    [((), ObjectDeleted), ((observed(version=9),), ObjectLeftSelection)],
    ids=["gone", "unlabelled"],
)
async def test_an_unexplained_deleted_event_is_settled_by_one_look(live: Sequence[JsonObject], expected: type) -> None:
    log = Log()
    ingest = ingest_for(log, live=live)
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", observed(version=3)))
    assert log.types == [expected]


@pytest.mark.parametrize("status", [0, 429, 503])
async def test_a_deleted_event_is_not_settled_while_nobody_answers(status: int) -> None:
    log = Log()
    live = Live(observed(version=9))
    ingest = ingest_for(log, rows=[row("a")], cluster=live)
    live.refusal = ApiError(status, "Unanswered", "not now")
    with pytest.raises(ApiError):
        await ingest.sink(CONFIG_MAPS, Changed("DELETED", observed(version=3)))
    assert log.types == []
    live.refusal = None
    await ingest.sink(CONFIG_MAPS, Broken("Unanswered"))
    await ingest.sink(CONFIG_MAPS, Listed((), "9"))
    assert log.types == [WatchGap, ObjectLeftSelection]


async def test_whether_many_are_gone_is_asked_for_all_of_them_at_once() -> None:
    log = Log()
    asked: list[str] = []
    every = asyncio.Event()

    class Slow(Live):
        async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
            asked.append(name)
            if len(asked) == 30:
                every.set()
            await every.wait()
            return await super().get(resource, namespace, name)

    ingest = ingest_for(log, cluster=Slow(observed("o7", version=9)))
    burst = Burst(tuple(Changed("DELETED", observed(f"o{number}", version=3)) for number in range(30)))
    async with asyncio.timeout(10):
        await ingest.sink(CONFIG_MAPS, burst)
    assert [event.subject.name for event in log.events] == [f"o{number}" for number in range(30)]
    assert [n for n, event in enumerate(log.events) if type(event.body) is not ObjectDeleted] == [7]


async def test_what_was_gone_for_all_one_may_ask_is_seen_again_when_it_was_not() -> None:
    log = Log()
    live = Live(observed(version=9))
    live.refusal = ApiError(403, "Forbidden", "may not get")
    ingest = ingest_for(log, cluster=live)
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", observed(version=3)))
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", observed(version=10)))
    assert log.types == [ObjectDeleted, ObjectObserved]


async def test_what_left_the_selection_is_seen_again_when_it_returns() -> None:
    log = Log()
    ingest = ingest_for(log, live=[observed(version=9)])
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", observed(version=3)))
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", observed(version=10)))
    assert log.types == [ObjectLeftSelection, ObjectObserved]


async def test_what_leaves_one_selection_and_is_shown_by_another_watch_is_not_gone() -> None:
    log = Log()
    live = observed(version=9, data={"v": "new"})
    ingest = ingest_for(log, live=[live])
    by_name = Watched(CONFIG_MAPS.resource, None, "n", "a")
    await ingest.sink(by_name, Listed((observed(),), "3"))
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", observed()))
    assert log.types == [ObjectObserved, ObjectObserved]
    ingest.stopped(by_name)
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", live))
    assert log.types[2:] == [ObjectLeftSelection]


async def test_updates_without_a_change_do_not_push_out_the_values_of_the_recorded_version() -> None:
    log = Log()
    ingest = ingest_for(log)
    secret = observed("s", kind="Secret", data={"password": "aHVudGVyMg=="})
    await ingest.sink(SECRETS, Changed("ADDED", secret))
    for version in range(10, 20):
        await ingest.sink(
            SECRETS, Changed("MODIFIED", observed("s", kind="Secret", version=version, data=secret["data"]))
        )
    body = log.events[-1].body
    assert isinstance(body, ObjectObserved)
    assert ingest.vault.clear(body.object) == secret


async def test_a_secret_is_recorded_without_its_values_and_kept_in_memory() -> None:
    log = Log()
    ingest = ingest_for(log)
    secret = observed("s", kind="Secret", data={"password": "aHVudGVyMg=="})
    await ingest.sink(SECRETS, Changed("ADDED", secret))
    body = log.events[0].body
    assert isinstance(body, ObjectObserved)
    assert MARK in body.object["data"]["password"]
    assert ingest.vault.clear(body.object) == secret


def test_who_changed_an_object_is_the_manager_whose_entry_moved() -> None:
    ingest = ingest_for(Log())

    def managed(version: int, *entries: tuple[str, str]) -> JsonObject:
        obj = observed(version=version, data={"v": str(version)})
        obj["metadata"]["managedFields"] = [
            {"manager": name, "operation": "Update", "time": time, "fieldsV1": {"f:data": {}}} for name, time in entries
        ]
        return obj

    first = ingest.observation(Seen(managed(1, ("helm", "2026-01-01T00:00:00Z")), "added", 1))
    second = ingest.observation(
        Seen(managed(2, ("helm", "2026-01-01T00:00:00Z"), ("kubectl-edit", "2026-01-02T00:00:00Z")), "modified", 2)
    )
    assert first is not None
    assert second is not None
    assert (first.actor.name, second.actor.name) == ("helm", "kubectl-edit")
