"""``kro-history log --follow`` prints every event once, in order, however many come at once."""

from __future__ import annotations

import subprocess
import sys
import threading

import orjson
from sqlalchemy import Engine

from kro_es.projections.registry import PROJECTIONS
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from tests.contract.store.support import NOW, seen

PATIENCE = 60.0


def test_a_follower_prints_what_comes(engine: Engine, url: str) -> None:
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    log.append([seen("a", 1), seen("b", 1)], now=NOW)
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", url, "log", "--follow", "-o", "jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            lines = iter(process.stdout)
            found = [orjson.loads(next(lines))["position"] for _ in range(2)]
            # more than one page of it in one commit, and then one alone
            log.append([seen("c", version) for version in range(1, 1206)], now=NOW)
            found += [orjson.loads(next(lines))["position"] for _ in range(1205)]
            log.append([seen("d", 1)], now=NOW)
            found.append(orjson.loads(next(lines))["position"])
        finally:
            watchdog.cancel()
            process.terminate()
    assert found == list(range(1, 1209))
