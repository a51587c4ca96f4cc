"""A recorded incident: a web shop's definition is edited, one edit goes wrong, it is rolled back.

The same events in every run. What happens when (UTC, 2 March 2026): 09:00 first revision, four instances · 09:30 an edit
is refused · 10:00 revision 2 rolls out · 10:20 somebody scales a Deployment by hand, it is healed · 11:00 revision 3: one
Deployment never gets ready, one write is refused · 11:10 the controller is down for six minutes; meanwhile a ConfigMap is
edited · 11:20 rollback: revision 4 is the content of 2 · 12:00 one instance is deleted.
"""

from __future__ import annotations

import copy

from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.events import types as e
from kro_es.events.from_watch import subject_of
from kro_es.store.engine import open_engine
from tests.support.recorder import CONTROLLER, ENGINE, START, Recorder, identity, manager

GITOPS, KUBECTL, EDIT = manager("argocd-controller"), manager("kubectl-client-side-apply"), manager("kubectl-edit")
KUBELET = manager("kube-controller-manager")
APPLIER = e.Actor("kro.run/applyset", "controller")
DANA = e.Actor("dana", "cli")
END = START + 4 * 3600 * 1_000_000
"""13:00, the moment the tests ask from."""
WAITING = "waiting for readyWhen: deployment.status.availableReplicas == deployment.spec.replicas"
DEFINITION_UID = identity("definition", "webshop")


def definition(image_tag: str = "1.0", **extra: object) -> JsonObject:
    """The definition's spec differs between revisions in the image's tag and in ``extra`` environment values."""
    env = [{"name": name, "value": value} for name, value in extra.items()]
    container = {"name": "app", "image": f"registry.example/shop:{image_tag}", "env": env}
    labels = {"app": "${schema.metadata.name}"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "${schema.metadata.name}"},
        "spec": {
            "replicas": "${schema.spec.replicas}",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "${schema.metadata.name}-config"},
        "data": {"theme": "${schema.spec.theme}"},
    }
    ready = ["${deployment.status.availableReplicas == deployment.spec.replicas}"]
    return {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "ResourceGraphDefinition",
        "metadata": {"name": "webshop", "uid": DEFINITION_UID},
        "spec": {
            "schema": {
                "apiVersion": "v1alpha1",
                "kind": "WebShop",
                "spec": {"replicas": "integer | default=2", "theme": "string | default=light"},
            },
            "resources": [
                {"id": "config", "template": config},
                {"id": "deployment", "template": deployment, "readyWhen": ready},
            ],
        },
    }


