"""Throughput of the whole line: 200 instances of one ConfigMap, from the first request to the last one ready."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks.figures import Figure
from tests.support.audit import by_verb
from tests.support.controlplane import ControlPlane
from tests.support.operator import Operator
from tests.support.steps import config_map, definition, instance

INSTANCES = 200


def _ready(plane: ControlPlane) -> int:
    items = json.loads(plane.kubectl("get", "benches", "-n", "default", "-o", "json"))["items"]
    conditions = ((item.get("status") or {}).get("conditions") or () for item in items)
    return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in found) for found in conditions)


def instances() -> list[Figure]:
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"v": "${schema.spec.v}"})
    with ControlPlane() as plane, tempfile.TemporaryDirectory() as folder:
        operator = Operator(plane.kubeconfig("controller"), Path(folder)).start()
        try:
            plane.kubectl(
                "apply", "-f", "-", stdin=json.dumps(definition("benches", "Bench", {"v": "string | default=x"}, cfg))
            )
            plane.kubectl("wait", "rgd/benches", "--for=condition=Ready", "--timeout=30s")
            process = psutil.Process(operator.pid)
            before, mark = process.cpu_times(), plane.audit.mark()
            many = {
                "apiVersion": "v1",
                "kind": "List",
                "items": [instance("Bench", f"b{n}", {}) for n in range(INSTANCES)],
            }
            began = time.perf_counter()
            plane.kubectl("create", "-n", "default", "-f", "-", stdin=json.dumps(many))
            created = time.perf_counter() - began
            while _ready(plane) < INSTANCES:
                time.sleep(0.1)  # asked from outside
            wall = time.perf_counter() - began
            after, memory = process.cpu_times(), process.memory_info().rss
            requests = [r for r in plane.audit.requests("controller", mark) if r.verb != "watch"]
        finally:
            operator.stop()
    figures = [
        Figure("instances.wall", wall, "s", wall / created, "kubectl create alone"),
        Figure("instances.cpu", after.user + after.system - before.user - before.system, "s"),
        Figure("instances.rss", memory / 2**20, "MiB"),
        Figure("instances.requests_each", len(requests) / INSTANCES, "requests"),
    ]
    return figures + [
        Figure(f"instances.{verb}", count, "requests") for verb, count in sorted(by_verb(requests).items())
    ]
