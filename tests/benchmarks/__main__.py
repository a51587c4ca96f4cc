"""``make bench``: runs the benchmarks and writes each one's figures to ``.bench/<name>.json``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.authoring import authoring
from tests.benchmarks.cel import cel
from tests.benchmarks.definitions import definitions
from tests.benchmarks.fairness import fairness
from tests.benchmarks.figures import Figure
from tests.benchmarks.history import history
from tests.benchmarks.instances import instances
from tests.benchmarks.latency import latency
from tests.benchmarks.load import load
from tests.benchmarks.log import log

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "authoring": authoring,
    "cel": cel,
    "history": history,
    "definitions": definitions,
    "fairness": fairness,
    "instances": instances,
    "latency": latency,
    "load": load,
    "log": log,
}


def main() -> None:
    wanted = os.environ.get("BENCH") or (sys.argv[1] if len(sys.argv) > 1 else "")
    if wanted and wanted not in BENCHMARKS:
        raise SystemExit(f"bench: no benchmark {wanted!r}; there are {', '.join(BENCHMARKS)}")
    folder = Path(".bench")
    folder.mkdir(exist_ok=True)
    for name, run in BENCHMARKS.items():
        if wanted in ("", name):
            figures = run()
            for figure in figures:
                print(figure, flush=True)
            (folder / f"{name}.json").write_text(json.dumps([figure.as_json() for figure in figures], indent=1) + "\n")


if __name__ == "__main__":
    main()
