"""A controller without its reconcilers: it wins the Lease, takes the fence, appends and writes as fast as it is let.

``python -m tests.support.contender DATABASE KUBECONFIG ACKNOWLEDGED``; ends with 3 when it lost its leadership.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from kro_es.cluster import lease as leases
from kro_es.cluster.client import ApiClient, connect
from kro_es.cluster.lease import Lease, Timing
from kro_es.errors import FenceLost
from kro_es.events.types import Actor, NewEvent
from kro_es.projections.registry import FOR_PEOPLE, NEEDED
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.mirror import Mirror
from kro_es.store.writer import LogWriter
from tests.contract.store.support import seen, settled

TIMING = Timing(duration=2.0, renew=0.5, retry=0.1, margin=0.5)
WRITE_SECONDS = 1.0
TASKS = 4
PAUSE = 0.01
"""Seconds between two groups of a task: the log of a test must be quick to rebuild."""
LOST = 3


def group(fence: int, task: int, number: int) -> list[NewEvent]:
    """Three events that say whose they are."""
    version = fence * 1_000_000 + number
    return [
        seen(f"n{task}-{number % 7}", version, fence=fence),
        settled(f"i{task}-{number % 5}"),
        NewEvent(
            "controller",
            settled("i").body,
            settled("i").subject,
            Actor(f"fence-{fence}", "controller"),
            time.time_ns() // 1000,
        ),
    ]


async def act(writer: LogWriter, client: ApiClient, handle: int, fence: int, task: int) -> None:
    """What is appended is noted when it is acknowledged, and only then written to the server."""
    for number in range(1, 1_000_000):
        events = await writer.append(group(fence, task, number))
        os.write(handle, b"".join(b"%d %s\n" % (e.position, e.event_id.encode()) for e in events))
        await client.request("POST", "/writes", body={"fence": fence, "position": events[-1].position})
        await asyncio.sleep(PAUSE)


async def main(url: str, config: str, acknowledged: str) -> int:
    leases.WRITE_SECONDS = WRITE_SECONDS
    handle = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    client = await connect(config, user_agent="contender")
    lease = Lease(client, "default", str(os.getpid()), TIMING)
    mirror = Mirror(NEEDED)
    try:
        await lease.acquire()
        client.guard = lease.guard
        log = EventLog(open_engine(url), NEEDED, cluster="cluster-1", mirror=mirror, left=FOR_PEOPLE)
        fence = await asyncio.to_thread(log.issue_fence)
        writer = LogWriter(log, clock=lambda: time.time_ns() // 1000)
        tasks = [asyncio.create_task(act(writer, client, handle, fence, task)) for task in range(TASKS)]
        done, _ = await asyncio.wait((*tasks, lease.lost, writer.lost), return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            found = one.result()
            if isinstance(found, FenceLost):
                raise found
    except FenceLost:
        return LOST
    finally:
        mirror.close()
    return 1


if __name__ == "__main__":
    # no tidy end: whoever lost stops where it is
    os._exit(asyncio.run(main(*sys.argv[1:4])))
