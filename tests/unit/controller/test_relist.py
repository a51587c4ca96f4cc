"""A list after a break: the gap is recorded, what it finds is late, and a crowd is taken in parts."""

from __future__ import annotations

import asyncio

import pytest

from kro_es.api.watch import Broken, Burst, Changed, Listed, WatchItem
from kro_es.events.types import (
    ObjectGoneUnseen,
    ObjectLeftSelection,
    ObjectObserved,
    WatchGap,
)
from tests.support.ingesting import CONFIG_MAPS, Log, ingest_for, observed, row


async def test_a_broken_watch_is_a_gap_and_what_the_list_finds_is_late() -> None:
    log = Log()
    ingest = ingest_for(log, rows=[row("gone"), row("a")])
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", observed()))
    await ingest.sink(CONFIG_MAPS, Broken("410 Gone"))
    await ingest.sink(CONFIG_MAPS, Listed((observed(version=4, data={"v": "new"}),), "4"))
    assert log.types == [ObjectObserved, WatchGap, ObjectObserved, ObjectGoneUnseen]
    found = log.events[2].body
    assert isinstance(found, ObjectObserved)
    assert found.seen_late


async def test_a_gap_begins_where_the_server_was_last_heard_of() -> None:
    log = Log()
    ingest = ingest_for(log, rows=[row("a")])
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", observed()))
    await ingest.sink(CONFIG_MAPS, Broken("unanswered", 45.0))
    await ingest.sink(CONFIG_MAPS, Listed((observed(),), "4"))
    gap = log.events[1].body
    assert isinstance(gap, WatchGap)
    assert (gap.until - gap.since, gap.reason) == (45_000_000, "unanswered")


async def test_a_gap_says_what_broke_the_watch_and_that_it_could_not_be_resumed() -> None:
    log = Log()
    ingest = ingest_for(log, rows=[row("a")])
    for reason in ("disconnect", "Unanswered", "expired", "Unanswered", "expired"):
        await ingest.sink(CONFIG_MAPS, Broken(reason))
    await ingest.sink(CONFIG_MAPS, Listed((observed(),), "4"))
    gap = log.events[0].body
    assert isinstance(gap, WatchGap)
    assert gap.reason == "disconnect, expired"


async def test_a_watch_refused_since_the_start_was_blind_since_the_run_before() -> None:
    log = Log()
    ingest = ingest_for(log, rows=[row("a")])
    ingest.gaps.last_seen_alive = 400
    await ingest.sink(CONFIG_MAPS, Broken("Forbidden"))
    await ingest.sink(CONFIG_MAPS, Listed((observed(),), "4"))
    await ingest.sink(CONFIG_MAPS, Broken("Forbidden"))
    await ingest.sink(CONFIG_MAPS, Listed((observed(),), "5"))
    await ingest.sink(CONFIG_MAPS, Listed((observed(),), "6"))
    gaps = [event.body for event in log.events if isinstance(event.body, WatchGap)]
    assert [(gap.reason, gap.since, gap.until) for gap in gaps] == [
        ("Forbidden", 400, 1_000), ("Forbidden", 1_000, 1_000),
    ]  # fmt: skip


async def test_a_watch_that_goes_on_where_it_was_has_missed_nothing() -> None:
    log = Log()
    ingest = ingest_for(log, rows=[row("a")])
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", observed()))
    await ingest.sink(CONFIG_MAPS, Broken("disconnect"))
    await ingest.sink(CONFIG_MAPS, Burst(()))
    await ingest.sink(CONFIG_MAPS, Listed((observed(version=4, data={"v": "new"}),), "4"))
    assert log.types == [ObjectObserved, ObjectObserved]


async def test_a_list_says_nothing_about_what_was_seen_after_it_was_made() -> None:
    log = Log()
    ingest = ingest_for(log, rows=[{**row("new"), "resource_version": 8}, row("old")])
    await ingest.sink(CONFIG_MAPS, Listed((), "7"))
    assert [event.subject.name for event in log.events] == ["old"]


async def test_what_lost_its_label_while_nobody_watched_may_come_back() -> None:
    log = Log()
    ingest = ingest_for(log, rows=[row("a")], live=[observed(version=3)])
    await ingest.sink(CONFIG_MAPS, Listed((), "7"))
    await ingest.sink(CONFIG_MAPS, Changed("ADDED", observed(version=9)))
    assert log.types == [ObjectLeftSelection, ObjectObserved]


CROWD = [observed(f"o{number}", number + 1) for number in range(450)]


@pytest.mark.parametrize("item", [Burst(tuple(Changed("ADDED", obj) for obj in CROWD)), Listed(tuple(CROWD), "500")])
async def test_a_crowd_is_recorded_in_order_and_in_parts(item: WatchItem) -> None:
    """All at once it would be in everybody's way: in the loop while it is looked at, in the log while it is written."""
    log = Log()
    await ingest_for(log).sink(CONFIG_MAPS, item)
    assert [event.subject.name for event in log.events] == [f"o{number}" for number in range(450)]
    assert log.commits == [200, 200, 50]


async def test_a_long_list_of_what_is_known_lets_others_in_between() -> None:
    log = Log()
    ingest = ingest_for(log, rows=[{**row(f"o{number}"), "resource_version": number + 1} for number in range(450)])
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
    log = Log()
    ingest = ingest_for(log, rows=[row("gone")])
    await ingest.sink(CONFIG_MAPS, Broken("disconnect"))
    await ingest.sink(CONFIG_MAPS, Listed(tuple(CROWD), "500"))
    assert log.types[0] is WatchGap
    assert log.types[-1] is ObjectGoneUnseen
    assert log.commits == [201, 200, 50, 1]
    log = Log()
    ingest = ingest_for(log, rows=[row("gone")])
    await ingest.sink(CONFIG_MAPS, Broken("disconnect"))
    await ingest.sink(CONFIG_MAPS, Listed((), "500"))
    assert (log.types, log.commits) == ([WatchGap, ObjectGoneUnseen], [2])
