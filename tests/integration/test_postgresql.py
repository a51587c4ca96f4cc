"""The controller on PostgreSQL: the same line as on SQLite, outages survived, and one of two controllers acts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kro_es.events.types import ControllerStarted
from kro_es.store.engine import open_engine
from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.postgres import new_database
from tests.support.steps import Steps, config_map, definition, events, eventually, faults, instance

Start = Callable[..., Operator]


@pytest.fixture
def database(postgres_server: str) -> str:
    return new_database(postgres_server)


@pytest.fixture
def start(cluster: Cluster, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts controllers on one database; their lease is in the namespace of the test."""
    monkeypatch.setenv("POD_NAMESPACE", cluster.namespace)
    made: list[Operator] = []

    def start(user: str = "controller", *flags: str, wait: bool = True) -> Operator:
        folder = tmp_path / f"{len(made)}-{user}"
        folder.mkdir()
        arguments = ("run", "--database", database, "--install-crds", "--redaction-key-file", f"{tmp_path}/key", *flags)
        made.append(Operator(cluster.kubeconfig(user), folder, database=database, arguments=arguments))
        return made[-1].start(wait=wait)

    yield start
    for operator in made:
        if operator.running:
            operator.stop()


@pytest.fixture
def steps(cluster: Cluster) -> Iterator[Steps]:
    yield Steps(cluster)
    cluster.kubectl("delete", "pgs", "--all", "-n", cluster.namespace, "--wait=false")
    names = cluster.kubectl("get", "pgs", "-n", cluster.namespace, "-o", "name").split()
    for name in names:
        cluster.kubectl(
            "patch", name, "-n", cluster.namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
        )
    cluster.kubectl("delete", "rgd", "--all", "--wait=false")
    for name in cluster.kubectl("get", "rgd", "-o", "name").split():
        cluster.kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    cluster.kubectl("delete", "crd", "pgs.kro.run", "--ignore-not-found", "--timeout=30s")


def _pg(extra: str = "a") -> dict[str, object]:
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"v": "${schema.spec.v}", "extra": extra})
    return definition("pgs", "Pg", {"v": "string | default=x"}, cfg)


def _ready(steps: Steps, count: int) -> None:
    def found() -> int:
        conditions = ((item.get("status") or {}).get("conditions") or () for item in steps.items("pg"))
        return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in item) for item in conditions)

    eventually(found, lambda number: number == count, f"{count} instances ready", seconds=60)


def test_a_definition_its_instances_and_a_restart_converge(steps: Steps, start: Start, database: str) -> None:
    operator = start("controller", "--no-leader-elect")
    steps.apply(_pg())
    steps.active("pgs")
    steps.apply(*(instance("Pg", f"p{n}", {}) for n in range(5)))
    _ready(steps, 5)
    operator.kill()
    steps.apply(_pg("b"), instance("Pg", "late", {}))
    namespace = steps.cluster.namespace
    patch = '{"data":{"v":"by hand"}}'
    steps.cluster.kubectl("patch", "cm", "p0-cfg", "-n", namespace, "--type=merge", "-p", patch)
    operator.start()
    steps.ready("pg", "late")
    for name in ("p0", "p4", "late"):
        eventually(
            lambda name=name: steps.get("cm", f"{name}-cfg")["data"], lambda d: d == {"v": "x", "extra": "b"}, name
        )
    assert operator.stop() == 0
    assert "cannot be written" not in operator.text()
    assert faults(database) == []


def _session_count(admin: Engine, database: str) -> int:
    sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    with admin.connect() as connection, connection.begin():
        return int(connection.exec_driver_sql(sql, (database,)).scalar_one())


