"""Two processes on one log: the second's commands come between, and the first goes on as if it had known."""

from __future__ import annotations

import subprocess
import sys

from sqlalchemy import Engine

from kro_es.store.event_log import EventLog
from kro_es.store.rebuild import compare, rebuild
from tests.contract.store.support import NOW, PROJECTIONS, command, seen

_COMMAND = """
import sys
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from tests.contract.store.support import NOW, PROJECTIONS, command
log = EventLog(open_engine(sys.argv[1]), PROJECTIONS)
for _ in range(int(sys.argv[2])):
    print(log.append([command()], now=NOW)[0].position, flush=True)
"""


def _commands(url: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _COMMAND, url, str(count)], stdout=subprocess.PIPE, text=True)


def test_a_command_from_another_process_comes_between(log: EventLog, engine: Engine, url: str, memory: Engine) -> None:
    log.append([seen("a", 1), command()], now=NOW)
    output, _ = _commands(url, 1).communicate(timeout=60)
    assert output.split() == ["3"]
    events = log.append([command(), seen("a", 2)], now=NOW)
    assert [(event.position, event.stream_version) for event in events] == [(4, 3), (5, 2)]
    found = log.event(3)
    assert found is not None
    assert found.cluster == "cluster-1"
    rebuild(engine, PROJECTIONS, memory)
    assert compare(engine, memory, PROJECTIONS) == []


def test_writers_at_the_same_time_leave_a_good_log(log: EventLog, engine: Engine, url: str, memory: Engine) -> None:
    others = [_commands(url, 30) for _ in range(2)]
    version = 0
    while any(other.poll() is None for other in others):
        version += 1
        log.append([seen("a", version), seen("b", version, counter=version)], now=NOW + version)
    positions = [int(word) for other in others for word in other.communicate()[0].split()]
    assert len(set(positions)) == 60
    report = log.verify()
    assert (report.faults, report.events) == ([], 60 + 2 * version)
    rebuild(engine, PROJECTIONS, memory)
    assert compare(engine, memory, PROJECTIONS) == []
