"""A log as a cluster would write it, made from a seed: the same number gives the same events, however many."""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kro_es.events.types import (
    Actor,
    InstanceSettled,
    NewEvent,
    ObjectObserved,
    RevisionActivated,
    RevisionIssued,
    Subject,
)

Object = dict[str, Any]
START = 1_700_000_000_000_000
STEP = 1_000
"""Microseconds between two events."""
DEFINITIONS = 5
_REVISE_EVERY, _SETTLE_EVERY = 2_000, 25
_MIX = (("Deployment", 50), ("Service", 20), ("ConfigMap", 15), ("App", 15))
_GROUPS = {"Deployment": "apps", "Service": "", "ConfigMap": "", "App": "kro.run"}
_KUBELET = Actor("kube-controller-manager", "manager")
_PERSON = Actor("kubectl", "manager")


@dataclass(slots=True)
class _Live:
    kind: str
    object: Object
    version: int


class Generator:
    """Half Deployments, then Services, ConfigMaps and instances; 95 of 100 changes are of a status, as perf-probes has it."""

    def __init__(self, seed: int = 1, objects: int = 2_000) -> None:
        self._chance = random.Random(seed)
        self._objects = [self._made(number) for number in range(objects)]
        self._version = 0
        self._number = 0
        self._revisions = dict.fromkeys(range(DEFINITIONS), 0)

    def batches(self, count: int, size: int = 500) -> Iterator[list[NewEvent]]:
        """``count`` events in groups of ``size``."""
        for start in range(0, count, size):
            yield [self.event() for _ in range(min(size, count - start))]

    def event(self) -> NewEvent:
        number = self._number = self._number + 1
        if number % _REVISE_EVERY in (1, 2):
            return self._revised(number)
        if number % _SETTLE_EVERY == 0:
            return self._settled(number)
        return self._changed(number)

    def stream_of(self, number: int) -> str:
        """Stream of one of the objects."""
        live = self._objects[number % len(self._objects)]
        return _stream(live)

    def _changed(self, number: int) -> NewEvent:
        live = self._chance.choice(self._objects)
        live.object = copy.deepcopy(live.object)
        spec = self._chance.random() < 0.05 or live.kind == "ConfigMap"
        (self._change_spec if spec else self._change_status)(live)
        self._version += 1
        live.version = self._version
        meta = live.object["metadata"]
        meta["resourceVersion"] = str(self._version)
        identity = hashlib.sha256(f"{meta['uid']}/{self._version}".encode()).hexdigest()[:32]
        return NewEvent(
            _stream(live),
            ObjectObserved(live.object),
            Subject(_GROUPS[live.kind], live.kind, meta["namespace"], meta["name"], meta["uid"]),
            _PERSON if spec else _KUBELET,
            START + number * STEP,
            resource_version=self._version,
            event_id=identity,
        )

    def _change_status(self, live: _Live) -> None:
        status = live.object.setdefault("status", {})
        status["observedGeneration"] = live.object["metadata"]["generation"]
        status["readyReplicas"] = self._chance.randrange(5)
        if "conditions" in status:
            one = self._chance.choice(status["conditions"])
            one["lastTransitionTime"] = (
                f"2026-01-{self._chance.randrange(1, 29):02}T10:{self._chance.randrange(60):02}:00Z"
            )
            one["status"] = self._chance.choice(("True", "False"))

    def _change_spec(self, live: _Live) -> None:
        if live.kind == "ConfigMap":
            live.object["data"][f"key-{self._chance.randrange(12)}"] = f"{self._chance.getrandbits(64):016x}"
            return
        live.object["metadata"]["generation"] += 1
        live.object["spec"]["replicas"] = self._chance.randrange(9)
        live.object["spec"]["image"] = f"registry.example.com/team/app:{self._chance.getrandbits(32):08x}"

    def _revised(self, number: int) -> NewEvent:
        """A revision is issued, then activated."""
        definition = number // _REVISE_EVERY % DEFINITIONS
        uid, name = f"definition-{definition}", f"app-{definition}"
        subject = Subject("kro.run", "ResourceGraphDefinition", "", name, uid)
        at = START + number * STEP
        if number % _REVISE_EVERY == 2:
            body = RevisionActivated(uid, name, self._revisions[definition], 40)
            return NewEvent(f"definition/{uid}", body, subject, Actor("kro-es", "controller"), at)
        self._revisions[definition] += 1
        revision = self._revisions[definition]
        spec = {"schema": {"kind": "App", "spec": {"replicas": f"integer | default={revision}"}}, "resources": []}
        issued = RevisionIssued(
            uid, name, revision, spec, f"{revision:064x}", revision, (), "kro.run", "v1alpha1", "App", "apps", "0", "0"
        )
        return NewEvent(f"definition/{uid}", issued, subject, _PERSON, at)

    def _settled(self, number: int) -> NewEvent:
        definition = self._chance.randrange(DEFINITIONS)
        uid = f"instance-{definition}-{self._chance.randrange(40)}"
        body = InstanceSettled(f"definition-{definition}", max(1, self._revisions[definition]), 1, "ACTIVE", ready=True)
        subject = Subject("kro.run", "App", "bench", uid, uid)
        return NewEvent(f"instance/{uid}", body, subject, Actor("kro-es", "controller"), START + number * STEP)

    def _made(self, number: int) -> _Live:
        kind = self._chance.choices([name for name, _ in _MIX], [weight for _, weight in _MIX])[0]
        group = _GROUPS[kind]
        name = f"{kind.lower()}-{number}"
        meta = {
            "name": name,
            "namespace": f"team-{number % 20}",
            "uid": f"{self._chance.getrandbits(128):032x}",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "bench", "team": f"t{number % 20}"},
        }
        obj: Object = {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": meta}
        return _Live(kind, {**obj, **getattr(self, f"_{kind.lower()}")(name)}, 0)

    def _deployment(self, name: str) -> Object:
        container = {
            "name": "app",
            "env": [
                {"name": f"SETTING_{index}", "value": f"{self._chance.getrandbits(80):020x}"} for index in range(20)
            ],
            "args": [f"--{word}={self._chance.getrandbits(32):08x}" for word in ("listen", "data", "peer", "cache")],
            "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 1},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 1},
            "volumeMounts": [{"name": f"volume-{index}", "mountPath": f"/mnt/{index}"} for index in range(5)],
        }
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [container], "restartPolicy": "Always"},
        }
        conditions = [
            {"type": kind, "status": "True", "reason": "NewReplicaSetAvailable", "message": f"ReplicaSet of {name} is fine",
             "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for kind in ("Available", "Progressing")
        ]  # fmt: skip
        spec = {"replicas": 2, "image": "registry.example.com/team/app:1", "template": template}
        return {"spec": spec, "status": {"replicas": 2, "conditions": conditions}}

    def _service(self, name: str) -> Object:
        ports = [
            {"name": f"p{index}", "port": 8000 + index, "protocol": "TCP", "targetPort": index} for index in range(6)
        ]
        address = f"10.0.{self._chance.randrange(256)}.{self._chance.randrange(256)}"
        return {
            "spec": {"ports": ports, "selector": {"app": name}, "clusterIP": address, "type": "ClusterIP"},
            "status": {"loadBalancer": {}},
        }

    def _configmap(self, name: str) -> Object:
        return {"data": {f"key-{index}": f"{name} {self._chance.getrandbits(320):080x}" for index in range(12)}}

    def _app(self, name: str) -> Object:
        conditions = [
            {"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": 1,
             "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for kind in ("InstanceManaged", "GraphResolved", "ResourcesReady", "Ready")
        ]  # fmt: skip
        spec = {"replicas": 2, "image": "registry.example.com/team/app:1", "host": f"{name}.example.com"}
        return {"spec": spec, "status": {"state": "ACTIVE", "conditions": conditions}}


def _stream(live: _Live) -> str:
    meta = live.object["metadata"]
    return f"object/{_GROUPS[live.kind]}/{live.kind}/{meta['namespace']}/{meta['name']}"
