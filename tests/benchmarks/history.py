"""Questions to a large log, each as a process of its own from start to exit, beside a Python that only imports sqlite3.

``EVENTS=5000000 DEFINITIONS=1500`` make the log of the targets; ``LOG=path`` keeps it and takes it again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from kro_es.api import metadata
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from tests.benchmarks.figures import Figure
from tests.benchmarks.fleet import INSTANCES, Fleet

EVENTS, DEFINITIONS, BATCH, RUNS = 50_000, 30, 1_000, 5
QUESTIONS = {
    "log": ("log", "--limit", "50"),
    "log.instance": ("log", "app/app-0007", "--limit", "50"),
    "log.definition": ("log", "def-0000", "--limit", "50"),
    "log.type": ("log", "--type", "write.failed", "--limit", "50"),
    "show": ("show", "app/app-0007", "--at", "{middle}"),
    "why": ("why", "configmap/app-0007-n0", "data.value"),
    "why.definition": ("why", "def-0000"),
    "blame": ("blame", "deployment/app-0007-n1"),
    "instance": ("instance", "app/app-0007"),
    "graph": ("graph", "app/app-0007", "--at", "{middle}"),
    "rollouts": ("rollouts", "def-0000"),
    "rollouts.all": ("rollouts",),
    "revisions": ("revisions", "{long}"),
    "stats": ("stats", "def-0000"),
    "diff": ("diff", "app/app-0007", "--at", "{middle}"),
    "diff.revisions": ("diff", "{long}@9", "{long}@10"),
    "doctor": ("doctor", "app/app-0007"),
    "drift": ("drift",),
    "gaps": ("gaps",),
    "export": ("export", "app/app-0007"),
    "report": ("report", "def-0000", "--since", "1", "--out", "{folder}/report.html"),
}


_STARTER = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
began = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(process, 0)
seconds = time.perf_counter() - began
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""
"""Between this process and the one that is measured: to what a process ever had Linux counts what the one had it was
made by, and this one may have written the log."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One process from start to exit."""

    seconds: float
    cpu: float
    megabytes: float


def write_log(path: Path, events: int, definitions: int) -> None:
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="bench")
    log.issue_fence()
    made = Fleet(events, definitions).events()
    began, done = time.monotonic(), 0
    while batch := list(islice(made, BATCH)):
        log.append(batch, now=batch[-1].occurred_at)
        done += len(batch)
        if done % 100_000 < BATCH:
            print(f"history: {done} of {events} events, {done / (time.monotonic() - began):.0f}/s", flush=True)
    engine.dispose()


def history() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(os.environ.get("LOG", f"{folder}/log.db"))
        if not path.exists():
            write_log(path, int(os.environ.get("EVENTS", EVENTS)), int(os.environ.get("DEFINITIONS", DEFINITIONS)))
        with sqlite3.connect(path) as connection:
            head = connection.execute("SELECT position FROM log_head").fetchone()[0]
            (long,) = connection.execute("SELECT max(definition) FROM p_definitions").fetchone()
        floor = _median([sys.executable, "-c", "import sqlite3"]).seconds
        asked = [sys.executable, "-m", "kro_es.cli.history", "--database", f"sqlite:///{path}", "--utc", "--no-pager"]
        figures = []
        for name, question in QUESTIONS.items():
            words = [word.format(middle=head // 2, long=long, folder=folder) for word in question]
            figures += _figures(f"history.{name}", [*asked, *words], floor, f"at {head} events")
        plan = [sys.executable, "-m", "kro_es.cli.operator", "plan", "--database", f"sqlite:///{path}"]
        told = f"for {INSTANCES} instances at {head} events"
        figures += _figures("history.plan", [*plan, "-f", str(_edited(path, Path(folder)))], floor, told)
        return figures


def _edited(path: Path, folder: Path) -> Path:
    """The definition with instances, with another image and another text for each of them."""
    sql = (
        "SELECT r.spec FROM p_definitions d JOIN p_revisions r ON r.definition_uid = d.key AND r.number = d.active"
        " WHERE d.definition = 'def-0000'"
    )
    with sqlite3.connect(path) as connection:
        spec = json.loads(connection.execute(sql).fetchone()[0])
    spec["resources"][0]["template"]["data"]["key-1"] = "another"
    spec["resources"][1]["template"]["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/app:next"
    head = {"apiVersion": metadata.DEFINITION_API_VERSION, "kind": metadata.DEFINITION_KIND}
    file = folder / "def-0000.json"
    file.write_text(json.dumps({**head, "metadata": {"name": "def-0000"}, "spec": spec}))
    return file


def _figures(name: str, command: list[str], floor: float, told: str) -> list[Figure]:
    found = _median(command)
    return [
        Figure(name, found.seconds, "s", found.seconds / floor, "python -c 'import sqlite3'"),
        Figure(f"{name}.cpu", found.cpu, f"s of CPU {told}"),
        Figure(f"{name}.rss_mb", found.megabytes, "MB"),
    ]


def _median(command: list[str]) -> _Run:
    """Each figure's own median; the first run warms the files."""
    runs = [run(command) for _ in range(RUNS + 1)][1:]
    middle = RUNS // 2
    return _Run(
        sorted(run.seconds for run in runs)[middle],
        sorted(run.cpu for run in runs)[middle],
        max(run.megabytes for run in runs),
    )


def run(command: list[str]) -> _Run:
    """Exit code 2 is an answer: there is a difference, an instance is not ready."""
    starter = [sys.executable, "-S", "-E", "-c", _STARTER, *command]
    started = subprocess.run(starter, capture_output=True, check=True)
    code, seconds, cpu, kilobytes = json.loads(started.stdout)
    if code not in (0, 2):
        raise SystemExit(f"history: {' '.join(command)} ended with {code}: {started.stderr.decode()}")
    return _Run(seconds, cpu, kilobytes / 1024)
