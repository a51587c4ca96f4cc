"""Fixtures every tier may use: one control plane per session, a fresh namespace per test."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import postgres
from tests.support.controlplane import ControlPlane, ControlPlaneMissing
from tests.support.external import ExternalControlPlane
from tests.support.kubelet import FakeKubelet
from tests.support.operator import Operator

# what a test run generates is the same every time; a nightly run looks further
settings.register_profile("run", derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=4_000, deadline=None, print_blob=True)
settings.load_profile("run")

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A namespace of one's own on the session's control plane."""

    plane: ControlPlane | ExternalControlPlane
    namespace: str

    def kubectl(self, *args: str, user: str = "admin", input: str | None = None) -> str:  # noqa: A002 - as subprocess has it
        return self.plane.kubectl(*args, user=user, stdin=input)

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.plane.kubeconfig(user)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane | ExternalControlPlane]:
    """KRO_ES_TEST_KUBECONFIG, then KUBEBUILDER_ASSETS, then one built with Go, then a skip that says what is missing."""
    given = os.environ.get("KRO_ES_TEST_KUBECONFIG")
    try:
        plane = ExternalControlPlane(given) if given else ControlPlane()
    except ControlPlaneMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    with plane:
        yield plane


@pytest.fixture(scope="session")
def kubelet(control_plane: ControlPlane | ExternalControlPlane) -> Iterator[FakeKubelet | None]:
    if isinstance(control_plane, ExternalControlPlane):
        found = control_plane.kubelet()
    else:
        found = FakeKubelet(control_plane.url, "kcm-token").start()
    yield found
    if found is not None:
        found.stop()


@pytest.fixture(scope="session")
def nightly() -> bool:
    """Whether everything is to be looked at (``--hypothesis-profile=nightly``), or enough of it."""
    return settings.get_current_profile_name() == "nightly"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from postgres.server(tmp_path_factory.mktemp("pg"))


@pytest.fixture
def cluster(control_plane: ControlPlane | ExternalControlPlane, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    namespace = f"{name}-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", namespace)
    yield Cluster(control_plane, namespace)
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def operator(cluster: Cluster, kubelet: FakeKubelet | None, tmp_path: Path) -> Iterator[Operator]:
    """The controller as a process, on a database of its own; definitions of the test go before it does."""
    found = Operator(cluster.kubeconfig("controller"), tmp_path).start()
    yield found
    found.stop()
