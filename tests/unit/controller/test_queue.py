"""One key, one pass at a time; what failed comes back later and later."""

from __future__ import annotations

import asyncio

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
