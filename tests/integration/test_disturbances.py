"""What happens to an API server or to the controller's rights while it runs: told, waited for, nothing doubled or left."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import pytest

from kro_es.events.types import (
    Event,
    ObjectGoneUnseen,
    ObjectObserved,
    ReconcileDecided,
    ResourceApplied,
    WatchGap,
    WatchLost,
)
from kro_es.history.gaps import notes
from kro_es.history.source import open_history
from tests.conftest import Cluster
from tests.support.controlplane import ControlPlane
from tests.support.operator import Operator
from tests.support.replayed import differences
from tests.support.steps import Steps, config_map, definition, events, eventually, faults, instance, message, settled

Object = dict[str, Any]
RIGHTS = [
    {"apiGroups": ["kro.run", "internal.kro.run", "apiextensions.k8s.io", "coordination.k8s.io"]},
    {"apiGroups": [""], "resources": ["events", "namespaces", "secrets"]},
    {"apiGroups": ["parts.acme.io"]},
]
TO_CONFIG_MAPS = [{"apiGroups": [""], "resources": ["configmaps"]}]


T = TypeVar("T")


class Stage(Steps):
    """Kinds ``Box`` (two ConfigMaps, one after the other) and ``Key`` (a Secret), and a controller that has only its rights."""

    operator: Operator

    def put(self, kind: str, name: str, color: str = "red") -> None:
        self.apply(instance(kind, name, {"color": color}))

    def tells(self, kind: str, name: str, text: str) -> None:
        eventually(lambda: message(self.get(kind, name), "ResourcesReady"), lambda told: text in told, text)
        assert self.get(kind, name)["status"]["state"] == "ERROR"

    def all_ready(self, kind: str, names: list[str]) -> None:
        def missing() -> set[str]:
            return set(names) - {item["metadata"]["name"] for item in self.items(kind) if settled(item)}

        eventually(missing, lambda left: not left, "all are ready", 120)

    def end(self, kind: str, *names: str) -> None:
        """Deleted, with all they made."""
        self.cluster.kubectl("delete", kind, *names, "-n", self.cluster.namespace, "--timeout=60s")
        assert [
            item for item in self.items("cm,secret") if "kro.run/owned" in (item["metadata"].get("labels") or {})
        ] == []

    def gaps(self) -> int:
        return len(self.recorded(WatchGap))

    def recorded(self, body: type[T]) -> list[T]:
        return [event.body for event in events(self.operator.database) if isinstance(event.body, body)]

    def note(self, kind: str) -> str:
        """What is said first to whoever asks about the kind now."""
        with closing(open_history(self.operator.database, time.time_ns() // 1000)) as history:
            return notes(history, 0, history.now, {kind})[0]

    @contextmanager
    def events(self) -> Iterator[list[Event]]:
        """What is recorded meanwhile."""
        found: list[Event] = []
        before = len(events(self.operator.database))
        yield found
        found += events(self.operator.database)[before:]


def role(name: str, rules: list[Object]) -> list[Object]:
    """A cluster role of the controller's user, and its binding."""
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    every = [{"resources": ["*"], "verbs": ["*"], **rule} for rule in rules]
    user = {"kind": "User", "name": "operator", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    return [
        {**rbac, "kind": "ClusterRole", "rules": every},
        {**rbac, "kind": "ClusterRoleBinding", "subjects": [user], "roleRef": reference},
    ]


@pytest.fixture(scope="module")
def stage(control_plane: Any, kubelet: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cluster = Cluster(control_plane, "disturbed")
    found = Stage(cluster)
    cluster.kubectl("create", "namespace", cluster.namespace)
    found.apply(*role("disturbed", RIGHTS), *role("disturbed-cm", TO_CONFIG_MAPS))
    operator = found.operator = Operator(cluster.kubeconfig("operator"), tmp_path_factory.mktemp("disturbed")).start()
    color, name = {"color": "${schema.spec.color}"}, "${schema.metadata.name}"
    after = config_map("after", f"{name}-after", {"color": "${first.data.color}"})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": color}
    spec = {"color": "string"}
    found.apply(
        definition("boxes", "Box", spec, config_map("first", name, color), after),
        definition("keys", "Key", spec, {"id": "secret", "template": secret}),
    )
    found.active("boxes")
    found.active("keys")
    try:
        yield found
        cluster.kubectl("delete", "rgd", "boxes", "keys", "--timeout=30s")
        cluster.kubectl("delete", "crd", "boxes.kro.run", "keys.kro.run", "--timeout=30s")
    finally:
        operator.stop()
        cluster.kubectl("delete", "clusterrolebinding,clusterrole", "disturbed", "disturbed-cm")
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")
    assert faults(operator.database) == []
    assert differences(operator.database, operator.redaction_key) == []


def refused(stage: Stage, obj: Object, text: str, *flags: str) -> bool:
    """Whether the API server would refuse the object so by now."""
    try:
        where = ("-n", stage.cluster.namespace, "--dry-run=server", "-f", "-", *flags)
        stage.cluster.kubectl("create", *where, input=json.dumps(obj))
    except AssertionError as error:
        return text in str(error)
    return False


def plain(kind: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "tried"}}


def test_rights_that_are_taken_and_given_back_cost_only_those_who_need_them(stage: Stage) -> None:
    stage.put("Box", "rights")
    stage.ready("box", "rights")
    stage.cluster.kubectl("delete", "clusterrolebinding", "disturbed-cm")
    eventually(lambda: refused(stage, plain("ConfigMap"), "forbidden", "--as=operator"), bool, "the right is gone")
    with stage.events() as recorded:
        stage.cluster.kubectl(
            "patch", "cm", "rights", "-n", stage.cluster.namespace, "--type=merge", "-p", '{"data":{"color":"green"}}'
        )
        stage.tells("box", "rights", "cannot patch resource")
        stage.put("Key", "rights")
        stage.ready("key", "rights")
        # the backlog of retries is not drift: the hand is found once
        eventually(
            lambda: stage.operator.metric('kro_es_events_total{type="write.failed"}'), lambda n: n > 2, "retries"
        )
        stage.apply(*role("disturbed-cm", TO_CONFIG_MAPS))
        eventually(lambda: stage.get("cm", "rights")["data"]["color"], "red".__eq__, "healed")
        stage.ready("box", "rights")
    assert [
        len(event.body.drift) for event in recorded if isinstance(event.body, ReconcileDecided) and event.body.drift
    ] == [1]
    stage.end("key,box", "rights")


def test_a_quota_that_is_exceeded_is_told_until_it_is_raised(stage: Stage) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"count/secrets": "0"}},
    }
    stage.apply(quota)
    eventually(lambda: refused(stage, plain("Secret"), "exceeded quota"), bool, "the quota counts")
    stage.put("Key", "quota")
    stage.tells("key", "quota", "exceeded quota: few")
    stage.put("Box", "quota")
    stage.ready("box", "quota")
    quota["spec"]["hard"]["count/secrets"] = "5"
    stage.apply(quota)
    stage.ready("key", "quota")
    stage.cluster.kubectl("delete", "quota", "few", "-n", stage.cluster.namespace)
    stage.end("key,box", "quota")


