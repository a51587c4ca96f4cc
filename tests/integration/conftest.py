"""Fixtures of the tests on a running controller."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.steps import Steps


@pytest.fixture
def steps(cluster: Cluster, operator: Operator) -> Iterator[Steps]:
    """Definitions are cluster-scoped: those of the test are gone before the next test's controller starts."""
    yield Steps(cluster)
    cluster.kubectl("delete", "rgd", "--all", "--wait=true", "--timeout=30s")
    for crd in json.loads(cluster.kubectl("get", "crd", "-l", "kro.run/owned=true", "-o", "json"))["items"]:
        plural = crd["spec"]["names"]["plural"] + "." + crd["spec"]["group"]
        cluster.kubectl("delete", plural, "--all", "-A", "--timeout=30s")
        cluster.kubectl("delete", "crd", crd["metadata"]["name"], "--timeout=30s")
