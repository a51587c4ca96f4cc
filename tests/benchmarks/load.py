"""The shared load harness on a fresh control plane: kro-es, the unavoidable writes alone, and a kro binary beside it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.database import Measured, measured
from tests.benchmarks.figures import Figure
from tests.support.controlplane import ControlPlane
from tests.support.operator import free_port

HARNESS = Path(__file__).parents[3] / "shared" / "harness"
CRDS = Path(__file__).parents[2] / "deploy" / "crds"
SIZES = {"single": 500, "chain": 300, "app": 100, "collection": 5}
"""Instances per workload; ``LOAD=single:100,chain:50`` runs others."""
FLOORS = {"single": (1, 1), "chain": (3, 3), "app": (5, 3), "collection": (100, 1)}
"""Children and waves of each workload, which the floor writes as ConfigMaps."""
KRO_TUNED = [
    *(f"--{name}-concurrent-reconciles=10" for name in ("dynamic-controller", "graph-revision", "resource-graph-definition")),
    "--client-qps=1000", "--client-burst=2000",
    "--dynamic-controller-rate-limiter-rate-limit=1000", "--dynamic-controller-rate-limiter-burst-limit=2000",
]  # fmt: skip


def load() -> list[Figure]:
    """Figures per workload; none, with a line that says so, where the harness is not there.

    ``LOAD_KRO=/path/to/kro`` measures that binary too, tuned, each workload on a control plane of its own; ratios
    are then of one run. ``LOAD_OUTPUT=folder`` keeps what the harness wrote. The log is where ``BENCH_DATABASE`` says.
    """
    if not (HARNESS / "load.py").exists():
        print(f"load: skipped, there is no {HARNESS}")
        return []
    chosen = os.environ.get("LOAD")
    sizes = {k: int(v) for k, _, v in (part.partition(":") for part in chosen.split(","))} if chosen else SIZES
    kro = os.environ.get("LOAD_KRO")
    figures = []
    for workload, count in sizes.items():
        prefix = f"load.{workload}.{count}"
        with ControlPlane() as plane, measured(prefix) as database:
            floor = _floor(plane, workload, count)
            found = _run(plane, _own(database), workload, count, "kro-es")
        beside = None
        if kro:
            with ControlPlane() as plane:
                beside = _run(plane, [kro, *KRO_TUNED], workload, count, "kro")
        figures += [*_figures(prefix, found, floor, beside), *database.figures]
    return figures


def _own(database: Measured) -> list[str]:
    address = f"127.0.0.1:{free_port()}"
    where = ("--health-address", address, "--metrics-address", address)
    return [sys.executable, "-m", "kro_es.cli.operator", *database.arguments, *where]


def _run(plane: ControlPlane, operator: list[str], workload: str, count: int, label: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "load.json"
        command = [
            sys.executable, str(HARNESS / "load.py"), "--kubeconfig", str(plane.kubeconfig("admin")),
            "--operator-kubeconfig", str(plane.kubeconfig("controller")), "--operator-user", "controller",
            "--audit-log", str(plane.audit.path), "--operator", shlex.join(operator), "--crds", str(CRDS),
            "--workload", workload, "--instances", str(count), "--output", str(output), "--idle", "10",
            "--label", label, *(part for pid in plane.pids for part in ("--also-pid", str(pid))),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not output.exists():
            raise SystemExit(f"load: {workload} failed\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        keep = os.environ.get("LOAD_OUTPUT")
        if keep:
            log = Path(f"{output}.log")
            Path(keep, f"{label}-{workload}-{count}.json").write_text(output.read_text())
            Path(keep, f"{label}-{workload}-{count}.log").write_text(log.read_text() if log.exists() else done.stdout)
        found: dict[str, Any] = json.loads(output.read_text())
        return found


def _floor(plane: ControlPlane, workload: str, count: int) -> float:
    """Seconds for the unavoidable writes on the same control plane, just before."""
    children, waves = FLOORS[workload]
    command = [
        sys.executable, str(HARNESS / "floor.py"), "--kubeconfig", str(plane.kubeconfig("admin")),
        "--instances", str(count), "--children", str(children), "--waves", str(waves), "--workers", "10",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r'"?wall_s"?[^0-9]*([0-9.]+)', done.stdout) or re.search(r"([0-9.]+) ?s", done.stdout)
    if found is None:
        raise SystemExit(f"load: cannot read the floor: {done.stdout!r}")
    return float(found.group(1))


def _figures(prefix: str, found: dict[str, Any], floor: float, beside: dict[str, Any] | None) -> list[Figure]:
    figures = [Figure(f"{prefix}.floor", floor, "s")]
    for phase, figure in found["phases"].items():
        other = beside["phases"].get(phase, {}) if beside else {}
        for key, unit in (("wall_s", "s"), ("settled_s", "s"), ("requests", "requests"), ("cpu_s", "s")):
            value = figure.get(key)
            if value is None:
                continue
            name = f"{prefix}.{phase}.{key}"
            if other.get(key):
                figures.append(Figure(name, value, unit, value / other[key], f"kro's {other[key]} {unit}"))
            else:
                figures.append(Figure(name, value, unit))
    figures += [
        Figure(f"{prefix}.create.of_the_floor", found["phases"]["create"]["wall_s"] / floor, "times"),
        Figure(f"{prefix}.rss_peak", max(p.get("rss_peak_mib") or 0 for p in found["phases"].values()), "MiB"),
        Figure(f"{prefix}.notes", len(found.get("notes") or ()), "complaints"),
    ]
    return figures
