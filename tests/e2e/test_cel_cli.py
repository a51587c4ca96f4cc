"""kro-es cel check with the schemas of a cluster."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import Cluster


@pytest.mark.parametrize(
    ("text", "code", "shown"),
    [
        ('deployment.status.readyReplicas > 0 && svc.spec.ports.exists(p, p.name == "http")', 0, "bool"),
        ("deployment.metadata.creationTimestamp", 0, "google.protobuf.Timestamp"),
        ("svc.spec.clusterIp", 1, "undefined field 'clusterIp'"),
    ],
)
def test_expressions_are_checked_against_what_the_cluster_serves(
    cluster: Cluster, text: str, code: int, shown: str
) -> None:
    schemas = ("--schema", "apps/v1/Deployment", "--schema", "svc=v1/Service", "--from-cluster")
    command = [sys.executable, "-m", "kro_es.cli.operator", "cel", "check", text, *schemas]
    found = subprocess.run(
        [*command, "--kubeconfig", str(cluster.kubeconfig())], capture_output=True, text=True, timeout=60
    )
    assert found.returncode == code
    assert shown in (found.stderr if code else found.stdout)


def test_a_kind_nobody_serves_is_named(cluster: Cluster) -> None:
    command = [
        sys.executable,
        "-m",
        "kro_es.cli.operator",
        "cel",
        "check",
        "x",
        "--schema",
        "example.com/v1/Gone",
        "--from-cluster",
    ]
    found = subprocess.run(
        [*command, "--kubeconfig", str(cluster.kubeconfig())], capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert "example.com/v1, Kind=Gone" in found.stderr
