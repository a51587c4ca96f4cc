"""People, not programs: a controller that reads the API server's audit log names the user behind an edit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cluster
from tests.support.controlplane import ControlPlane
from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, eventually, faults, instance


@pytest.fixture
def auditing(cluster: Cluster, tmp_path: Path) -> Iterator[Operator]:
    if not isinstance(cluster.plane, ControlPlane):
        pytest.skip("the audit log of a given cluster is not at hand")
    arguments = ("run", "--database", f"sqlite:///{tmp_path}/log.db", "--install-crds")
    source = f"file:{cluster.plane.audit.path}"
    found = Operator(
        cluster.kubeconfig("controller"), tmp_path, arguments=(*arguments, "--audit-source", source)
    ).start()
    yield found
    found.stop()


@pytest.fixture
def steps(cluster: Cluster, auditing: Operator) -> Iterator[Steps]:
    yield Steps(cluster)
    cluster.kubectl("delete", "tones", "--all", "-n", cluster.namespace, "--timeout=30s")
    cluster.kubectl("delete", "rgd", "--all", "--timeout=30s")
    cluster.kubectl("delete", "crd", "tones.kro.run", "--timeout=30s")


def _asked(operator: Operator, *args: str) -> Any:
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", operator.database, *args, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_edit_of_a_child_and_of_the_definition_have_their_users(steps: Steps, auditing: Operator) -> None:
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"tone": "low"})
    steps.apply(definition("tones", "Tone", {"x": "string | default=y"}, cfg))
    steps.active("tones")
    steps.apply(instance("Tone", "t", {}))
    steps.ready("tone", "t")
    namespace = steps.cluster.namespace
    steps.cluster.kubectl("patch", "cm", "t-cfg", "-n", namespace, "--type=merge", "-p", '{"data":{"tone":"loud"}}')
    eventually(lambda: steps.get("cm", "t-cfg")["data"]["tone"], lambda tone: tone == "low", "healed")

    revisions = eventually(
        lambda: _asked(auditing, "revisions", "tones"), lambda rows: rows[0]["actor_source"] == "audit", "user known"
    )
    assert [row["actor"] for row in revisions] == ["admin"]
    (row,) = _asked(auditing, "rollouts", "tones")
    assert (row["actor"], row["actor_source"]) == ("admin", "audit")
    drift = eventually(
        lambda: _asked(auditing, "drift", "cm/t-cfg", "-n", namespace),
        lambda rows: rows[0]["actor_source"].startswith("audit"),
        "hand in the child known",
    )
    # Secrets and other children are audited without their bodies: object, verb and time have to do
    assert [(row["path"], row["actor"], row["actor_source"]) for row in drift] == [
        ("data.tone", "admin", "audit-by-time")
    ]
    link = _asked(auditing, "why", "cm/t-cfg", "data.tone", "-n", namespace)["chain"][0]
    assert (link["actor"], link["note"]) == ("admin", "inferred: by the audit log the only write of it at that time")
    (matched,) = _asked(auditing, "log", "--type", "audit.matched", "--kind", "tone")
    assert matched["actor"] == "admin"
    assert faults(auditing.database) == []
