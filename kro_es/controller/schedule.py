"""The few things done by the clock: proof of life for gaps, and the resync that is a net under the events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

HEARTBEAT_SECONDS = 10
"""A gap after a crash is drawn at most this much too long. The beat is one row updated in place: the log does not grow."""
LOOK_AGAIN_SECONDS = 60
"""A start serves what the log has; so long after it the server is asked whether its kinds are still the same."""


def start(
    beat: Callable[[], None],
    resync: Callable[[], None],
    resync_hours: float,
    look_again: Callable[[], None],
    tell_lost: Callable[[], Awaitable[None]],
) -> AsyncIOScheduler:
    """``beat`` is called in a thread of its own (it may wait for the database), the others in the loop."""
    telling = asyncio.Lock()

    async def unless_it_waits() -> None:
        # for the database, maybe; the library would say at every beat that one is still under way
        if not telling.locked():
            async with telling:
                await tell_lost()

    async def in_the_loop(work: Callable[[], None]) -> None:
        work()

    # the library would leave out what is due while the loop is busy, a resync until the next one is due
    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True})
    scheduler.add_job(beat, "interval", seconds=HEARTBEAT_SECONDS)
    scheduler.add_job(unless_it_waits, "interval", seconds=HEARTBEAT_SECONDS, max_instances=2)
    scheduler.add_job(
        in_the_loop, "date", (look_again,), run_date=datetime.now(UTC) + timedelta(seconds=LOOK_AGAIN_SECONDS)
    )
    if resync_hours > 0:
        scheduler.add_job(in_the_loop, "interval", (resync,), hours=resync_hours)
    scheduler.start()
    return scheduler
