"""The shared load harness on a fresh control plane, and the floor beside it: the unavoidable writes and nothing else."""

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

from tests.benchmarks.figures import Figure
from tests.support.controlplane import ControlPlane
from tests.support.operator import free_port

HARNESS = Path(__file__).parents[3] / "shared" / "harness"
CRDS = Path(__file__).parents[2] / "deploy" / "crds"
SIZES = {"single": 500, "chain": 300, "app": 100, "collection": 5}
"""Instances per workload; ``LOAD=single:100,chain:50`` runs others."""
FLOORS = {"single": (1, 1), "chain": (3, 3)}
"""Children and waves of the workloads whose floor is a matter of ConfigMaps alone."""


def load() -> list[Figure]:
    """Figures per workload; none, with a line that says so, where the harness is not there."""
    if not (HARNESS / "load.py").exists():
        print(f"load: skipped, there is no {HARNESS}")
        return []
    chosen = os.environ.get("LOAD")
    sizes = {k: int(v) for k, _, v in (part.partition(":") for part in chosen.split(","))} if chosen else SIZES
    figures = []
    for workload, count in sizes.items():
        figures += _run(workload, count)
    return figures


def _run(workload: str, count: int) -> list[Figure]:
    with ControlPlane() as plane, tempfile.TemporaryDirectory() as folder:
        floor = _floor(plane, workload, count)
        output = Path(folder) / "load.json"
        address = f"127.0.0.1:{free_port()}"
        operator = [
            sys.executable, "-m", "kro_es.cli.operator", "run", "--database", f"sqlite:///{folder}/log.db",
            "--health-address", address, "--metrics-address", address,
        ]  # fmt: skip
        command = [
            sys.executable, str(HARNESS / "load.py"), "--kubeconfig", str(plane.kubeconfig("admin")),
            "--operator-kubeconfig", str(plane.kubeconfig("controller")), "--operator-user", "controller",
            "--audit-log", str(plane.audit.path), "--operator", shlex.join(operator), "--crds", str(CRDS),
            "--workload", workload, "--instances", str(count), "--output", str(output), "--idle", "10",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not output.exists():
            raise SystemExit(f"load: {workload} failed\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        found = json.loads(output.read_text())
        keep = os.environ.get("LOAD_OUTPUT")
        if keep:
            Path(keep, f"{workload}-{count}.json").write_text(output.read_text())
            log = Path(f"{output}.log")
            Path(keep, f"{workload}-{count}.log").write_text(log.read_text() if log.exists() else done.stdout)
    return _figures(f"load.{workload}.{count}", found, floor)


def _floor(plane: ControlPlane, workload: str, count: int) -> float | None:
    """Seconds for the unavoidable writes on the same control plane, just before."""
    if workload not in FLOORS:
        return None
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


def _figures(prefix: str, found: dict[str, Any], floor: float | None) -> list[Figure]:
    figures = []
    phases = found["phases"]
    for phase in phases if isinstance(phases, list) else [{"phase": k, **v} for k, v in phases.items()]:
        name = f"{prefix}.{phase.get('phase') or phase.get('name')}"
        for key, unit in (("wall_s", "s"), ("settled_s", "s"), ("requests", "requests"), ("cpu_s", "s")):
            value = phase.get(key)
            if isinstance(value, dict):
                value = value.get("total")
            if isinstance(value, int | float):
                ratio = value / floor if floor and name.endswith(".create") and key == "wall_s" else None
                figures.append(Figure(f"{name}.{key}", value, unit, ratio, "the floor" if ratio else ""))
    figures += [Figure(f"{prefix}.notes", len(found.get("notes") or ()), "complaints")]
    return figures
