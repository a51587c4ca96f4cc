"""Fixtures of the tests on a running controller."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.replayed import differences
from tests.support.steps import Steps


@pytest.fixture(autouse=True)
def every_decision_is_made_again() -> Iterator[None]:
    """When a test and its controllers have ended: their logs give the decisions that are recorded in them."""
    before = len(Operator.made)
    yield
    logs = {operator.database: operator.redaction_key for operator in Operator.made[before:]}
    assert {log: found for log, key in logs.items() if key.exists() and (found := differences(log, key))} == {}


@pytest.fixture
def steps(cluster: Cluster, operator: Operator) -> Iterator[Steps]:
    """Definitions are cluster-scoped: those of the test are gone before the next test's controller starts."""
    yield Steps(cluster)
    cluster.kubectl("delete", "rgd", "--all", "--wait=true", "--timeout=30s")
    crds = json.loads(cluster.kubectl("get", "crd", "-l", "kro.run/owned=true", "-o", "json"))["items"]
    if crds:
        # one command for all of them: a test may have dozens
        kinds = ",".join(f"{crd['spec']['names']['plural']}.{crd['spec']['group']}" for crd in crds)
        cluster.kubectl("delete", kinds, "--all", "-A", "--timeout=60s")
        cluster.kubectl("delete", "crd", *(crd["metadata"]["name"] for crd in crds), "--timeout=60s")