def test_a_webhook_that_does_not_answer_is_told_until_it_is_gone(stage: Stage) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": stage.cluster.namespace}}
    hook = {
        "name": "down.acme.io",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "namespaceSelector": here,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    stage.apply({**kind, "metadata": {"name": "down"}, "webhooks": [hook]})
    eventually(lambda: refused(stage, plain("Secret"), "down.acme.io"), bool, "it is asked")
    stage.put("Key", "webhook")
    stage.tells("key", "webhook", 'failed calling webhook "down.acme.io"')
    stage.put("Box", "webhook")
    stage.ready("box", "webhook")
    stage.cluster.kubectl("delete", "validatingwebhookconfiguration", "down")
    stage.ready("key", "webhook")
    stage.end("key,box", "webhook")


def restarted(plane: ControlPlane, nightly: bool) -> None:
    plane.restart("kube-apiserver")


def paused(plane: ControlPlane, nightly: bool) -> None:
    """Nightly for longer than any request waits for its answer."""
    pid = plane.pid("kube-apiserver")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(40 if nightly else 2)  # the length of the pause is what is tested
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("disturb", [restarted, paused])
def test_an_api_server_that_goes_away_in_a_burst_is_waited_for(
    stage: Stage, nightly: bool, disturb: Callable[[ControlPlane, bool], None]
) -> None:
    plane = stage.cluster.plane
    if not isinstance(plane, ControlPlane):
        pytest.skip("the API server is not ours to disturb")
    names = [f"burst-{disturb.__name__}-{number}" for number in range(12)]
    before = stage.gaps()
    with stage.events() as recorded:
        stage.apply(*(instance("Box", name, {"color": "red"}) for name in names))
        disturb(plane, nightly)
        stage.all_ready("box", names)
    made = Counter(
        event.subject.name for event in recorded if isinstance(event.body, ResourceApplied) and event.body.created
    )
    live = [item["metadata"]["name"] for item in stage.items("cm") if item["metadata"]["name"].startswith("burst-")]
    assert sorted(live) == sorted([*names, *(f"{name}-after" for name in names)])
    assert {name: count for name, count in made.items() if count != 1} == {}
    if disturb is restarted:
        # all may be ready before the watches are open again
        eventually(stage.gaps, lambda found: found > before, "what it may have missed is recorded")
    stage.end("box", *names)


def test_what_happened_behind_a_version_the_server_forgot_is_found_by_a_list_and_marked_late(stage: Stage) -> None:
    plane = stage.cluster.plane
    if not isinstance(plane, ControlPlane):
        pytest.skip("the API server is not ours to disturb")
    stage.put("Box", "late")
    stage.ready("box", "late")
    before = {name: stage.get("cm", name)["metadata"]["uid"] for name in ("late", "late-after")}
    with stage.events() as recorded:
        stage.operator.pause()
        stopped = time.time_ns() // 1000
        try:
            # the store goes on by one, so that where the watches were is before everything it still has
            stage.apply({**plain("ConfigMap"), "metadata": {"name": "one-more"}})
            plane.compact()
            plane.restart("kube-apiserver")
            where = ("-n", stage.cluster.namespace)
            stage.cluster.kubectl("patch", "cm", "late", *where, "--type=merge", "-p", '{"data":{"color":"green"}}')
            stage.cluster.kubectl("delete", "cm", "late-after", *where)
        finally:
            stage.operator.go_on()
        healed = lambda: (stage.get("cm", "late")["data"]["color"], stage.get("cm", "late-after").get("data"))  # noqa: E731
        eventually(healed, ("red", {"color": "red"}).__eq__, "both are as they should be")
        stage.ready("box", "late")
    gaps = {event.body.kind: event.body for event in recorded if isinstance(event.body, WatchGap)}
    assert gaps["/ConfigMap"].reason.endswith("expired"), "the answer was a 410"
    seen = {
        (event.subject.name, type(event.body)): event
        for event in recorded
        if isinstance(event.body, ObjectObserved | ObjectGoneUnseen) and event.subject.uid in before.values()
        if isinstance(event.body, ObjectGoneUnseen) or event.body.seen_late
    }
    assert set(seen) == {("late", ObjectObserved), ("late-after", ObjectGoneUnseen)}
    edited = seen["late", ObjectObserved]
    assert isinstance(edited.body, ObjectObserved)
    assert edited.body.object["data"] == {"color": "green"}
    assert gaps["/ConfigMap"].since <= stopped, "nobody watched from there on"
    made = [event.subject.name for event in recorded if isinstance(event.body, ResourceApplied) and event.body.created]
    assert made == ["late-after"]
    stage.cluster.kubectl("delete", "cm", "one-more", "-n", stage.cluster.namespace)
    stage.end("box", "late")


def test_a_kind_whose_api_is_gone_is_told_as_unwatched_until_it_is_back(stage: Stage) -> None:
    names = {"plural": "bolts", "kind": "Bolt"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "string"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    api = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "bolts.parts.acme.io"},
        "spec": {"group": "parts.acme.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    bolt = {
        "apiVersion": "parts.acme.io/v1",
        "kind": "Bolt",
        "metadata": {"name": "${schema.metadata.name}"},
        "spec": {"size": "${schema.spec.size}"},
    }
    stage.apply(api)
    stage.cluster.kubectl("wait", "crd/bolts.parts.acme.io", "--for=condition=Established", "--timeout=30s")
    stage.apply(definition("frames", "Frame", {"size": "string"}, {"id": "bolt", "template": bolt}))
    stage.active("frames")
    stage.apply(instance("Frame", "gone", {"size": "m8"}))
    stage.ready("frame", "gone")
    stage.cluster.kubectl("delete", "crd", "bolts.parts.acme.io", "--timeout=30s")
    kinds = lambda body: {found.kind for found in stage.recorded(body)}  # noqa: E731
    # half a minute of silence is no news, and who looks comes by every ten seconds
    eventually(lambda: kinds(WatchLost), {"parts.acme.io/Bolt"}.__eq__, "told while it lasts", 90)
    assert stage.note("parts.acme.io/Bolt").startswith("nobody watches parts.acme.io/Bolt from")
    stage.apply(api)
    eventually(lambda: kinds(WatchGap), lambda found: "parts.acme.io/Bolt" in found, "told when it is over", 90)
    assert stage.note("parts.acme.io/Bolt").startswith("nobody watched parts.acme.io/Bolt from")
    stage.ready("frame", "gone")
    stage.end("frame", "gone")
    stage.cluster.kubectl("delete", "rgd", "frames", "--timeout=30s")
    stage.cluster.kubectl("delete", "crd", "frames.kro.run", "bolts.parts.acme.io", "--timeout=30s")