def test_while_the_database_is_away_nothing_is_written_and_afterwards_all_is(
    steps: Steps, start: Start, database: str, postgres_server: str
) -> None:
    operator = start("controller", "--no-leader-elect")
    steps.apply(_pg())
    steps.active("pgs")
    steps.apply(instance("Pg", "before", {}))
    _ready(steps, 1)
    admin = open_engine(postgres_server)
    name = database.split("?", maxsplit=1)[0].rpartition("/")[2]
    with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    assert _session_count(admin, name) > 0
    mark = steps.cluster.plane.audit.mark()
    steps.apply(instance("Pg", "meanwhile", {}))
    eventually(lambda: operator.ready, lambda ready: not ready, "not ready")
    assert operator.metric("kro_es_log_writable") == 0
    time.sleep(2)  # the time in which it must not act
    writes = [
        r for r in steps.cluster.plane.audit.requests("controller", mark) if r.verb not in ("get", "list", "watch")
    ]
    assert writes == []
    with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    _ready(steps, 2)
    eventually(lambda: operator.ready, lambda ready: ready, "ready again")
    assert "the log cannot be written" in operator.text()
    assert "the log is written again" in operator.text()
    assert operator.stop() == 0
    assert faults(database) == []
    admin.dispose()


def _leads(operator: Operator) -> bool:
    return operator.metric("kro_es_leader") == 1


def _second_user(cluster: Cluster) -> str:
    """A user of its own, so that the audit log tells who wrote what."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "second-controller"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "operator"}],
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(binding))
    return "operator"


def _acted(cluster: Cluster, user: str, mark: int) -> list[str]:
    """When a user wrote anything but leases and its own CRDs."""
    return [
        request.at
        for request in cluster.plane.audit.requests(user, mark)
        if request.verb in ("create", "update", "patch", "delete") and request.resource != "leases"
    ]


def _fences(database: str) -> list[int]:
    found = events(database)
    assert [event.position for event in found] == list(range(1, len(found) + 1))
    return [event.body.fence for event in found if isinstance(event.body, ControllerStarted)]


@pytest.mark.parametrize("how", ["killed", "paused"])
def test_when_the_leader_vanishes_under_load_the_other_takes_over(
    steps: Steps, start: Start, database: str, how: str
) -> None:
    cluster = steps.cluster
    mark = cluster.plane.audit.mark()
    first = start("controller")
    second = start(_second_user(cluster))
    eventually(lambda: _leads(first), lambda leads: leads, "the first leads")
    assert not _leads(second)
    steps.apply(_pg())
    steps.active("pgs")
    many = {"apiVersion": "v1", "kind": "List", "items": [instance("Pg", f"p{n}", {}) for n in range(40)]}
    cluster.kubectl("apply", "-n", cluster.namespace, "-f", "-", input=json.dumps(many))
    eventually(lambda: len(events(database)), lambda count: count > 100, "under load")
    if how == "killed":
        first.kill()
    else:
        first.pause()
    eventually(lambda: _leads(second), lambda leads: leads, "the second leads", seconds=60)
    _ready(steps, 40)
    if how == "paused":
        first.go_on()
        assert first.wait_end(30) == 1
        assert "stops acting" in first.text()
    steps.apply(_pg("b"))
    eventually(
        lambda: {item["data"].get("extra") for item in steps.items("cm") if item["metadata"]["name"].startswith("p")},
        lambda extras: extras == {"b"},
        "all followed",
    )
    _ready(steps, 40)
    assert max(_acted(cluster, "controller", mark)) < min(_acted(cluster, "operator", mark))
    assert _fences(database) == [1, 2]
    # a log that still grows cannot be compared with itself
    assert second.stop() == 0
    assert faults(database) == []


def test_at_rest_a_leader_renews_its_lease_and_asks_nothing_else(steps: Steps, start: Start, database: str) -> None:
    cluster = steps.cluster
    first = start("controller")
    steps.apply(_pg())
    steps.active("pgs")
    steps.apply(instance("Pg", "p", {}))
    _ready(steps, 1)
    steps.rest()
    mark, length = cluster.plane.audit.mark(), len(events(database))
    time.sleep(16)  # the time of rest itself
    found = [r for r in cluster.plane.audit.requests("controller", mark) if r.verb != "watch"]
    assert {(r.verb, r.resource) for r in found} == {("update", "leases")}
    assert len(found) <= 4
    assert len(events(database)) == length
    second = start(_second_user(cluster))
    assert first.stop() == 0
    eventually(lambda: _leads(second), lambda leads: leads, "a lease given back is taken at once", seconds=10)
