"""One key, one pass at a time; what failed comes back later and later."""

from __future__ import annotations

import asyncio

import pytest

from kro_es.controller.queue import Key, Queue

KEY = Key("instance", "u1", "kro.run/Color/ns/c")
OTHER = Key("instance", "u2", "kro.run/Color/ns/d")


async def test_a_key_waits_at_most_once() -> None:
    queue = Queue()
    for key in (KEY, KEY, OTHER):
        queue.add(key)
    assert [await queue.take(), await queue.take()] == [KEY, OTHER]
    assert queue.depth == 0


async def test_a_key_touched_while_running_runs_once_more_afterwards() -> None:
    queue = Queue()
    queue.add(KEY)
    await queue.take()
    queue.add(KEY)
    assert queue.depth == 0
    queue.done(KEY)
    assert await queue.take() == KEY


async def test_a_failed_key_comes_back_by_itself_unless_it_is_gone() -> None:
    queue = Queue()
    queue.add(KEY)
    queue.done(await queue.take(), failed=True)
    assert await asyncio.wait_for(queue.take(), 5) == KEY
    queue.done(KEY, failed=True)
    queue.forget(KEY)
    queue.add(OTHER)
    assert await queue.take() == OTHER
    queue.close()


def many(count: int) -> list[Key]:
    return [Key("instance", f"m{number}", f"kro.run/Many/ns/{number}") for number in range(count)]


async def test_thousands_of_one_kind_delay_another_by_one_turn() -> None:
    queue = Queue()
    crowd = many(5000)
    for key in crowd:
        queue.add(key)
    served = [await queue.take() for _ in range(10)]
    queue.add(KEY)
    queue.add(Key("definition", "d", "kro.run/ResourceGraphDefinition//x"))
    turns = [await queue.take() for _ in range(4)]
    assert [key.kind for key in turns].count("definition") == 1
    assert turns.index(KEY) <= 2
    assert [key for key in (*served, *turns) if key.lane == crowd[0].lane] == crowd[:12]
    assert queue.depth == 5000 - 12


async def test_a_crowd_that_comes_back_waits_in_its_own_line() -> None:
    queue = Queue()
    crowd = many(50)
    for _ in range(3):
        for key in (*crowd, KEY):
            queue.add(key)
        turns = [await queue.take() for _ in range(51)]
        assert turns.index(KEY) <= 1
        for key in turns:
            queue.done(key, failed=key is not KEY)
    queue.close()


async def test_slow_passes_of_one_kind_leave_workers_for_the_others() -> None:
    queue = Queue(most=2)
    slow = many(3)
    for key in slow:
        queue.add(key)
    assert [await queue.take(), await queue.take()] == slow[:2]
    taken = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add(KEY)
    assert await asyncio.wait_for(taken, 5) == KEY
    taken = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not taken.done()
    queue.done(slow[0])
    assert await asyncio.wait_for(taken, 5) == slow[2]


async def test_each_failure_of_a_key_doubles_its_wait_and_success_ends_that(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    handle = loop.call_later(3600, print)
    monkeypatch.setattr(loop, "call_later", lambda delay, *_: (waits.append(delay), handle)[1])
    queue = Queue()

    async def passed(key: Key, *, failed: bool) -> None:
        queue.add(key)
        queue.done(await queue.take(), failed=failed)

    for _ in range(13):
        await passed(KEY, failed=True)
    await passed(OTHER, failed=True)
    await passed(KEY, failed=False)
    await passed(KEY, failed=True)
    assert waits[:3] == [0.2, 0.4, 0.8]
    assert waits[11:13] == [300.0, 300.0]
    assert waits[13:] == [0.2, 0.2]
    queue.close()
