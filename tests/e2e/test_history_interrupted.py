"""Ctrl-C on a real terminal in every part of a rollback on a real API server, and how it goes on afterwards."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, eventually, faults, instance
from tests.support.terminal import Terminal

NAMES = ("a", "b")


@pytest.fixture
def steps(cluster: Cluster, operator: Operator) -> Iterator[Steps]:
    yield Steps(cluster)
    cluster.kubectl("delete", "pitches", "--all", "-n", cluster.namespace, "--timeout=30s")
    cluster.kubectl("delete", "rgd", "--all", "--timeout=30s")
    cluster.kubectl("delete", "crd", "pitches.kro.run", "--timeout=30s")


def _pitch(tone: str) -> dict[str, Any]:
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"tone": tone, "x": "${schema.spec.x}"})
    return definition("pitches", "Pitch", {"x": "string | default=y"}, cfg)


def _command(steps: Steps, operator: Operator, *args: str) -> list[str]:
    own = [sys.executable, "-m", "kro_es.cli.history", "--database", operator.database, "rollback", "pitches"]
    return [*own, *args, "--reason", "too high", "--kubeconfig", str(steps.cluster.kubeconfig("admin"))]


def _pause(operator: Operator) -> None:
    """Not in the middle of a commit, which would keep everybody else from writing."""

    def paused() -> bool:
        operator.pause()
        try:
            with sqlite3.connect(operator.file, timeout=0.1, isolation_level=None) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            operator.go_on()
            return False
        return True

    eventually(paused, bool, "paused")


def _tones(steps: Steps) -> list[tuple[str, str]]:
    data = [steps.get("cm", f"{name}-cfg")["data"] for name in NAMES]
    return [(one["tone"], one["x"]) for one in data]


def _asked_for(operator: Operator) -> int:
    with sqlite3.connect(operator.file) as connection:
        (count,) = connection.execute("SELECT count(*) FROM v_events WHERE type LIKE 'command.%'").fetchone()
    return int(count)


def test_a_rollback_stopped_anywhere_says_what_was_done_and_goes_on(steps: Steps, operator: Operator) -> None:
    steps.apply(_pitch("low"))
    steps.active("pitches")
    steps.apply(*(instance("Pitch", name, {}) for name in NAMES))
    for name in NAMES:
        steps.ready("pitch", name)
    with sqlite3.connect(operator.file) as connection:
        (position,) = connection.execute("SELECT position FROM log_head").fetchone()
    steps.apply(_pitch("high"), *(instance("Pitch", name, {"x": "loud"}) for name in NAMES))
    eventually(lambda: _tones(steps), lambda found: found == [("high", "loud")] * 2, "rolled out")
    for name in NAMES:
        steps.ready("pitch", name)

    everything = ("--to", str(position), "--with-instances")
    with Terminal(_command(steps, operator, *everything)) as asked:
        asked.until("Write it? [y/N]")
        assert asked.give_up() == 130
    assert "stopped" in asked.text
    assert _asked_for(operator) == 0

    _pause(operator)
    with Terminal(_command(steps, operator, *everything, "--yes")) as writing:
        eventually(lambda: _asked_for(operator), lambda count: count == 1, "definition written")
        eventually(
            lambda: steps.get("rgd", "pitches")["spec"]["resources"][0]["template"]["data"]["tone"],
            lambda tone: tone == "low",
            "definition written",
        )
        writing.interrupt()
        assert writing.end() == 130
    # the server may have it before its answer is here
    told = r"stopped.*; done: (nothing|resourcegraphdefinition pitches); not done: .*pitch \S+/a, pitch \S+/b\."
    assert re.search(told, writing.text), writing.text
    assert "The same command again goes on where this ended" in writing.text
    assert "Traceback" not in writing.text
    assert _tones(steps) == [("high", "loud")] * 2
    operator.go_on()
    eventually(lambda: _tones(steps), lambda found: found == [("low", "loud")] * 2, "the definition took effect")
    for name in NAMES:
        steps.ready("pitch", name)

    done = subprocess.run(
        _command(steps, operator, *everything, "--yes"), capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, "2 done, 0 failed, 0 to go" in done.stderr) == (0, True), done.stderr
    assert _tones(steps) == [("low", "y")] * 2
    assert _asked_for(operator) == 3

    _pause(operator)
    with Terminal(_command(steps, operator, "--to", "2", "--yes")) as watching:
        watching.until("0 done, 0 failed, 2 to go")
        watching.interrupt()
        assert watching.end() == 130
    assert "not watched any more; the controller goes on with it" in watching.text
    operator.go_on()
    eventually(lambda: _tones(steps), lambda found: found == [("high", "y")] * 2, "it went on")
    assert faults(operator.database) == []