class Incident:
    """Writes the log, step by step."""

    def __init__(self, recorder: Recorder) -> None:
        self.rec = recorder
        self.tags = {1: "1.0", 2: "1.1", 3: "2.0", 4: "1.1"}
        self.instances = [
            self._instance("shop", "prod", replicas=2),
            self._instance("blog", "prod", replicas=1),
            self._instance("docs", "prod", replicas=1),
            self._instance("shop", "staging", replicas=1),
        ]

    def write(self, *, unsolved: bool = False) -> None:
        """``unsolved`` stops at 11:17: nothing is rolled back yet."""
        rec = self.rec
        self._started()
        rec.wait(10)
        self.roll_out(1, rec.define(definition("1.0"), KUBECTL, 1), new=True)
        self._refused_edit()
        self._at(60 * 60)
        self.roll_out(2, rec.define(definition("1.1"), KUBECTL, 2))
        self._at(80 * 60)
        self._drift()
        self._at(120 * 60)
        self._broken_rollout()
        self._at(130 * 60)
        self._downtime()
        if unsolved:
            return
        self._at(140 * 60)
        self._roll_back()
        self._at(180 * 60)
        self._delete(self.instances[2])

    def _at(self, seconds: int) -> None:
        assert START + seconds * 1_000_000 > self.rec.now
        self.rec.now = START + seconds * 1_000_000

    def _instance(self, name: str, namespace: str, replicas: int) -> JsonObject:
        meta = {
            "name": name,
            "namespace": namespace,
            "uid": identity("instance", namespace, name),
            "labels": {"kro.run/resource-graph-definition-id": DEFINITION_UID},
        }
        spec = {"replicas": replicas, "theme": "light"}
        return {"apiVersion": "kro.run/v1alpha1", "kind": "WebShop", "metadata": meta, "spec": spec}

    def _started(self) -> None:
        body = e.ControllerStarted(ENGINE, self.rec.fence)
        self.rec.append(e.NewEvent("controller", body, e.Subject(), CONTROLLER, self.rec.now))

    def _child(self, instance: JsonObject, node: str, tag: str) -> JsonObject:
        """What the server returns for a node; a new object has no status yet."""
        name, namespace = instance["metadata"]["name"], instance["metadata"]["namespace"]
        meta = {
            "namespace": namespace,
            "labels": {
                "applyset.kubernetes.io/part-of": f"applyset-{identity('set', namespace, name)[:8]}-v1",
                "kro.run/instance-id": instance["metadata"]["uid"],
                "kro.run/node-id": node,
            },
        }
        if node == "config":
            return {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"{name}-config", **meta},
                "data": {"theme": instance["spec"]["theme"]},
            }
        template = copy.deepcopy(definition(tag)["spec"]["resources"][1]["template"]["spec"])
        template["replicas"] = instance["spec"]["replicas"]
        template["selector"]["matchLabels"] = template["template"]["metadata"]["labels"] = {"app": name}
        found = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **meta}, "spec": template}
        before = self.rec.objects.get(f"apps/Deployment/{namespace}/{name}")
        return {**found, "status": before["status"]} if before else found

    def roll_out(self, number: int, activated: e.Event, *, new: bool = False) -> None:
        for instance in self.instances:
            cause = activated
            if new:
                self.rec.wait(20)
                cause = self.rec.see(instance, GITOPS, "added")
            nodes = ("config", "deployment") if new else ("deployment",)
            self._apply(instance, number, cause.position, nodes)
        for index, instance in enumerate(self.instances):
            self.rec.wait(4 + 3 * index)
            self._ready(instance, number)

    def _writes(self, instance: JsonObject, nodes: tuple[str, ...]) -> list[e.Write]:
        namespace, name = instance["metadata"]["namespace"], instance["metadata"]["name"]
        known = {"config": ("", "v1", "ConfigMap", f"{name}-config"), "deployment": ("apps", "v1", "Deployment", name)}
        found = []
        for index, node in enumerate(nodes):
            group, version, kind, child = known[node]
            found.append(
                e.Write(index, "apply", group, version, kind, namespace, child, "", "kro.run/applyset", node, "d")
            )
        return found

    def _apply(
        self, instance: JsonObject, number: int, cause: int, nodes: tuple[str, ...], drift: tuple[JsonObject, ...] = ()
    ) -> e.Event:
        """Intent, writes and outcomes; drift repairs belong to no rollout."""
        waits = e.NodeReport("deployment", "WAITING_FOR_READINESS", WAITING) if nodes == ("config",) else None
        reports = [e.NodeReport("config", "SYNCED"), waits or e.NodeReport("deployment", "IN_PROGRESS")]
        rollout = "" if drift else f"rollout/webshop/{number}"
        decided = self.rec.decided(
            instance, self._writes(instance, nodes), reports, cause=cause, revision=number,
            definition_uid=DEFINITION_UID, state="IN_PROGRESS", drift=drift,
            why="drift" if drift else "desired state changed", correlation=rollout,
        )  # fmt: skip
        for index, node in enumerate(nodes):
            self.rec.wait(0.03)
            child = self._child(instance, node, self.tags[number])
            if node == "deployment" and not drift:
                child.setdefault("status", {"availableReplicas": 0})
            if number == 3 and instance["metadata"]["name"] == "blog":
                self._write_failed(instance, decided, index, node, rollout)
                continue
            created = ObjectRef.of(child).key not in self.rec.objects
            seen = self.rec.observation(child, APPLIER, "response", cause=decided.position, correlation=rollout)
            digests = (f"desired-{number}", f"owned-{number}", "fields")
            body = e.ResourceApplied(decided.position, index, node, *digests, None, created, changed=True)
            subject = subject_of(self.rec.last(child))
            self.rec.append(
                seen, self.rec.of(instance, body, cause=decided.position, correlation=rollout, subject=subject)
            )
        return decided

    def _write_failed(self, instance: JsonObject, decided: e.Event, index: int, node: str, rollout: str) -> None:
        text = 'admission webhook "quota.example" denied the request: image registry.example/shop:2.0 is not signed'
        body = e.WriteFailed(decided.position, index, node, 403, "Forbidden", text)
        subject = e.Subject("apps", "Deployment", "prod", "blog")
        self.rec.append(self.rec.of(instance, body, cause=decided.position, correlation=rollout, subject=subject))

    def _ready(self, instance: JsonObject, number: int) -> e.Event:
        """The Deployment's own controller brings up its pods, then the instance settles."""
        child = self.rec.last(self._child(instance, "deployment", self.tags[number]))
        replicas = child["spec"]["replicas"]
        status = {"availableReplicas": replicas, "observedGeneration": child["metadata"]["generation"]}
        seen = self.rec.see({**child, "status": status}, KUBELET)
        return self._settled(instance, number, seen.position, "ACTIVE")

    def _settled(self, instance: JsonObject, number: int, cause: int, state: str, message: str = "") -> e.Event:
        node = "SYNCED" if state == "ACTIVE" else "ERROR" if state == "ERROR" else "WAITING_FOR_READINESS"
        reports = [e.NodeReport("config", "SYNCED"), e.NodeReport("deployment", node, message)]
        rollout = f"rollout/webshop/{number}"
        meta = instance["metadata"]
        status = e.Write(
            0, "put", "kro.run", "v1alpha1", "WebShop", meta["namespace"], meta["name"], "status", "kro-es"
        )
        decided = self.rec.decided(
            instance, [status], reports, cause=cause, revision=number, definition_uid=DEFINITION_UID, state=state,
            why="status", correlation=rollout,
        )  # fmt: skip
        self.rec.wait(0.02)
        shown = {**self.rec.last(instance), "status": {"state": state}}
        seen = self.rec.observation(
            shown, e.Actor("kro-es", "controller"), "response", cause=decided.position, correlation=rollout
        )
        done = e.WriteDone(decided.position, 0, "status")
        generation = self.rec.last(instance)["metadata"]["generation"]
        body = e.InstanceSettled(DEFINITION_UID, number, generation, state, state == "ACTIVE", message)
        tied = [self.rec.of(instance, one, cause=decided.position, correlation=rollout) for one in (done, body)]
        return self.rec.append(seen, *tied)[-1]

    def _refused_edit(self) -> None:
        self._at(30 * 60)
        broken = definition("1.0")
        broken["spec"]["resources"][1]["readyWhen"] = ["${deploymnt.status.availableReplicas > 0}"]
        fault = {
            "message": 'undeclared reference to "deploymnt"', "resource": "deployment", "path": "readyWhen[0]",
            "expression": "deploymnt.status.availableReplicas > 0", "column": 1,
        }  # fmt: skip
        self.rec.refuse(broken, KUBECTL, fault)

    def _drift(self) -> None:
        """kubectl edit: two replicas become five and, in the same edit, another image."""
        instance = self.instances[0]
        child = copy.deepcopy(self.rec.last(self._child(instance, "deployment", "1.1")))
        child["spec"]["replicas"] = 5
        child["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/shop:hotfix"
        seen = self.rec.see(child, EDIT)
        drift = (
            {"node": "deployment", "path": "spec.replicas", "from": 2, "to": 5},
            {
                "node": "deployment", "path": "spec.template.spec.containers[0].image",
                "from": "registry.example/shop:1.1", "to": "registry.example/shop:hotfix",
            },
        )  # fmt: skip
        self._apply(instance, 2, seen.position, ("deployment",), drift)
        self.rec.wait(5)
        self._ready(instance, 2)

    def _broken_rollout(self) -> None:
        activated = self.rec.define(definition("2.0"), KUBECTL, 3)
        for instance in self.instances:
            decided = self._apply(instance, 3, activated.position, ("deployment",))
            if instance["metadata"]["name"] == "blog":
                self.rec.wait(1)
                self._settled(instance, 3, decided.position, "ERROR", "write of Deployment blog refused: not signed")
        for instance in (self.instances[2], self.instances[3]):
            self.rec.wait(6)
            self._ready(instance, 3)
        child = self.rec.last(self._child(self.instances[0], "deployment", "2.0"))
        condition = {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}
        condition["message"] = "Deployment does not have minimum availability."
        status = {"availableReplicas": 0, "conditions": [condition]}
        self.rec.wait(30)
        seen = self.rec.see({**child, "status": status}, KUBELET)
        self._settled(self.instances[0], 3, seen.position, "IN_PROGRESS", WAITING)

    def _downtime(self) -> None:
        body = e.ControllerStopped(self.rec.fence)
        self.rec.append(e.NewEvent("controller", body, e.Subject(), CONTROLLER, self.rec.now))
        since = self.rec.now
        self.rec.wait(6 * 60)
        self._started()
        for kind in ("/ConfigMap", "apps/Deployment", "kro.run/WebShop"):
            group, _, name = kind.rpartition("/")
            gap = e.WatchGap(kind, "applyset.kubernetes.io/part-of", since, self.rec.now, "restart")
            subject = e.Subject(group, name)
            self.rec.append(e.NewEvent(f"watch/{kind}", gap, subject, CONTROLLER, self.rec.now))
        instance = self.instances[0]
        config = copy.deepcopy(self.rec.last(self._child(instance, "config", "2.0")))
        config["data"]["theme"] = "dark"
        seen = self.rec.see(config, EDIT, "listed", late=True)
        drift = ({"node": "config", "path": "data.theme", "from": "light", "to": "dark"},)
        self._apply(instance, 3, seen.position, ("config",), drift)

    def _roll_back(self) -> None:
        wanted = definition("1.1")
        obj = self.rec.last(wanted)
        reason = "checkout is down"
        asked = e.CommandRollback(obj["metadata"]["uid"], "webshop", 2, 3, "hash-of-2", reason)
        command = self.rec.command(wanted, asked, DANA)
        activated = self.rec.define(
            wanted, manager("kro-history"), 4, cause=command.position, reason=reason, rolled_back_to=2, actor=DANA,
            correlation=command.correlation,
        )  # fmt: skip
        self.roll_out(4, activated)

    def _delete(self, instance: JsonObject) -> None:
        going = self.rec.last(instance)
        meta = {**going["metadata"], "deletionTimestamp": "2026-03-02T12:00:00Z"}
        seen = self.rec.see({**going, "metadata": meta}, manager("kubectl"))
        children = [self.rec.last(self._child(instance, node, "1.1")) for node in ("deployment", "config")]
        writes = [
            e.Write(index, "delete", *_parts(child), node=child["metadata"]["labels"]["kro.run/node-id"])
            for index, child in enumerate(children)
        ]
        decided = self.rec.decided(
            instance, writes, [], cause=seen.position, revision=4, definition_uid=DEFINITION_UID, state="DELETING",
            why="deleting resources",
        )  # fmt: skip
        for write, child in zip(writes, children, strict=True):
            self.rec.wait(0.2)
            body = e.ResourceDeleted(decided.position, write.index, write.node, gone=False)
            subject = subject_of(child)
            self.rec.append(self.rec.of(instance, body, cause=decided.position, subject=subject))
            self.rec.gone(child, e.ObjectDeleted("response"))
        self.rec.append(self.rec.of(instance, e.InstanceGone(DEFINITION_UID), cause=decided.position))
        self.rec.wait(0.1)
        self.rec.gone(going, e.ObjectDeleted())


def _parts(obj: JsonObject) -> tuple[str, str, str, str, str]:
    group, _, version = obj["apiVersion"].rpartition("/")
    return group, version, obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]


def write_incident(url: str, *, unsolved: bool = False) -> str:
    """Writes the incident into an empty database; returns its URL."""
    engine = open_engine(url)
    Incident(Recorder(engine)).write(unsolved=unsolved)
    engine.dispose()
    return url
