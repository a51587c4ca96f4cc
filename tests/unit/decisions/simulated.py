"""An API server in memory that takes every write a decision makes, and the inputs the next decision reads."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

from kro_es.api.definition import parse
from kro_es.api.objects import JsonObject, JsonValue, ObjectRef, Resource, labels
from kro_es.api.selector import Selector
from kro_es.decisions.decide import Decision, decide
from kro_es.decisions.inputs import Child, Followed, InstanceInputs
from kro_es.decisions.writes import PlannedWrite
from kro_es.events.redaction import Redactor
from kro_es.graph.compile import compile_graph
from kro_es.graph.node import ResourceGraph
from kro_es.plan import owned
from kro_es.projections.projection import Row
from kro_es.runtime.expand import Fatal
from tests.unit.graph.kinds import KINDS

NOW = 1_700_000_000_000_000


def config_map(node: str, name: str, data: JsonObject | None = None, **more: JsonValue) -> JsonObject:
    template = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {}}
    return {"id": node, "template": template, **more}


def compiled(*resources: JsonObject, **schema: JsonValue) -> ResourceGraph:
    spec = {"names": "[]string", "text": "string", "on": "boolean"}
    base = {"kind": "Thing", "apiVersion": "v1alpha1", "spec": spec}
    metadata = {"name": "things", "uid": "d", "generation": 1}
    return compile_graph(
        parse({"metadata": metadata, "spec": {"schema": {**base, **schema}, "resources": list(resources)}}), KINDS
    )


def _fields(obj: JsonValue) -> JsonObject:
    """What a manager owns after applying ``obj``; lists as a whole."""
    if not isinstance(obj, dict):
        return {}
    return {f"f:{name}": _fields(value) for name, value in obj.items() if name not in ("apiVersion", "kind", "name")}


@dataclass
class Simulated:
    """``settle`` runs decisions until one has nothing to do, as a pass does."""

    graph: ResourceGraph
    spec: JsonObject
    instance: JsonObject = field(init=False)
    objects: dict[ObjectRef, JsonObject] = field(default_factory=dict)
    others: dict[ObjectRef, JsonObject] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Names the server refuses to take, with its message."""
    unreadable: str = ""
    """Why objects of others cannot be read."""
    owners: dict[str, str] = field(default_factory=dict)
    """Name to the apply set that is recorded as its owner."""
    now: int = NOW
    max_collection: int = 1000
    _nodes: dict[str, Row] = field(default_factory=dict)
    _sets: dict[str, JsonObject] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _settled: Row | None = None
    _version: int = 0

    def __post_init__(self) -> None:
        meta = {
            "name": "i",
            "namespace": "n",
            "uid": "iu",
            "generation": 1,
            "creationTimestamp": "2023-01-01T00:00:00Z",
        }
        self.instance = {"apiVersion": "kro.run/v1alpha1", "kind": "Thing", "metadata": meta, "spec": self.spec}

    def edit(self, **spec: JsonValue) -> None:
        self.instance = {**self.instance, "spec": {**self.instance["spec"], **spec}}
        self.instance["metadata"]["generation"] += 1

    def settle(self) -> list[Decision]:
        """Every decision made, the last one with nothing to write."""
        self._failed.clear()
        found = []
        for _ in range(20):
            found.append(decide(self.inputs()))
            if not found[-1].writes:
                return found
            for write in found[-1].writes:
                self._take(write)
        raise AssertionError("it does not come to rest")

    def child_writes(self) -> list[tuple[str, str]]:
        """Verb and name of every write to a child until it rests."""
        return [(write.verb, write.ref.name) for made in self.settle() for write in made.writes if write.node]

    # -- Externals

    def named(self, resource: Resource, namespace: str, name: str) -> Child | None:
        if self.unreadable:
            raise Fatal(self.unreadable)
        ref = ObjectRef(resource.gvk.group, resource.gvk.kind, namespace, name)
        return self._child(self.others[ref]) if ref in self.others else None

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[Child]:
        return [self._child(obj) for ref, obj in sorted(self.others.items()) if selector.matches(labels(obj))]

    @property
    def unread(self) -> dict[str, str]:
        return {}

    @property
    def found(self) -> Sequence[Child]:
        return [self._child(obj) for obj in self.others.values()]

    # -- the server

    def inputs(self) -> InstanceInputs:
        redactor = Redactor.of(b"k" * 32)
        return InstanceInputs(
            instance=self.instance,
            instance_row={"uid": self.instance["metadata"]["uid"], "position": 1, "stream_version": 1},
            followed=Followed("things", "d", 1, self.graph, 1),
            children=tuple(self._child(obj) for obj in self.objects.values()),
            externals=self,
            nodes=self._nodes,
            offenders=(),
            settled=self._settled,
            field_set=self._sets.get,
            seen_fields={},
            owner_of=lambda ref: self.owners.get(ref.name, ""),
            redact=lambda obj: obj,
            redactor=redactor,
            status_paths=(),
            position=1,
            now=self.now,
            version="v1",
            failed=dict(self._failed),
            max_collection=self.max_collection,
        )

    def _child(self, obj: JsonObject) -> Child:
        node = labels(obj).get("kro.run/node-id", "")
        return Child(
            obj,
            {
                "uid": obj["metadata"]["uid"],
                "node": node,
                "position": 1,
                "stream_version": 1,
                "actor": "m",
                "editor": "m",
            },
        )

    def _take(self, write: PlannedWrite) -> None:
        if write.what == "delete":
            del self.objects[write.ref]
            self._nodes.pop(write.node, None)
        elif write.what == "status":
            self.instance = {**self.instance, "status": copy.deepcopy(write.body["status"])}
        elif not write.node:
            meta, given = self.instance["metadata"], write.body["metadata"]
            for part in ("labels", "annotations"):
                meta[part] = {**meta.get(part, {}), **given.get(part, {})}
            meta["finalizers"] = given.get("finalizers") or meta.get("finalizers")
        elif write.ref.name in self.refused:
            self._failed[write.node] = self.refused[write.ref.name]
        else:
            self._apply(write)

    def _apply(self, write: PlannedWrite) -> None:
        self._version += 1
        obj = copy.deepcopy(write.body)
        before = self.objects.get(write.ref)
        obj["metadata"]["uid"] = before["metadata"]["uid"] if before else f"uid-{self._version}"
        fields = _fields(write.body)
        self.objects[write.ref] = obj
        digest = owned.digest(fields)
        self._sets[digest] = fields
        self._nodes[write.node] = {
            "node": write.node, "uid": obj["metadata"]["uid"], "desired_digest": write.digest, "fields_digest": digest,
            "owned_digest": owned.owned_digest(obj, fields), "kind": write.ref.kind, "namespace": write.ref.namespace,
            "name": write.ref.name, "state": "", "reason": "", "applied_position": self._version,
        }  # fmt: skip
