"""A log as a fleet writes it in weeks: long definitions; instances that are edited, drift, fail and are put right.

The same numbers give the same events, in every process and on every machine.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from kro_es.api import metadata
from kro_es.events import codec
from kro_es.events import types as e

Object = dict[str, Any]
START = 1_772_442_000_000_000
"""2026-03-02T09:00:00Z in microseconds."""
STEP = 1_000_000
"""Between two events: five million are eight weeks."""
REVISIONS, INSTANCES, FLEETS = 10, 1_000, 2
"""Revisions of every definition; instances of each of the first definitions, which are rolled out one after the other."""
NAMESPACE = "bench"
_SEED = 20260302
_TEXTS, _KEYS, _WORDS_EACH = 300, 40, 210
"""A definition's spec is some 60 KB: a ConfigMap with so many texts, one of which is another with each revision."""
_WORDS = (
    "server listen cache upstream timeout retry limit buffer header cookie session token region zone replica shard index"
    " queue topic batch stream worker thread socket proxy route filter policy rule match allow deny audit trace metric"
    " level format target source volume mount secret config label owner team stage canary weight health probe period"
)
_KINDS = (("", "v1", "ConfigMap"), ("apps", "v1", "Deployment"), ("", "v1", "Service"))
_APPLIER, _CONTROLLER = e.Actor(metadata.CHILD_MANAGER, "controller"), e.Actor("kro-es", "controller")
_KUBE, _GITOPS, _PERSON = (
    e.Actor(name, "manager") for name in ("kube-controller-manager", "argocd-controller", "kubectl-edit")
)
_STATUS, _EDIT, _DRIFT, _REFUSED = 0.60, 0.92, 0.97, 0.9995
"""Bounds of what happens next: a status, an edit, drift, an edit that is refused; else a gap in the watching."""


