"""The few things done by the clock: proof of life for gaps, and the resync that is a net under the events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from kro_es.controller.loop import Loop

HEARTBEAT_SECONDS = 10
"""A gap after a crash is drawn at most this much too long. The beat is one row updated in place: the log does not grow."""

LOOK_AGAIN_SECONDS = 60
"""A start serves what the log has; so long after it the server is asked whether its kinds are still the same."""


def start(beat: Callable[[], None], loop: Loop, resync_hours: float) -> AsyncIOScheduler:
    """``beat`` is called in a thread of its own (it may wait for the database), what the loop has to do in the loop."""

    async def resync() -> None:
        loop.resync()

    async def look_again() -> None:
        loop.look_again()

    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.add_job(beat, "interval", seconds=HEARTBEAT_SECONDS)
    scheduler.add_job(look_again, "date", run_date=datetime.now(UTC) + timedelta(seconds=LOOK_AGAIN_SECONDS))
    if resync_hours > 0:
        scheduler.add_job(resync, "interval", hours=resync_hours)
    scheduler.start()
    return scheduler
