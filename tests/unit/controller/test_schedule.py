"""What is due while the controller is busy is done late, not left out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from kro_es.controller import schedule


async def test_a_resync_that_comes_late_still_comes() -> None:
    came = asyncio.Event()
    scheduler = schedule.start(lambda: None, came.set, 10.0, lambda: None, asyncio.Event().wait)
    resync = scheduler.get_jobs()[-1]
    resync.modify(next_run_time=datetime.now(UTC) - timedelta(minutes=5))
    async with asyncio.timeout(30):
        await came.wait()
    scheduler.shutdown(wait=False)
