"""kro-history rollback on a real API server: every kind of it, what it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kro_es.errors import UserError
from kro_es.history import rollback, targets
from kro_es.history.source import open_history
from tests.conftest import Cluster
from tests.support.incident import write_incident
from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, eventually, faults, instance


@pytest.fixture
def steps(cluster: Cluster, operator: Operator) -> Iterator[Steps]:
    yield Steps(cluster)
    cluster.kubectl("delete", "tones", "--all", "-n", cluster.namespace, "--timeout=30s")
    cluster.kubectl("delete", "rgd", "--all", "--timeout=30s")
    cluster.kubectl("delete", "crd", "tones.kro.run", "--timeout=30s")


def _tone(value: str, *more: dict[str, Any], spec: dict[str, str] | None = None) -> dict[str, Any]:
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"tone": value, "x": "${schema.spec.x}"})
    return definition("tones", "Tone", {"x": "string | default=y", **(spec or {})}, cfg, *more)


def _extra() -> dict[str, Any]:
    return config_map("extra", "${schema.metadata.name}-extra", {"only": "here"})


def _history(operator: Operator, *args: str, database: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", database or operator.database, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=90)


def _rollback(steps: Steps, operator: Operator, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    config = str(steps.cluster.kubeconfig("admin"))
    return _history(operator, "rollback", *args, "--reason", "it was better", "--kubeconfig", config, **more)


def _rolled(steps: Steps, *edits: dict[str, Any], names: tuple[str, ...] = ("a", "b")) -> None:
    """Instances of the first definition, then every edit rolled out."""
    for number, edit in enumerate(edits, 1):
        steps.apply(edit)
        eventually(
            lambda: steps.active("tones")["status"].get("lastIssuedRevision"),
            lambda found, wanted=number: found == wanted,
            f"revision {number}",
        )
        if number == 1:
            steps.apply(*(instance("Tone", name, {}) for name in names))
        for name in names:
            steps.ready("tone", name)


def test_objects_the_old_revision_lacks_are_deleted_only_when_that_is_named(steps: Steps, operator: Operator) -> None:
    _rolled(steps, _tone("low"), _tone("low", _extra()))
    eventually(lambda: steps.get("cm", "b-extra"), bool, "extra object")

    refused = _rollback(steps, operator, "tones", "--to", "1", "--yes")
    assert refused.returncode == 1
    assert "2 instance(s): 0 created, 0 updated, 2 deleted" in refused.stdout
    assert "--accept deletes-objects" in refused.stderr
    assert steps.get("cm", "b-extra")

    done = _rollback(steps, operator, "tones", "--to", "1", "--yes", "--accept", "deletes-objects")
    assert done.returncode == 0, done.stderr
    assert "revision 3: 2 done, 0 failed, 0 to go" in done.stderr
    assert not steps.get("cm", "a-extra")
    assert not steps.get("cm", "b-extra")
    assert faults(operator.database) == []


def test_a_breaking_schema_is_named_and_put_back_only_when_accepted(steps: Steps, operator: Operator) -> None:
    _rolled(steps, _tone("low"), _tone("high", spec={"volume": "integer | default=3"}), names=("a",))

    refused = _rollback(steps, operator, "tones", "--to", "1", "--yes")
    assert refused.returncode == 1
    assert "Property volume was removed" in refused.stdout
    assert "--accept breaking-change" in refused.stderr

    done = _rollback(steps, operator, "tones", "--to", "1", "--yes", "--accept", "breaking-change")
    assert done.returncode == 0, done.stderr
    assert steps.get("cm", "a-cfg")["data"]["tone"] == "low"


def test_a_rollback_that_fails_says_for_whom_and_names_the_way_back(steps: Steps, operator: Operator) -> None:
    broken = config_map("extra", "${schema.metadata.name}-extra", {"not a key!": "x"})
    steps.apply(_tone("low", broken))
    steps.active("tones")
    steps.apply(instance("Tone", "a", {}))
    eventually(lambda: steps.get("tone", "a").get("status", {}).get("state"), lambda s: s == "ERROR", "refused")
    steps.apply(_tone("high"))
    eventually(lambda: steps.get("cm", "a-cfg").get("data", {}).get("tone"), lambda t: t == "high", "mended")
    steps.ready("tone", "a")

    done = _rollback(steps, operator, "tones", "--to", "1", "--yes")
    assert done.returncode == 2, done.stderr
    assert "1 failed" in done.stderr
    assert f"{steps.cluster.namespace}/a" in done.stderr
    assert "--to 2" in done.stderr
    back = _rollback(steps, operator, "tones", "--to", "2", "--yes", "--accept", "deletes-objects")
    assert back.returncode == 0, back.stderr


def test_one_instance_gets_its_old_spec_back_and_everyone_can_see_why(steps: Steps, operator: Operator) -> None:
    _rolled(steps, _tone("low"))
    before = json.loads(_history(operator, "sql", "SELECT max(position) AS p FROM v_events", "-o", "json").stdout)
    time.sleep(0.05)  # the next event has a later millisecond: a time names the state before it
    steps.apply(instance("Tone", "a", {"x": "loud"}))
    eventually(lambda: steps.get("cm", "a-cfg")["data"]["x"], lambda x: x == "loud", "edited")
    steps.ready("tone", "a")

    where = ("tone/a", "-n", steps.cluster.namespace, "--to", str(before[0]["p"]))
    plan = _rollback(steps, operator, *where, "--dry-run")
    assert plan.returncode == 2, plan.stderr
    assert '- x: "loud"' in plan.stdout
    assert "data.x: loud → y" in plan.stdout
    done = _rollback(steps, operator, *where, "--yes")
    assert done.returncode == 0, done.stderr
    assert steps.get("cm", "a-cfg")["data"]["x"] == "y"
    assert steps.get("cm", "b-cfg")["data"]["x"] == "y"

    asked = ("why", "cm/a-cfg", "data.x", "-n", steps.cluster.namespace, "-o", "json")
    chain = json.loads(_history(operator, *asked).stdout)["chain"]
    first = (chain[0]["type"], chain[0]["actor"], chain[0]["known_by"])
    assert first == ("command.instance_rollback", "admin", "cli"), chain
    assert "it was better" in chain[0]["summary"]
    again = _rollback(steps, operator, *where, "--yes")
    assert (again.returncode, "no difference" in again.stdout) == (0, True)
    assert faults(operator.database) == []


def test_an_edit_after_the_plan_stops_the_rollback(steps: Steps, operator: Operator) -> None:
    _rolled(steps, _tone("low"), _tone("high"), names=("a",))
    history = open_history(operator.database, time.time_ns() // 1000)
    where = rollback.Where(str(steps.cluster.kubeconfig("admin")), None)
    target = targets.find(history, "tones")

    made = asyncio.run(rollback.planned(history, target, "1", where))
    steps.apply(_tone("other"))
    eventually(lambda: steps.get("cm", "a-cfg")["data"]["tone"], lambda tone: tone == "other", "edited")
    with pytest.raises(UserError, match="changed since the plan was made: nothing was changed"):
        asyncio.run(rollback.carry_out(history, made, "r", where, breaking=False))
    assert steps.get("cm", "a-cfg")["data"]["tone"] == "other"


def test_the_log_of_another_cluster_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    database = write_incident(f"sqlite:///{tmp_path}/log.db")
    config = str(cluster.kubeconfig("admin"))
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", database, "rollback", "webshop", "--to", "3"]
    flags = ["--reason", "r", "--yes", "--kubeconfig", config]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "this log is of cluster 11111111-2222-4333-8444-555555555555, the kubeconfig leads to" in done.stderr
