"""The log through the API server: whom it answers, and what it leaves out."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Cluster
from tests.support.controlplane import ControlPlane
from tests.support.kubelet import FakeKubelet
from tests.support.operator import Operator, free_port
from tests.support.steps import Steps, eventually

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS = ("namespace.yaml", "service-account.yaml", "rbac.yaml", "history/api.yaml", "history/rbac.yaml")
RAW = "/apis/history.kro-es.dev/v1alpha1"
EXAMPLE = DEPLOY / "examples" / "application"


def own_address() -> str:
    """One of this machine that is no loopback address: the API server takes no other behind a service."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        try:
            found.connect(("198.51.100.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no address but the loopback one, which no EndpointSlice may name")
        return str(found.getsockname()[0])


class Endpoint:
    """A controller with its endpoint, and the questions put to it."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self.cluster = cluster
        self.address = address

    def ask(self, user: str, *question: str) -> subprocess.CompletedProcess[str]:
        command, env = self._program(user, question)
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    @contextmanager
    def following(self, user: str, file: Path, *question: str) -> Iterator[Path]:
        """The file is written as answers come, until the block ends."""
        command, env = self._program(user, question)
        with file.open("wb") as out, subprocess.Popen(command, env=env, stdout=out) as process:
            try:
                yield file
            finally:
                process.kill()

    def _program(self, user: str, question: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("KRO_ES")}
        command = [sys.executable, "-m", "kro_es.cli.history", "--utc", "--context", "test", *question]
        config = str(self.cluster.kubeconfig(user))
        elsewhere = {"KUBECONFIG": config, "KRO_ES_CONFIG": "/nowhere", "KRO_ES_DATABASE": "sqlite:////nowhere"}
        return command, {**env, **elsewhere}

    def raw(self, user: str, question: str, *args: str) -> list[dict[str, Any]]:
        """The answer as kubectl shows it."""
        query = urllib.parse.urlencode([("arg", item) for item in args])
        lines = self.cluster.kubectl("get", "--raw", f"{RAW}/{question}?{query}", user=user).splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def endpoint(
    cluster: Cluster, kubelet: FakeKubelet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Endpoint]:
    """As deploy/history has it: by the rights of its service account, found by what it writes into the cluster."""
    if not isinstance(cluster.plane, ControlPlane):
        pytest.skip("a controller outside of the cluster is not reached from a given one")
    address = f"{own_address()}:{free_port()}"
    files = [f"--filename={DEPLOY / name}" for name in MANIFESTS]
    cluster.kubectl("apply", "--validate=strict", *files, f"--filename={EXAMPLE / 'rbac.yaml'}")
    monkeypatch.setenv("KRO_ES_HISTORY_ADDRESS", address)
    config = cluster.plane.service_account_kubeconfig("kro-system", "kro-es")
    operator = Operator(config, tmp_path).start()
    try:
        cluster.kubectl("wait", "--for=condition=Available", "apiservice/v1alpha1.history.kro-es.dev", "--timeout=60s")
        yield Endpoint(cluster, address)
    finally:
        cluster.kubectl("delete", "rgd", "--all", "--timeout=30s")
        cluster.kubectl("delete", "crd", "applications.kro.run", "--timeout=30s", "--ignore-not-found")
        # an API without a server would hold up the end of every namespace
        cluster.kubectl("delete", "apiservice", "v1alpha1.history.kro-es.dev")
        operator.stop()


def grant(cluster: Cluster, user: str, namespace: str) -> None:
    """May get the instances and their Deployments, not their Services, in one namespace."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": namespace},
        "rules": [
            {"apiGroups": ["kro.run"], "resources": ["applications"], "verbs": ["get"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        ],
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(role))
    cluster.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader", f"--user={user}")


def instance(name: str, namespace: str) -> dict[str, Any]:
    item: dict[str, Any] = next(iter(yaml.safe_load_all((EXAMPLE / "instances.yaml").read_text())))
    spec = {**item["spec"], "name": name}
    return {**item, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def test_everybody_is_told_what_they_may_get_in_the_cluster(endpoint: Endpoint, tmp_path: Path) -> None:
    cluster = endpoint.cluster
    cluster.kubectl("apply", "-f", str(EXAMPLE / "definition.yaml"))
    steps = Steps(cluster)
    steps.active("application")
    for name, namespace in (("mine", cluster.namespace), ("theirs", "default")):
        cluster.kubectl("apply", "-f", "-", input=json.dumps(instance(name, namespace)))
        cluster.kubectl("wait", f"application/{name}", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    grant(cluster, "nobody", cluster.namespace)

    assert {"application/mine", "application/theirs", "service/mine"} <= seen(
        endpoint.raw("admin", "log", "--limit=500")
    )
    assert rows(endpoint.raw("admin", "sql", "SELECT count(*) AS n FROM v_events"))[0]["n"] > 0

    answer = endpoint.ask("nobody", "log", "-o", "json")
    assert {row["object"] for row in json.loads(answer.stdout)} == {"application/mine", "deployment/mine"}
    assert "left out is what you may not get in the cluster" in answer.stderr
    assert "theirs" not in answer.stdout + answer.stderr
    assert seen(endpoint.raw("nobody", "graph", "application/mine")) == {"deployment/mine"}
    hidden = endpoint.raw("nobody", "graph", "application/theirs")
    (unknown,) = [one["error"] for one in hidden if "error" in one]
    assert unknown == "nothing called 'application/theirs' in this log; did you mean application/mine?"
    (refused,) = [one["error"] for one in endpoint.raw("nobody", "sql", "SELECT 1") if "error" in one]
    assert refused == "sql needs the right to see the whole log: get of wholelog.history.kro-es.dev"

    with endpoint.following("admin", tmp_path / "follow", "log", "-f", "--limit", "1") as followed:
        eventually(followed.read_text, lambda text: text.count("\n") > 1, "the first page")
        cluster.kubectl("delete", "application/theirs", "-n", "default", "--timeout=30s")
        eventually(followed.read_text, lambda text: "application/theirs  deleted" in text, "the deletion")


def rows(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return next(one["answer"]["rows"] for one in said if "answer" in one)


def seen(said: list[dict[str, Any]]) -> set[str]:
    return {row["object"] for row in rows(said)}


def got(url: str, headers: dict[str, str]) -> tuple[int, str]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), context=context, timeout=30
        ) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return int(error.code), error.read().decode()


def test_who_asks_is_what_the_api_server_says_and_nothing_else(endpoint: Endpoint) -> None:
    plane = endpoint.cluster.plane
    assert isinstance(plane, ControlPlane)
    forged = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
    # told in the handshake, or by the end of the connection if the question was quicker
    with pytest.raises(OSError, match=r"certificate required|closed connection|reset by peer|Broken pipe"):
        got(f"https://{endpoint.address}{RAW}/log", forged)
    assert got(f"{plane.url}{RAW}/log", {})[0] == 403
    assert rows(endpoint.raw("admin", "log")) != []
    # the API server itself drops what somebody else says about who they are
    status, said = got(f"{plane.url}{RAW}/log", {"Authorization": "Bearer nobody-token", **forged})
    assert status == 200
    assert rows([json.loads(line) for line in said.splitlines()]) == []
