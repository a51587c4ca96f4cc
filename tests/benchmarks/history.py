"""Questions to a large log, each as a process of its own from start to exit, beside a Python that only imports sqlite3.

``EVENTS=5000000 DEFINITIONS=1500`` make the log of the targets; ``LOG=path`` keeps it and takes it again.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from kro_es.events import types as e
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from tests.benchmarks.figures import Figure

EVENTS, DEFINITIONS, REVISIONS, SPEC_BYTES = 50_000, 30, 10, 60_000
INSTANCES, CHILDREN, BATCH, RUNS = 2_000, 2, 1_000, 5
CONTROLLER, KUBELET = e.Actor("kro-es", "controller"), e.Actor("kube-controller-manager", "manager")
START = 1_772_442_000_000_000
QUESTIONS = {
    "log": ("log", "--limit", "50"),
    "log.instance": ("log", "app/app-0007", "--limit", "50"),
    "why": ("why", "configmap/app-0007-n0", "data.value"),
    "blame": ("blame", "configmap/app-0007-n0"),
    "graph": ("graph", "app/app-0007", "--at", "{middle}"),
    "rollouts": ("rollouts", "def-0000"),
    "revisions": ("revisions", "def-0000"),
}


class _Log:
    """Events of a fleet that is edited and healed at random, always the same ones."""

    def __init__(self, definitions: int) -> None:
        self._random = random.Random(20260302)
        self._now, self._version = START, 1000
        self.position = 0
        self._definitions = definitions
        self._decided: dict[int, int] = {}

    def events(self) -> Iterator[e.NewEvent]:
        for number in range(self._definitions):
            for revision in range(1, REVISIONS + 1):
                yield from self._revision(number, revision)
        for number in range(INSTANCES):
            yield self._seen("kro.run", "App", f"app-{number:04d}", self._instance(number, 1), "added")
        yield from self._pass(7, 0)
        for turn in range(1, 10**9):
            yield from self._pass(self._random.randrange(INSTANCES), turn)

    def _new(
        self, stream: str, body: e.Body, subject: e.Subject, actor: e.Actor = CONTROLLER, **more: Any
    ) -> e.NewEvent:
        self._now += 900
        self.position += 1
        return e.NewEvent(stream, body, subject, actor, self._now, **more)

    def _revision(self, number: int, revision: int) -> Iterator[e.NewEvent]:
        name, uid = f"def-{number:04d}", f"uid-def-{number:04d}"
        resources = [
            {"id": f"n{i}", "template": {"kind": "ConfigMap", "data": {"value": self._random.randbytes(500).hex()}}}
            for i in range(SPEC_BYTES // 1060)
        ]
        kind = "App" if number == 0 else f"App{number}"
        spec = {"schema": {"kind": kind, "apiVersion": "v1alpha1"}, "resources": resources, "revision": revision}
        subject = e.Subject("kro.run", "ResourceGraphDefinition", "", name, uid)
        issued = e.RevisionIssued(
            uid, name, revision, spec, f"{number:08x}{revision:08x}", revision, ("n0",), "kro.run", "v1alpha1", kind,
            f"{kind.lower()}s", "kro-es", "d",
        )  # fmt: skip
        yield self._new(f"definition/{uid}", issued, subject, e.Actor("kubectl", "manager"))
        yield self._new(
            f"definition/{uid}", e.RevisionActivated(uid, name, revision, 0), subject, cause=self.position,
            correlation=f"rollout/{name}/{revision}",
        )  # fmt: skip

    def _instance(self, number: int, generation: int) -> dict[str, Any]:
        meta = {
            "name": f"app-{number:04d}", "namespace": "bench", "uid": f"uid-app-{number:04d}", "generation": generation,
            "labels": {"kro.run/resource-graph-definition-id": "uid-def-0000"},
        }  # fmt: skip
        return {"apiVersion": "kro.run/v1alpha1", "kind": "App", "metadata": meta, "spec": {"value": generation}}

    def _child(self, number: int, node: int, value: str) -> dict[str, Any]:
        labels = {
            "applyset.kubernetes.io/part-of": f"applyset-{number}", "kro.run/instance-id": f"uid-app-{number:04d}",
            "kro.run/node-id": f"n{node}", "kro.run/instance-kind": "App", "kro.run/instance-name": f"app-{number:04d}",
        }  # fmt: skip
        name = f"app-{number:04d}-n{node}"
        meta = {"name": name, "namespace": "bench", "uid": f"uid-{name}", "labels": labels}
        data = {"value": value, **{f"key-{i}": f"value {i} of {name}" for i in range(12)}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}

    def _seen(self, group: str, kind: str, name: str, obj: dict[str, Any], change: Any, **more: Any) -> e.NewEvent:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        subject = e.Subject(group, kind, "bench", name, obj["metadata"]["uid"])
        actor = more.pop("actor", e.Actor("argocd", "manager"))
        return self._new(
            f"object/{group}/{kind}/bench/{name}", e.ObjectObserved(obj, change), subject, actor,
            resource_version=self._version, event_id=f"{self._version:032x}", **more,
        )  # fmt: skip

    def _pass(self, number: int, turn: int) -> Iterator[e.NewEvent]:
        """An edit, the decision, two applies with their answers, and the instance settles."""
        name, uid = f"app-{number:04d}", f"uid-app-{number:04d}"
        generation = self._decided.get(number, 1) + 1
        self._decided[number] = generation
        edit = self._seen("kro.run", "App", name, self._instance(number, generation), "modified")
        yield edit
        cause, subject = self.position, edit.subject
        revision = 1 + turn * REVISIONS // 1_000_000 % REVISIONS
        writes = tuple(
            e.Write(i, "apply", "", "v1", "ConfigMap", "bench", f"{name}-n{i}", "", "kro.run/applyset", f"n{i}", "d")
            for i in range(CHILDREN)
        )
        nodes = tuple(e.NodeReport(f"n{i}", "SYNCED") for i in range(CHILDREN))
        decided = e.ReconcileDecided(
            self._now, cause, (e.Input(edit.stream, generation, cause),), writes, nodes, revision, "uid-def-0000",
            "kro-es", "IN_PROGRESS",
        )  # fmt: skip
        stream, rollout = f"instance/{uid}", f"rollout/def-0000/{revision}"
        yield self._new(stream, decided, subject, cause=cause, correlation=rollout)
        intent = self.position
        for i in range(CHILDREN):
            child = self._child(number, i, str(turn))
            yield self._seen(
                "", "ConfigMap", f"{name}-n{i}", child, "response", cause=intent, correlation=rollout,
                actor=e.Actor("kro.run/applyset", "controller"),
            )  # fmt: skip
            applied = e.ResourceApplied(intent, i, f"n{i}", "d", "o", "f", None, created=False, changed=True)
            of = e.Subject("", "ConfigMap", "bench", f"{name}-n{i}", f"uid-{name}-n{i}")
            yield self._new(stream, applied, of, cause=intent, correlation=rollout)
        settled = e.InstanceSettled("uid-def-0000", revision, generation, "ACTIVE", ready=True)
        yield self._new(stream, settled, subject, cause=intent, correlation=rollout)


def write_log(path: Path, events: int, definitions: int) -> None:
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="bench")
    log.issue_fence()
    made = islice(_Log(definitions).events(), events)
    began, done = time.monotonic(), 0
    while batch := list(islice(made, BATCH)):
        log.append(batch, now=batch[-1].occurred_at)
        done += len(batch)
        if done % 100_000 < BATCH:
            print(f"history: {done} of {events} events, {done / (time.monotonic() - began):.0f}/s", flush=True)
    engine.dispose()


def history() -> list[Figure]:
    events = int(os.environ.get("EVENTS", EVENTS))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(os.environ.get("LOG", f"{folder}/log.db"))
        if not path.exists():
            write_log(path, events, int(os.environ.get("DEFINITIONS", DEFINITIONS)))
        with sqlite3.connect(path) as connection:
            head = connection.execute("SELECT position FROM log_head").fetchone()[0]
        floor = _median([sys.executable, "-c", "import sqlite3"])
        asked = [sys.executable, "-m", "kro_es.cli.history", "--database", f"sqlite:///{path}", "--utc", "--no-pager"]
        figures = []
        for name, question in QUESTIONS.items():
            words = [word.format(middle=head // 2) for word in question]
            seconds = _median([*asked, *words])
            figures.append(Figure(f"history.{name}", seconds, "s", seconds / floor, "python -c 'import sqlite3'"))
        return figures


def _median(command: list[str]) -> float:
    """Seconds of a whole process; the first run warms the files."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[RUNS // 2]
