"""The log of the benchmarks: its events come from a seed alone, so that a figure can be had again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks.fleet import FLEETS, INSTANCES, REVISIONS, Fleet, digest
from tests.benchmarks.history import run

COUNT, DEFINITIONS = 12_000, 6


def test_the_same_numbers_give_the_same_events_in_every_process() -> None:
    told = f"from tests.benchmarks.fleet import Fleet, digest; print(digest(Fleet({COUNT}, {DEFINITIONS}).events()))"
    found = {
        subprocess.run(
            [sys.executable, "-c", told],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {digest(Fleet(COUNT, DEFINITIONS).events())}


def test_other_numbers_give_other_events() -> None:
    assert digest(Fleet(COUNT, DEFINITIONS).events()) != digest(Fleet(COUNT, DEFINITIONS + 1).events())


def test_every_cause_is_an_event_before_and_the_definitions_are_all_there() -> None:
    events = list(Fleet(60_000, DEFINITIONS).events())
    assert all(event.cause < position for position, event in enumerate(events, start=1))
    kinds = Counter(event.body.TYPE for event in events)
    assert kinds["revision.issued"] > (DEFINITIONS - FLEETS) * REVISIONS + FLEETS
    assert {"write.failed", "watch.gap", "instance.settled", "object.observed"} <= kinds.keys()
    assert kinds["reconcile.decided"] > 2 * INSTANCES


def test_the_memory_of_a_question_is_its_own() -> None:
    """Not what the benchmark had, which wrote the log."""
    large = bytearray(os.urandom(1) * 200_000_000)
    found = run([sys.executable, "-c", "import sqlite3"])
    assert 2 < found.megabytes < 60 < len(large) / 2**20
    with pytest.raises(SystemExit, match=r"ended with 3: .*said"):
        run([sys.executable, "-c", "import sys; print('said', file=sys.stderr); sys.exit(3)"])
