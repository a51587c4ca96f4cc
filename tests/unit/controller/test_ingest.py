"""What the watches show reaches the log once, in order, and what has ended stays ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.api.selector import Selector
from kro_es.api.watch import Broken, Burst, Changed, Listed, Watched, WatchItem
from kro_es.controller.ingest import Ingest, Sent
from kro_es.controller.vault import Vault
from kro_es.decisions.taint import Taints
from kro_es.errors import ApiError
from kro_es.events.from_watch import Origin, Seen, subject_of
from kro_es.events.redaction import MARK, Redactor
from kro_es.events.types import (
    Actor,
    Event,
    NewEvent,
    ObjectDeleted,
    ObjectGoneUnseen,
    ObjectLeftSelection,
    ObjectObserved,
    WatchGap,
)
from kro_es.projections.projection import Row

CONFIG_MAPS = Watched(
    Resource(Gvk("", "v1", "ConfigMap"), "configmaps", True), Selector.parse({"matchLabels": {"owned": "yes"}})
)
SECRETS = Watched(Resource(Gvk("", "v1", "Secret"), "secrets", True), None)


class _Log:
    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self.commits: list[int] = []

    async def append(self, events: Sequence[NewEvent]) -> tuple[Event, ...]:
        self.events += events
        self.commits.append(len(events))
        return ()

    @property
    def types(self) -> list[type]:
        return [type(event.body) for event in self.events]


class _Rows:
    """Recorded rows, as a restarted controller finds them."""

    position = 0

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._rows = list(rows)

    def row(self, projection: str, key: str) -> Row | None:
        return None

    def rows(self, projection: str, column: str, value: object) -> list[Row]:
        return [row for row in self._rows if row[column] == value]


class _Live:
    """The one question ingest asks the API server: is it still there?"""

    def __init__(self, *objects: JsonObject) -> None:
        self._objects = {ObjectRef.of(obj).name: obj for obj in objects}
        self.refusal: ApiError | None = None

    forbidden = False

    async def list_objects(self, resource: Resource, namespace: str | None, selector: str | None) -> list[JsonObject]:
        if self.forbidden:
            raise ApiError(403, "Forbidden", "may not list")
        return []

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        if self.refusal is not None:
            raise self.refusal
        if name not in self._objects:
            raise ApiError(404, "NotFound", f"{name} not found")
        return self._objects[name]


def _ingest(log: _Log, *, rows: Sequence[Row] = (), live: Sequence[JsonObject] = (), cluster: Any = None) -> Ingest:
    @contextmanager
    def reader() -> Iterator[Any]:
        yield _Rows(rows)

    cluster = cluster or _Live(*live)
    origin = Origin("cluster", 0, Redactor.of(b"k" * 32))
    return Ingest(log, cluster, origin, taints=Taints(), vault=Vault(), open_reader=reader, clock=lambda: 1_000)


def _object(name: str = "a", version: int = 1, *, kind: str = "ConfigMap", uid: str = "", **content: Any) -> JsonObject:
    meta = {"name": name, "namespace": "n", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **content}


def _row(name: str) -> Row:
    obj = _object(name)
    obj["metadata"]["labels"] = {"owned": "yes"}
    row = {"kind_key": "/ConfigMap", "namespace": "n", "name": name, "uid": f"uid-{name}", "object": obj}
    return {**row, "resource_version": 1}


async def test_an_echo_and_an_older_version_are_not_recorded_again() -> None:
    log = _Log()
    ingest = _ingest(log)
    for version in (5, 5, 4):
        await ingest.sink(CONFIG_MAPS, Changed("MODIFIED", _object(version=version, data={"v": str(version)})))
    assert [event.resource_version for event in log.events] == [5]


async def test_an_update_without_new_content_is_counted_and_moves_the_version() -> None:
    log = _Log()
    ingest = _ingest(log)
    for version in (1, 2):
        await ingest.sink(CONFIG_MAPS, Changed("MODIFIED", _object(version=version)))
    assert len(log.events) == 1
    assert ingest.dropped == 1
    assert ingest.latest_version(ObjectRef.of(_object())) == 2


async def test_an_echo_that_is_quicker_than_the_answer_has_the_cause_of_the_write() -> None:
    log = _Log()
    ingest = _ingest(log)
    entry = {"manager": "us", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {}}}
    theirs = {**entry, "manager": "them", "operation": "Update"}
    ours, other = _object(data={"v": "1"}), _object("b", data={"v": "2"})
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
    log = _Log()
    ingest = _ingest(log)
    obj = _object()
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", obj))
    marked = _object(version=2)
    marked["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with ingest.sending(ObjectRef.of(obj), Sent(Actor("us", "controller"), 7, delete=True)):
        await ingest.sink(CONFIG_MAPS, Changed("MODIFIED", marked))
    assert [(event.actor.name, event.cause) for event in log.events] == [("", 0), ("us", 7)]


async def test_events_still_on_the_way_do_not_bring_back_what_has_ended() -> None:
    log = _Log()
    ingest = _ingest(log)
    obj = _object()
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", obj))
    await log.append([ingest.gone(subject_of(obj), ObjectDeleted("response"))])
    await ingest.sink(CONFIG_MAPS, Changed("MODIFIED", _object(version=2, data={"late": "yes"})))
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", _object(version=3)))
    assert log.types == [ObjectObserved, ObjectDeleted]


async def test_a_new_object_of_the_same_name_is_recorded_after_the_old_one_ended() -> None:
    log = _Log()
    ingest = _ingest(log)
    await log.append([ingest.gone(subject_of(_object()), ObjectDeleted("response"))])
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", _object(version=7, uid="second")))
    assert log.types == [ObjectDeleted, ObjectObserved]


@pytest.mark.parametrize(
    ("live", "expected"),
    [((), ObjectDeleted), ((_object(version=9),), ObjectLeftSelection)],
    ids=["gone", "unlabelled"],
)
async def test_an_unexplained_deleted_event_is_settled_by_one_look(live: Sequence[JsonObject], expected: type) -> None:
    log = _Log()
    ingest = _ingest(log, live=live)
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", _object(version=3)))
    assert log.types == [expected]


@pytest.mark.parametrize("status", [0, 429, 503])
async def test_a_deleted_event_is_not_settled_while_nobody_answers(status: int) -> None:
    log = _Log()
    live = _Live(_object(version=9))
    ingest = _ingest(log, rows=[_row("a")], cluster=live)
    live.refusal = ApiError(status, "Unanswered", "not now")
    with pytest.raises(ApiError):
        await ingest.sink(CONFIG_MAPS, Changed("DELETED", _object(version=3)))
    assert log.types == []
    live.refusal = None
    await ingest.sink(CONFIG_MAPS, Broken("Unanswered"))
    await ingest.sink(CONFIG_MAPS, Listed((), "9"))
    assert log.types == [WatchGap, ObjectLeftSelection]


async def test_whether_many_are_gone_is_asked_for_all_of_them_at_once() -> None:
    log = _Log()
    asked: list[str] = []
    every = asyncio.Event()

    class Slow(_Live):
        async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
            asked.append(name)
            if len(asked) == 30:
                every.set()
            await every.wait()
            return await super().get(resource, namespace, name)

    ingest = _ingest(log, cluster=Slow(_object("o7", version=9)))
    burst = Burst(tuple(Changed("DELETED", _object(f"o{number}", version=3)) for number in range(30)))
    async with asyncio.timeout(10):
        await ingest.sink(CONFIG_MAPS, burst)
    assert [event.subject.name for event in log.events] == [f"o{number}" for number in range(30)]
    assert [n for n, event in enumerate(log.events) if type(event.body) is not ObjectDeleted] == [7]


async def test_what_was_gone_for_all_one_may_ask_is_seen_again_when_it_was_not() -> None:
    log = _Log()
    live = _Live(_object(version=9))
    live.refusal = ApiError(403, "Forbidden", "may not get")
    ingest = _ingest(log, cluster=live)
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", _object(version=3)))
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", _object(version=10)))
    assert log.types == [ObjectDeleted, ObjectObserved]


async def test_what_left_the_selection_is_seen_again_when_it_returns() -> None:
    log = _Log()
    ingest = _ingest(log, live=[_object(version=9)])
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", _object(version=3)))
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", _object(version=10)))
    assert log.types == [ObjectLeftSelection, ObjectObserved]


async def test_a_broken_watch_is_a_gap_and_what_the_list_finds_is_late() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[_row("gone"), _row("a")])
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", _object()))
    await ingest.sink(CONFIG_MAPS, Broken("410 Gone"))
    await ingest.sink(CONFIG_MAPS, Listed((_object(version=4, data={"v": "new"}),), "4"))
    assert log.types == [ObjectObserved, WatchGap, ObjectObserved, ObjectGoneUnseen]
    found = log.events[2].body
    assert isinstance(found, ObjectObserved)
    assert found.seen_late


async def test_a_gap_begins_where_the_server_was_last_heard_of() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[_row("a")])
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", _object()))
    await ingest.sink(CONFIG_MAPS, Broken("unanswered", 45.0))
    await ingest.sink(CONFIG_MAPS, Listed((_object(),), "4"))
    gap = log.events[1].body
    assert isinstance(gap, WatchGap)
    assert (gap.until - gap.since, gap.reason) == (45_000_000, "unanswered")


async def test_a_gap_says_what_broke_the_watch_and_that_it_could_not_be_resumed() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[_row("a")])
    for reason in ("disconnect", "Unanswered", "expired", "Unanswered", "expired"):
        await ingest.sink(CONFIG_MAPS, Broken(reason))
    await ingest.sink(CONFIG_MAPS, Listed((_object(),), "4"))
    gap = log.events[0].body
    assert isinstance(gap, WatchGap)
    assert gap.reason == "disconnect, expired"


async def test_a_watch_refused_since_the_start_was_blind_since_the_run_before() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[_row("a")])
    ingest.last_seen_alive = 400
    await ingest.sink(CONFIG_MAPS, Broken("Forbidden"))
    await ingest.sink(CONFIG_MAPS, Listed((_object(),), "4"))
    await ingest.sink(CONFIG_MAPS, Broken("Forbidden"))
    await ingest.sink(CONFIG_MAPS, Listed((_object(),), "5"))
    await ingest.sink(CONFIG_MAPS, Listed((_object(),), "6"))
    gaps = [event.body for event in log.events if isinstance(event.body, WatchGap)]
    assert [(gap.reason, gap.since, gap.until) for gap in gaps] == [
        ("Forbidden", 400, 1_000), ("Forbidden", 1_000, 1_000),
    ]  # fmt: skip


async def test_a_watch_that_goes_on_where_it_was_has_missed_nothing() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[_row("a")])
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", _object()))
    await ingest.sink(CONFIG_MAPS, Broken("disconnect"))
    await ingest.sink(CONFIG_MAPS, Burst(()))
    await ingest.sink(CONFIG_MAPS, Listed((_object(version=4, data={"v": "new"}),), "4"))
    assert log.types == [ObjectObserved, ObjectObserved]


async def test_what_leaves_one_selection_and_is_shown_by_another_watch_is_not_gone() -> None:
    log = _Log()
    live = _object(version=9, data={"v": "new"})
    ingest = _ingest(log, live=[live])
    by_name = Watched(CONFIG_MAPS.resource, None, "n", "a")
    await ingest.sink(by_name, Listed((_object(),), "3"))
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", _object()))
    assert log.types == [ObjectObserved, ObjectObserved]
    ingest.stopped(by_name)
    await ingest.sink(CONFIG_MAPS, Changed("DELETED", live))
    assert log.types[2:] == [ObjectLeftSelection]


async def test_a_list_says_nothing_about_what_was_seen_after_it_was_made() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[{**_row("new"), "resource_version": 8}, _row("old")])
    await ingest.sink(CONFIG_MAPS, Listed((), "7"))
    assert [event.subject.name for event in log.events] == ["old"]


async def test_what_lost_its_label_while_nobody_watched_may_come_back() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[_row("a")], live=[_object(version=3)])
    await ingest.sink(CONFIG_MAPS, Listed((), "7"))
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", _object(version=9)))
    assert log.types == [ObjectLeftSelection, ObjectObserved]


async def test_updates_without_a_change_do_not_push_out_the_values_of_the_recorded_version() -> None:
    log = _Log()
    ingest = _ingest(log)
    secret = _object("s", kind="Secret", data={"password": "aHVudGVyMg=="})
    await ingest.sink(SECRETS, Changed("ADDED", secret))
    for version in range(10, 20):
        await ingest.sink(
            SECRETS, Changed("MODIFIED", _object("s", kind="Secret", version=version, data=secret["data"]))
        )
    body = log.events[-1].body
    assert isinstance(body, ObjectObserved)
    assert ingest.vault.clear(body.object) == secret


async def test_a_secret_is_recorded_without_its_values_and_kept_in_memory() -> None:
    log = _Log()
    ingest = _ingest(log)
    secret = _object("s", kind="Secret", data={"password": "aHVudGVyMg=="})
    await ingest.sink(SECRETS, Changed("ADDED", secret))
    body = log.events[0].body
    assert isinstance(body, ObjectObserved)
    assert MARK in body.object["data"]["password"]
    assert ingest.vault.clear(body.object) == secret


def test_who_changed_an_object_is_the_manager_whose_entry_moved() -> None:
    ingest = _ingest(_Log())

    def managed(version: int, *entries: tuple[str, str]) -> JsonObject:
        obj = _object(version=version, data={"v": str(version)})
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


CROWD = [_object(f"o{number}", number + 1) for number in range(450)]


@pytest.mark.parametrize("item", [Burst(tuple(Changed("ADDED", obj) for obj in CROWD)), Listed(tuple(CROWD), "500")])
async def test_a_crowd_is_recorded_in_order_and_in_parts(item: WatchItem) -> None:
    """All at once it would be in everybody's way: in the loop while it is looked at, in the log while it is written."""
    log = _Log()
    await _ingest(log).sink(CONFIG_MAPS, item)
    assert [event.subject.name for event in log.events] == [f"o{number}" for number in range(450)]
    assert log.commits == [200, 200, 50]


async def test_a_long_list_of_what_is_known_lets_others_in_between() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[{**_row(f"o{number}"), "resource_version": number + 1} for number in range(450)])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await ingest.sink(CONFIG_MAPS, Listed(tuple(CROWD), "500"))
    task.cancel()
    assert not [event for event in log.events if isinstance(event.body, ObjectObserved)]
    assert turns >= 3


async def test_a_gap_of_a_crowd_shares_the_commit_of_what_is_found_first() -> None:
    log = _Log()
    ingest = _ingest(log, rows=[_row("gone")])
    await ingest.sink(CONFIG_MAPS, Broken("disconnect"))
    await ingest.sink(CONFIG_MAPS, Listed(tuple(CROWD), "500"))
    assert log.types[0] is WatchGap
    assert log.types[-1] is ObjectGoneUnseen
    assert log.commits == [201, 200, 50, 1]
    log = _Log()
    ingest = _ingest(log, rows=[_row("gone")])
    await ingest.sink(CONFIG_MAPS, Broken("disconnect"))
    await ingest.sink(CONFIG_MAPS, Listed((), "500"))
    assert (log.types, log.commits) == ([WatchGap, ObjectGoneUnseen], [2])
