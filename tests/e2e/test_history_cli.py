"""kro-history as a user runs it, on the log of a running controller: edit, look, roll back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, eventually, faults, instance


@pytest.fixture
def steps(cluster: Cluster, operator: Operator) -> Iterator[Steps]:
    yield Steps(cluster)
    cluster.kubectl("delete", "tones", "--all", "-n", cluster.namespace, "--timeout=30s")
    cluster.kubectl("delete", "rgd", "--all", "--timeout=30s")
    cluster.kubectl("delete", "crd", "tones.kro.run", "--timeout=30s")


def _tone(value: str) -> dict[str, object]:
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"tone": value})
    return definition("tones", "Tone", {"x": "string | default=y"}, cfg)


def _history(operator: Operator, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", operator.database, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def _json(operator: Operator, *args: str) -> Any:
    done = _history(operator, *args, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_edit_is_seen_explained_and_rolled_back(steps: Steps, operator: Operator) -> None:
    steps.apply(_tone("low"))
    steps.active("tones")
    steps.apply(instance("Tone", "t", {}))
    steps.ready("tone", "t")
    steps.apply(_tone("high"))
    eventually(lambda: steps.get("cm", "t-cfg")["data"]["tone"], lambda tone: tone == "high", "rolled")

    assert _json(operator, "diff", "tones@1", "tones@2") == [
        {"path": "resources[cfg].template.data.tone", "change": "changed", "old": "low", "new": "high"}
    ]
    config = str(steps.cluster.kubeconfig("admin"))
    options = ("--to", "1", "--reason", "too loud", "--kubeconfig", config)
    plan = _history(operator, "rollback", "tones", *options, "--dry-run")
    assert plan.returncode == 2, plan.stderr
    assert '- resources[cfg].template.data.tone: "high"' in plan.stdout
    assert "configmap t-cfg is updated" in plan.stdout.replace(f"{steps.cluster.namespace}/", "")
    assert "1 instance(s): 0 created, 1 updated, 0 deleted" in plan.stdout

    done = _history(operator, "rollback", "tones", *options, "--yes")
    assert done.returncode == 0, done.stderr
    assert "revision 3: 1 done, 0 failed, 0 to go" in done.stderr
    eventually(lambda: steps.get("cm", "t-cfg")["data"]["tone"], lambda tone: tone == "low", "rolled back")
    steps.active("tones")
    steps.ready("tone", "t")

    rollouts = "SELECT revision, instances, done FROM v_rollouts ORDER BY revision"
    expected = [{"revision": n, "instances": 1, "done": 1} for n in (1, 2, 3)]
    eventually(lambda: _json(operator, "sql", rollouts), lambda rows: rows == expected, "rollouts recorded as done")
    rows = _json(operator, "revisions", "tones")
    assert [(row["revision"], row["state"]) for row in rows] == [(1, "superseded"), (2, "superseded"), (3, "active")]
    assert (rows[2]["reason"], rows[2]["rolled_back_to"], rows[2]["actor_source"]) == ("too loud", 1, "cli")
    assert rows[0]["spec_hash"] == rows[2]["spec_hash"]
    timeline = _json(operator, "instance", "tone/t", "-n", steps.cluster.namespace)
    applied = [row for row in timeline if row["summary"] == "applied"]
    assert {row["correlation"] for row in applied} >= {"rollout/tones/2", "rollout/tones/3"}
    assert all("decided" in str(row["because"]) for row in applied)
    nodes = _json(operator, "graph", "tone/t")
    assert [(row["node"], row["state"], row["revision"]) for row in nodes] == [("cfg", "SYNCED", 3)]
    past = _json(operator, "graph", "tone/t", "--at", str(rows[1]["position"]))
    assert [row["revision"] for row in past] == [1]
    assert faults(operator.database) == []


@pytest.mark.parametrize(
    "sql", ["DELETE FROM events", "ATTACH 'x' AS y", "PRAGMA writable_schema=1", "CREATE TABLE t(x)"]
)
def test_sql_cannot_write(operator: Operator, sql: str) -> None:
    done = _history(operator, "sql", sql)
    assert done.returncode == 1
    assert "the database refused" in done.stderr


def test_an_unknown_name_is_told_with_what_there_is(operator: Operator) -> None:
    done = _history(operator, "revisions", "nope")
    assert done.returncode == 1
    assert "no definition 'nope' in this log" in done.stderr
