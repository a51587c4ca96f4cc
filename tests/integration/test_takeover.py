"""A converged cluster met with an empty log: taken over without a write, whoever converged it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from kro_es.events.types import (
    FieldsSeen,
    ObjectObserved,
    ReconcileDecided,
    ResourceApplied,
    ResourceTakenOver,
    RevisionIssued,
)
from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.steps import Steps, events, eventually

DEPLOYMENT: dict[str, Any] = {
    "id": "deployment",
    "template": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "${schema.metadata.name}"},
        "spec": {
            "replicas": "${schema.spec.replicas}",
            "selector": {"matchLabels": {"app": "${schema.metadata.name}"}},
            "template": {
                "metadata": {"labels": {"app": "${schema.metadata.name}"}},
                "spec": {"containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]}]},
            },
        },
    },
}
SERVICE: dict[str, Any] = {
    "id": "service",
    "template": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "${deployment.metadata.name}"},
        "spec": {"selector": "${deployment.spec.selector.matchLabels}", "ports": [{"port": 80, "targetPort": 80}]},
    },
}
SECRET: dict[str, Any] = {
    "id": "secret",
    "template": {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "${schema.metadata.name}"},
        "stringData": {"password": "${'planted-' + 'password'}"},
    },
}
READER: dict[str, Any] = {
    "id": "reader",
    "template": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "${schema.metadata.name}"},
        "data": {"copy": "${string(secret.data.password)}", "plain": "p"},
    },
}


def _definition(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "ResourceGraphDefinition",
        "metadata": {"name": name},
        "spec": {
            "schema": {
                "apiVersion": "v1alpha1",
                "kind": name.capitalize(),
                "spec": {"replicas": "integer | default=2"},
                "status": {"ready": "${deployment.status.readyReplicas}"},
            },
            "resources": [DEPLOYMENT, SERVICE, SECRET, READER],
        },
    }


class Converged:
    """Two instances, ``one`` and ``two``, of a definition of their own, left by a controller that is stopped."""

    def __init__(self, cluster: Cluster, definition: str) -> None:
        self.steps = Steps(cluster)
        self.cluster = cluster
        self.definition = definition

    def events(self, operator: Operator, *types: type) -> list[Any]:
        """Bodies of these types about the definition and what is in the namespace."""
        return [
            event.body
            for event in events(operator.database)
            if isinstance(event.body, types)
            and (event.subject.namespace == self.cluster.namespace or event.subject.name == self.definition)
        ]

    def taken_over(self, operator: Operator) -> None:
        eventually(lambda: len(self.events(operator, ResourceTakenOver)), lambda n: n == 8, "every child recorded")

    def writes(self, since: int) -> list[str]:
        """Requests that are no reads; other tests' leftovers on the same control plane are not ours."""
        return [
            f"{request.verb} {request.uri}"
            for request in self.cluster.plane.audit.requests("controller", since)
            if request.verb not in ("get", "list", "watch")
            and (self.cluster.namespace in request.uri or self.definition in request.uri)
        ]


_numbers = itertools.count(1)


@pytest.fixture
def converged(cluster: Cluster, kubelet: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Converged:
    """By a controller with another log and another version label."""
    first = tmp_path / "first"
    first.mkdir()
    monkeypatch.setenv("KRO_ES_LABEL_VERSION", "v0.9.9")
    operator = Operator(cluster.kubeconfig("controller"), first).start()
    monkeypatch.delenv("KRO_ES_LABEL_VERSION")
    found = Converged(cluster, f"takeover{next(_numbers)}")
    kind = found.definition.capitalize()
    try:
        found.steps.apply(_definition(found.definition))
        found.steps.active(found.definition)
        for name in ("one", "two"):
            found.steps.apply({"apiVersion": "kro.run/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": {}})
            found.steps.ready(kind, name)
        for name in ("one", "two"):
            eventually(
                lambda name=name: found.steps.get(kind, name)["status"].get("ready"), lambda n: n == 2, "available"
            )
        assert found.steps.get("deployment", "one")["metadata"]["labels"]["kro.run/kro-version"] == "v0.9.9"
    finally:
        operator.stop()
    return found


def test_a_converged_cluster_is_taken_over_without_a_write(converged: Converged, tmp_path: Path) -> None:
    cluster = converged.cluster
    mark = cluster.plane.audit.mark()
    operator = Operator(cluster.kubeconfig("controller"), tmp_path).start()
    try:
        converged.taken_over(operator)
        cluster.kubectl("annotate", f"{converged.definition}/one", "touched=yes", "-n", cluster.namespace)
        eventually(
            lambda: [body for body in converged.events(operator, ObjectObserved) if "touched" in str(body.object)],
            bool,
            "the touch seen",
        )
        converged.steps.ready(converged.definition, "one")
        assert "\n".join(converged.writes(mark)) == ""
        assert len(converged.events(operator, FieldsSeen)) == 8
        assert converged.events(operator, ResourceApplied) == []
        issued = converged.events(operator, RevisionIssued)
        assert [(body.number, body.imported) for body in issued] == [(1, True)]
        assert converged.steps.get("deployment", "one")["metadata"]["labels"]["kro.run/kro-version"] == "v0.9.9"
        for suffix in ("", "-wal"):
            content = Path(f"{operator.file}{suffix}").read_bytes()
            assert b"planted-password" not in content
            assert b"cGxhbnRlZC1wYXNzd29yZA" not in content
    finally:
        operator.stop()


def test_what_was_taken_over_is_healed_and_edited_like_anything_else(converged: Converged, tmp_path: Path) -> None:
    cluster, steps = converged.cluster, converged.steps
    operator = Operator(cluster.kubeconfig("controller"), tmp_path).start()
    try:
        converged.taken_over(operator)
        cluster.kubectl("scale", "deployment/one", "--replicas=5", "-n", cluster.namespace)
        eventually(lambda: steps.get("deployment", "one")["spec"]["replicas"], lambda n: n == 2, "healed")
        drift = [change for body in converged.events(operator, ReconcileDecided) for change in body.drift]
        assert [(c["path"], c["from"], c["to"]) for c in drift] == [("spec.replicas", 2, 5)]
        edit = ("--type=merge", "-p", '{"spec":{"replicas":3}}')
        cluster.kubectl("patch", f"{converged.definition}/two", "-n", cluster.namespace, *edit)
        eventually(lambda: steps.get("deployment", "two")["spec"]["replicas"], lambda n: n == 3, "rolled")
        found = _definition(converged.definition)
        found["spec"]["resources"] = [DEPLOYMENT, SERVICE, SECRET]
        steps.apply(found)
        eventually(lambda: steps.get("cm", "one"), lambda obj: not obj, "pruned")
        assert [body.number for body in converged.events(operator, RevisionIssued)] == [1, 2]
    finally:
        operator.stop()
