"""The manifests of ``deploy/`` as a real API server judges them, and the rights they give."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kubelet import FakeKubelet
from tests.support.operator import Operator
from tests.support.steps import Steps, eventually

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAMESPACE = "kro-system"
IDENTITY = f"system:serviceaccount:{NAMESPACE}:kro-es"
NAMESPACED = ["service-account.yaml", "rbac.yaml", "pvc.yaml", "deployment.yaml", "projector.yaml"]
DEFINITIONS = sorted((DEPLOY / "examples").glob("*/definition.yaml"))
ROLES = sorted((DEPLOY / "examples").glob("*/rbac.yaml"))
CRDS = sorted((DEPLOY / "crds").glob("*.yaml"))


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What the Deployment's container runs: arguments of ``kro-es``, its variables, and where its database lies."""

    args: tuple[str, ...]
    env: dict[str, str]
    database_file: str

    def on(self, database_file: Path) -> CommandLine:
        """The same command line with its database elsewhere."""
        args = tuple(arg.replace(self.database_file, str(database_file)) for arg in self.args)
        return CommandLine(args, self.env, str(database_file))


def deployment_command_line() -> CommandLine:
    (container,) = pod_template()["spec"]["containers"]
    args = tuple(container["args"])
    url = args[args.index("--database") + 1]
    return CommandLine(
        args,
        {item["name"]: item["value"] for item in container["env"] if "value" in item},
        url.removeprefix("sqlite:///"),
    )


def pod_template(name: str = "deployment.yaml") -> Any:
    return next(yaml.safe_load_all((DEPLOY / name).read_text()))["spec"]["template"]


def dry_run(cluster: Any, path: Path) -> None:
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))


@pytest.fixture
def namespace(cluster: Any) -> str:
    """The namespace itself is made: a dry run in one that is not there is refused."""
    cluster.kubectl("apply", "--validate=strict", "-f", str(DEPLOY / "namespace.yaml"))
    return NAMESPACE


@pytest.fixture
def rights(cluster: Any, namespace: str) -> None:
    for path in [DEPLOY / "service-account.yaml", DEPLOY / "rbac.yaml", *ROLES]:
        cluster.kubectl("apply", "--validate=strict", "-f", str(path))


def test_the_database_of_the_deployment_lies_on_its_volume() -> None:
    (container,) = pod_template()["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    line = deployment_command_line()
    assert line.args[0] == "run"
    assert Path(line.database_file).parent == Path(mounts["log"])
    assert "sqlite:////elsewhere/log.db" in line.on(Path("/elsewhere/log.db")).args


def test_the_probes_ask_where_the_program_listens() -> None:
    (container,) = pod_template()["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    env = deployment_command_line().env
    assert env["KRO_ES_HEALTH_ADDRESS"] == f"0.0.0.0:{ports['health']}"
    assert env["KRO_ES_METRICS_ADDRESS"] == f"0.0.0.0:{ports['metrics']}"
    assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {"health"}


@pytest.mark.parametrize("name", NAMESPACED)
def test_the_api_server_takes_the_manifest(cluster: Any, namespace: str, name: str) -> None:
    dry_run(cluster, DEPLOY / name)


@pytest.mark.parametrize("folder", [".", "history"])
def test_the_api_server_takes_all_of_it_at_once(cluster: Any, namespace: str, folder: str) -> None:
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(DEPLOY / folder))


@pytest.mark.parametrize("path", [*CRDS, *ROLES], ids=lambda path: str(path.relative_to(DEPLOY)))
def test_the_api_server_takes_the_crds_and_the_roles_of_the_examples(cluster: Any, path: Path) -> None:
    dry_run(cluster, path)


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.parent.name)
def test_the_api_server_takes_the_definition_of_an_example(cluster: Any, path: Path) -> None:
    assert CRDS
    for crd in CRDS:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(crd))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *[f"--filename={crd}" for crd in CRDS])
    dry_run(cluster, path)


@pytest.mark.parametrize("name", ["deployment.yaml", "projector.yaml"])
def test_the_pod_meets_the_restricted_security_standard_of_its_namespace(
    cluster: Any, namespace: str, name: str
) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", **pod_template(name)}
    pod["metadata"] = {**pod["metadata"], "name": "kro-es-check", "namespace": namespace}
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=json.dumps(pod))


def allowed(cluster: Any, verb: str, resource: str, name: str = "") -> bool:
    group_and_resource, _, subresource = resource.partition("/")
    resource_name, _, group = group_and_resource.partition(".")
    attributes = {"verb": verb, "resource": resource_name, "group": group, "subresource": subresource, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": IDENTITY,
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"],
            "resourceAttributes": attributes,
        },
    }
    answer = cluster.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(review))
    return bool(json.loads(getattr(answer, "stdout", answer))["status"]["allowed"])


def test_the_roles_of_the_examples_reach_the_controller(cluster: Any, rights: None) -> None:
    wanted = [
        ("patch", "resourcegraphdefinitions.kro.run/status"),
        ("create", "graphrevisions.internal.kro.run"),
        ("create", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "statefulsets.apps"),
        ("delete", "secrets"),
        ("patch", "wordpresses.kro.run/status"),
        ("watch", "httpbinapps.duffy.xyz"),
    ]
    deadline = time.monotonic() + 30
    while missing := [item for item in wanted if not allowed(cluster, *item)]:
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)
    assert allowed(cluster, "list", "namespaces", "kube-system")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("delete", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
        ("impersonate", "users"),
        ("list", "namespaces"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("create", "wordpresses.kro.run"),
        ("delete", "resourcegraphdefinitions.kro.run"),
    ],
)
def test_the_controller_may_not(cluster: Any, rights: None, verb: str, resource: str) -> None:
    assert not allowed(cluster, verb, resource)


def test_the_command_line_works_with_the_token_of_its_service_account(
    cluster: Any, kubelet: FakeKubelet, rights: None, tmp_path: Path
) -> None:
    line = deployment_command_line().on(tmp_path / "log.db")
    config = cluster.plane.service_account_kubeconfig(NAMESPACE, "kro-es")
    operator = Operator(config, tmp_path, arguments=line.args).start()
    example = DEPLOY / "examples" / "application"
    steps = Steps(cluster)
    try:
        cluster.kubectl("apply", "-f", str(example / "definition.yaml"))
        steps.active("application")
        item = next(iter(yaml.safe_load_all((example / "instances.yaml").read_text())))
        steps.apply(item)
        steps.ready("application", item["metadata"]["name"])
        steps.delete("application", item["metadata"]["name"])
        eventually(lambda: steps.get("application", item["metadata"]["name"]), lambda obj: not obj, "gone")
    finally:
        cluster.kubectl("delete", "rgd", "application", "--timeout=30s")
        cluster.kubectl("delete", "crd", "applications.kro.run", "--timeout=30s")
        operator.stop()
