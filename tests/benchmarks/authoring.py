"""kro-es validate: how long it takes to start, and what each of 200 definitions in a folder costs after that."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Figure

DEFINITIONS, RUNS = 200, 7
SEEDS = sorted((Path(__file__).resolve().parents[2] / "deploy" / "examples").glob("*/definition.yaml"))
RESOURCES, FIELDS = 50, 6


def _folder(root: Path, count: int) -> Path:
    """Copies of the examples, each with a name and a kind of its own."""
    folder = root / str(count)
    folder.mkdir()
    for number in range(count):
        seed = SEEDS[number % len(SEEDS)].read_text()
        name = seed.partition("\nmetadata:\n  name: ")[2].partition("\n")[0]
        kind = seed.partition("\n    kind: ")[2].partition("\n")[0]
        text = seed.replace(f"  name: {name}\n", f"  name: {name}-{number}\n", 1)
        (folder / f"{number}.yaml").write_text(text.replace(f"    kind: {kind}\n", f"    kind: {kind}{number}\n", 1))
    return folder


def large(root: Path) -> Path:
    """One definition of 50 resources with 6 expressions each."""
    lines = ["apiVersion: kro.run/v1alpha1", "kind: ResourceGraphDefinition", "metadata: {name: large}", "spec:"]
    lines += ["  schema: {apiVersion: v1alpha1, kind: Large, spec: {name: string, size: integer}}", "  resources:"]
    for number in range(RESOURCES):
        before = f"r{number - 1}.data.f0" if number else "schema.spec.name"
        lines += [f"  - id: r{number}", "    template:", "      apiVersion: v1", "      kind: ConfigMap"]
        lines += [f'      metadata: {{name: "${{schema.metadata.name}}-{number}"}}', "      data:"]
        lines += [
            f"        f{field}: ${{{before} + '-' + string(schema.spec.size + {field})}}" for field in range(FIELDS - 1)
        ]
    folder = root / "large"
    folder.mkdir()
    (folder / "large.yaml").write_text("\n".join(lines) + "\n")
    return folder


def _seconds(*arguments: str) -> tuple[float, float]:
    """Wall clock and processor time, each the best of some runs: the machine has other work."""
    walls, processor = [], []
    for _ in range(RUNS):
        began, before = time.perf_counter(), _processor()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        walls.append(time.perf_counter() - began)
        processor.append(_processor() - before)
    return min(walls), min(processor)


def _processor() -> float:
    """Of the programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def authoring() -> list[Figure]:
    program = ("-m", "kro_es.cli.operator", "validate")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        empty = _seconds("-c", "pass")
        one = _seconds(*program, str(_folder(root, 1)))
        all_of_them = _seconds(*program, str(_folder(root, DEFINITIONS)))
        many = _seconds(*program, str(large(root)))
    return [
        Figure("authoring.start", one[0] * 1000, "ms", one[0] / empty[0], "an empty Python program"),
        Figure("authoring.start_cpu", one[1] * 1000, "ms", one[1] / empty[1], "an empty Python program"),
        Figure("authoring.validate_each", (all_of_them[0] - one[0]) * 1000 / (DEFINITIONS - 1), "ms"),
        Figure("authoring.validate_each_cpu", (all_of_them[1] - one[1]) * 1000 / (DEFINITIONS - 1), "ms"),
        Figure("authoring.large_cpu", (many[1] - one[1]) * 1000, "ms"),
    ]