@dataclass(slots=True)
class Definition:
    """One of the definitions as it is; ``spec`` is a ConfigMap, a Deployment that reads it, and a Service."""

    number: int
    texts: list[str]
    revision: int = 0

    @property
    def name(self) -> str:
        return f"def-{self.number:04d}"

    @property
    def uid(self) -> str:
        return f"uid-{self.name}"

    @property
    def kind(self) -> str:
        return f"App{self.number}" if self.number else "App"

    @property
    def spec(self) -> Object:
        name, labels = "${schema.metadata.name}", {"app": "${schema.metadata.name}"}
        data = {"value": "${schema.spec.value}", **{f"key-{i}": text for i, text in enumerate(self.texts)}}
        container = {
            "name": "app", "image": f"registry.example/app:{self.revision}.0",
            "env": [{"name": "VALUE", "value": "${n0.data.value}"}],
        }  # fmt: skip
        pods = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        specs: tuple[Object, ...] = (
            {"data": data},
            {"spec": {"replicas": "${schema.spec.replicas}", "selector": {"matchLabels": labels}, "template": pods}},
            {"spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}},
        )
        resources = [
            {"id": f"n{i}", "template": {**_head(i), "metadata": {"name": f"{name}-n{i}"}, **spec}}
            for i, spec in enumerate(specs)
        ]
        fields = {"value": "string | default=a", "replicas": "integer | default=2"}
        return {"schema": {"kind": self.kind, "apiVersion": "v1alpha1", "spec": fields}, "resources": resources}


@dataclass(slots=True)
class _App:
    """An instance, as the cluster has it."""

    number: int
    definition: Definition
    generation: int = 1
    value: str = "a"
    replicas: int = 2
    versions: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"app-{self.number:04d}"

    @property
    def uid(self) -> str:
        return f"uid-{self.name}"

    @property
    def subject(self) -> e.Subject:
        return e.Subject(metadata.GROUP, self.definition.kind, NAMESPACE, self.name, self.uid)


def _head(node: int) -> Object:
    group, version, kind = _KINDS[node]
    return {"apiVersion": f"{group}/{version}" if group else version, "kind": kind}


class Fleet:
    """``count`` events over so many definitions."""

    def __init__(self, count: int, definitions: int) -> None:
        self._chance = random.Random(_SEED)
        words = _WORDS.split()
        self._texts = [" ".join(self._chance.choices(words, k=_WORDS_EACH)) for _ in range(_TEXTS)]
        self._definitions = [
            Definition(number, self._chance.choices(self._texts, k=_KEYS)) for number in range(definitions)
        ]
        self._apps = [_App(i, self._definitions[i // INSTANCES]) for i in range(INSTANCES * min(FLEETS, definitions))]
        self._count = count
        self._now, self._version, self._position = START, 1000, 0

    def events(self) -> Iterator[e.NewEvent]:
        return itertools.islice(self._events(), self._count)

    def _events(self) -> Iterator[e.NewEvent]:
        started = e.ControllerStarted("kro-es", 1, {"omit": True})
        yield self._new("controller", started, e.Subject(), _CONTROLLER)
        for definition in self._definitions:
            for _ in range(1 if definition.number < FLEETS else REVISIONS):
                yield from self._revised(definition)
        for app in self._apps:
            yield self._instance(app, "added")
            yield from self._passed(app, self._position)
        # a turn is some four events
        every = max(1, self._count // 4 // REVISIONS)
        for turn in itertools.count(1):
            if turn % every == 0:
                for definition in self._definitions[:FLEETS]:
                    if definition.revision < REVISIONS:
                        yield from self._revised(definition)
            yield from self._turn()

    def _turn(self) -> Iterator[e.NewEvent]:
        app, chance = self._chance.choice(self._apps), self._chance.random()
        if chance < _STATUS:
            yield self._child(app, 1, "modified", actor=_KUBE, ready=self._chance.randrange(app.replicas + 1))
        elif chance < _EDIT:
            yield self._edit(app)
            yield from self._passed(app, self._position)
        elif chance < _DRIFT:
            yield from self._drifted(app)
        elif chance < _REFUSED:
            yield self._edit(app)
            yield from self._refused(app, self._position)
        else:
            group, _, kind = self._chance.choice(_KINDS)
            since = self._now - self._chance.randrange(600) * STEP
            gap = e.WatchGap(f"{group}/{kind}", metadata.PART_OF, since, self._now, "expired")
            yield self._new(f"watch/{group}/{kind}", gap, e.Subject(group, kind), _CONTROLLER)

    def _new(
        self, stream: str, body: e.Body, subject: e.Subject, actor: e.Actor = _CONTROLLER, **more: Any
    ) -> e.NewEvent:
        self._now += STEP
        self._position += 1
        return e.NewEvent(stream, body, subject, actor, self._now, **more)

    def _seen(self, subject: e.Subject, obj: Object, change: Any, actor: e.Actor, **more: Any) -> e.NewEvent:
        self._version += 1
        obj["metadata"] |= {"name": subject.name, "uid": subject.uid, "resourceVersion": str(self._version)}
        if subject.namespace:
            obj["metadata"]["namespace"] = subject.namespace
        stream = f"object/{subject.group}/{subject.kind}/{subject.namespace}/{subject.name}"
        return self._new(
            stream, e.ObjectObserved(obj, change), subject, actor,
            resource_version=self._version, event_id=f"{self._version:032x}", **more,
        )  # fmt: skip

    def _revised(self, definition: Definition) -> Iterator[e.NewEvent]:
        """The edit, the revision, its activation."""
        definition.texts[self._chance.randrange(_KEYS)] = self._chance.choice(self._texts)
        definition.revision += 1
        revision, spec, name, uid = definition.revision, definition.spec, definition.name, definition.uid
        subject = e.Subject(metadata.GROUP, metadata.DEFINITION_KIND, "", name, uid)
        obj = {
            "apiVersion": metadata.DEFINITION_API_VERSION, "kind": metadata.DEFINITION_KIND,
            "metadata": {"generation": revision}, "spec": spec,
        }  # fmt: skip
        editor = _PERSON if self._chance.random() < 0.5 else _GITOPS
        yield self._seen(subject, obj, "modified", editor)
        kind = definition.kind
        issued = e.RevisionIssued(
            uid, name, revision, spec, f"{definition.number:056x}{revision:08x}", revision, ("n0", "n1", "n2"),
            metadata.GROUP, "v1alpha1", kind, f"{kind.lower()}s", "kro-es", "d",
        )  # fmt: skip
        rollout = f"rollout/{name}/{revision}"
        yield self._new(f"definition/{uid}", issued, subject, editor, cause=self._position, correlation=rollout)
        active = e.RevisionActivated(uid, name, revision, INSTANCES)
        yield self._new(f"definition/{uid}", active, subject, cause=self._position, correlation=rollout)

    def _edit(self, app: _App) -> e.NewEvent:
        app.generation += 1
        app.value = f"{self._chance.getrandbits(48):012x}"
        app.replicas = self._chance.randrange(1, 9)
        return self._instance(app, "modified")

    def _instance(self, app: _App, change: str) -> e.NewEvent:
        labels = {metadata.DEFINITION_ID: app.definition.uid}
        obj = {
            "apiVersion": f"{metadata.GROUP}/v1alpha1", "kind": app.definition.kind,
            "metadata": {"generation": app.generation, "labels": labels},
            "spec": {"value": app.value, "replicas": app.replicas}, "status": {"state": "ACTIVE"},
        }  # fmt: skip
        return self._seen(app.subject, obj, change, _PERSON if self._chance.random() < 0.1 else _GITOPS)

    def _child(self, app: _App, node: int, change: str, *, value: str = "", ready: int = 0, **more: Any) -> e.NewEvent:
        group, _, kind = _KINDS[node]
        name = f"{app.name}-n{node}"
        labels = {
            metadata.PART_OF: f"applyset-{app.number}", metadata.INSTANCE_ID: app.uid, metadata.NODE_ID: f"n{node}",
            metadata.INSTANCE_KIND: app.definition.kind, metadata.INSTANCE_NAME: app.name,
        }  # fmt: skip
        content = (self._config, self._deployment, self._service)[node](app, value or app.value, ready)
        obj = {**_head(node), "metadata": {"labels": labels}, **content}
        return self._seen(e.Subject(group, kind, NAMESPACE, name, f"uid-{name}"), obj, change, **more)

    def _config(self, app: _App, value: str, ready: int) -> Object:
        return {"data": {"value": value, **{f"key-{i}": f"value {i} of {app.name}" for i in range(12)}}}

    def _deployment(self, app: _App, value: str, ready: int) -> Object:
        container = {
            "name": "app", "image": f"registry.example/app:{app.definition.revision}.0",
            "env": [{"name": "VALUE", "value": value}], "imagePullPolicy": "IfNotPresent", "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }  # fmt: skip
        labels = {"app": app.name}
        pods = {"containers": [container], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}
        spec = {
            "replicas": app.replicas, "selector": {"matchLabels": labels}, "revisionHistoryLimit": 10,
            "template": {"metadata": {"labels": labels}, "spec": pods},
        }  # fmt: skip
        condition = {
            "type": "Available", "status": "True" if ready else "False", "reason": "MinimumReplicasAvailable",
            "lastTransitionTime": self._now,
        }  # fmt: skip
        return {"spec": spec, "status": {"replicas": app.replicas, "readyReplicas": ready, "conditions": [condition]}}

    def _service(self, app: _App, value: str, ready: int) -> Object:
        ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
        return {"spec": {"selector": {"app": app.name}, "ports": ports, "clusterIP": f"10.0.{app.number // 250}.7"}}

    def _decided(self, app: _App, cause: int, nodes: Iterable[int], drift: tuple[Object, ...] = ()) -> e.NewEvent:
        writes = tuple(
            e.Write(index, "apply", *_KINDS[node], NAMESPACE, f"{app.name}-n{node}", "", "kro.run/applyset", f"n{node}")
            for index, node in enumerate(nodes)
        )
        subject, definition = app.subject, app.definition
        stream = f"object/{subject.group}/{subject.kind}/{NAMESPACE}/{app.name}"
        decided = e.ReconcileDecided(
            self._now, cause, (e.Input(stream, app.generation, cause),), writes,
            tuple(e.NodeReport(f"n{node}", "SYNCED") for node in range(len(_KINDS))), definition.revision,
            definition.uid, "kro-es", "IN_PROGRESS", drift,
        )  # fmt: skip
        return self._new(f"instance/{app.uid}", decided, subject, cause=cause, correlation=self._rollout(app))

    def _rollout(self, app: _App) -> str:
        return f"rollout/{app.definition.name}/{app.definition.revision}"

    def _passed(
        self, app: _App, cause: int, nodes: tuple[int, ...] = (0, 1, 2), drift: tuple[Object, ...] = ()
    ) -> Iterator[e.NewEvent]:
        """The decision, its writes with their answers, and the instance settles."""
        yield self._decided(app, cause, nodes, drift)
        intent = self._position
        for index, node in enumerate(nodes):
            yield from self._applied(app, intent, index, node)
        yield self._settled(app, intent, "")

    def _applied(self, app: _App, intent: int, index: int, node: int) -> Iterator[e.NewEvent]:
        rollout = self._rollout(app)
        seen = self._child(app, node, "response", actor=_APPLIER, cause=intent, correlation=rollout)
        yield seen
        applied = e.ResourceApplied(intent, index, f"n{node}", "d", "o", "f", None, created=False, changed=True)
        yield self._new(f"instance/{app.uid}", applied, seen.subject, cause=intent, correlation=rollout)

    def _settled(self, app: _App, intent: int, message: str) -> e.NewEvent:
        definition, state = app.definition, "ERROR" if message else "ACTIVE"
        body = e.InstanceSettled(
            definition.uid, definition.revision, app.generation, state, ready=not message, message=message
        )
        return self._new(f"instance/{app.uid}", body, app.subject, cause=intent, correlation=self._rollout(app))

    def _drifted(self, app: _App) -> Iterator[e.NewEvent]:
        yield self._child(app, 0, "modified", actor=_PERSON, value="by hand")
        found = {"node": "n0", "path": "data.value", "from": app.value, "to": "by hand", "manager": _PERSON.name}
        yield from self._passed(app, self._position, (0,), (found,))

    def _refused(self, app: _App, cause: int) -> Iterator[e.NewEvent]:
        yield self._decided(app, cause, (0, 1))
        intent = self._position
        yield from self._applied(app, intent, 0, 0)
        failed = e.WriteFailed(intent, 1, "n1", 422, "Invalid", "the quota of the namespace is used up")
        name = f"{app.name}-n1"
        subject = e.Subject("apps", "Deployment", NAMESPACE, name, f"uid-{name}")
        rollout = self._rollout(app)
        yield self._new(f"instance/{app.uid}", failed, subject, cause=intent, correlation=rollout)
        yield self._settled(app, intent, failed.message)


def digest(events: Iterable[e.NewEvent]) -> str:
    """SHA-256 over everything the events say."""
    found = hashlib.sha256()
    for event in events:
        head = [event.stream, event.occurred_at, event.resource_version, event.cause, event.correlation, event.event_id]
        said = [*head, event.subject, event.actor, codec.encode(event.body)]
        found.update(orjson.dumps(said, option=orjson.OPT_SORT_KEYS))
    return found.hexdigest()
