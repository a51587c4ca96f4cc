"""Desired children against live ones: what must be applied, what drifted, and what belongs to somebody else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, Resource, annotations_of, labels, terminating, uid
from kro_es.decisions import ledger
from kro_es.decisions.differences import differences
from kro_es.decisions.inputs import Child, InstanceInputs, item_key
from kro_es.decisions.writes import PlannedWrite
from kro_es.events.types import ResourceTakenOver
from kro_es.graph.node import Node
from kro_es.plan import owned
from kro_es.plan.applyset import applyset_id, child_annotations, child_labels, item_labels
from kro_es.projections.projection import Row
from kro_es.runtime.resolve import NodeResult

CHILDREN = 2
"""Stage of child writes: after finalizer (0) and inventory (1), so that a crash never leaves a child unlisted."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object a node stands for, and its place among them."""

    node: Node
    desired: JsonObject
    index: int
    size: int
    live: Child | None
    labels: Mapping[str, str]
    """Those of every child of the node."""

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.desired)

    def key(self, ref: ObjectRef) -> str:
        """What its outcome is recorded under."""
        return item_key(self.node.id, ref) if self.node.for_each else self.node.id

    @property
    def id(self) -> str:
        """As kro numbers them in messages."""
        return f"{self.node.id}-{self.index}" if self.node.for_each else self.node.id


@dataclass(frozen=True, slots=True)
class Comparison:
    """One object against the cluster."""

    item: Item
    ref: ObjectRef
    desired: JsonObject
    write: PlannedWrite | None = None
    drift: tuple[JsonObject, ...] = ()
    error: str = ""
    wait: int = 0
    """Microseconds until the error ends by itself; 0 when it does not."""
    terminating: str = ""
    taken_over: tuple[Child, ResourceTakenOver] | None = None
    """Live object of a node that needs no write but has no apply in the log."""


def items_of(inputs: InstanceInputs, result: NodeResult, by_uid: Mapping[str, Child]) -> Iterator[Item]:
    """The objects a node stands for; none where nothing is written or what should be is not known."""
    assert inputs.followed is not None
    if not result.desired:
        return
    own = child_labels(inputs.instance, inputs.followed.graph.instance, result.node.id, inputs.version)
    size = len(result.desired)
    for index, (desired, there) in enumerate(zip(result.desired, result.observed, strict=True)):
        yield Item(result.node, desired, index, size, by_uid[uid(there)] if there is not None else None, own)


def stamped(item: Item) -> JsonObject:
    """The rendered object with everything the controller adds (spec/03 §2.2); ``stringData`` folded into ``data``."""
    node, desired = item.node, item.desired
    meta = dict(desired["metadata"])
    meta["labels"] = {
        **(meta.get("labels") or {}),
        **item.labels,
        **(item_labels(item.index, item.size) if node.for_each else {}),
    }
    meta["annotations"] = {**(meta.get("annotations") or {}), **child_annotations(node.order)}
    return _folded({**desired, "metadata": meta})


def _folded(obj: JsonObject) -> JsonObject:
    if obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1" or "stringData" not in obj:
        return obj
    encoded = {
        name: base64.b64encode(value.encode()).decode() if isinstance(value, str) else value
        for name, value in (obj["stringData"] or {}).items()
    }
    return {
        **{name: value for name, value in obj.items() if name != "stringData"},
        "data": {**(obj.get("data") or {}), **encoded},
    }


def compare(inputs: InstanceInputs, item: Item) -> Comparison:
    """What the object needs; spec/03 §6 with the comparison of architecture §2 (two digests, no rendered defaults)."""
    live = item.live
    desired = stamped(item)
    ref = item.ref
    key = item.key(ref)
    if live is not None and terminating(live.object):
        return Comparison(item, ref, desired, terminating=_terminating_text(ref, item.node.id))
    # a live child is known by our label: only what is not there yet may be somebody else's
    theirs = inputs.owner_of(ref) if live is None else ""
    ours = applyset_id(ObjectRef.of(inputs.instance)) if theirs else ""
    if theirs != ours:
        return Comparison(item, ref, desired, error=foreign_text(ref, item.node.resource, theirs, ours))
    digest = owned.digest(inputs.redact(desired))
    row = inputs.nodes.get(key)
    drift: tuple[JsonObject, ...] = ()
    if live is not None and row is not None and row["desired_digest"] == digest and row["uid"] == live.row["uid"]:
        fields = inputs.field_set(str(row["fields_digest"]))
        recorded = inputs.redact(live.object)
        if fields is not None and owned.owned_digest(recorded, fields) == row["owned_digest"]:
            return Comparison(item, ref, desired)
        drift = ledger.same_hand(inputs, _drift(inputs, key, desired, recorded, fields, str(live.row["editor"])))
    taken = _taken_over(inputs, key, desired, digest, live, row)
    if taken is not None:
        return Comparison(item, ref, desired, taken_over=taken)
    if key in inputs.failed:
        return Comparison(item, ref, desired, drift=drift, error=inputs.failed[key])
    put_back = ledger.put_back(inputs, drift)
    fight = ledger.fight(inputs, ref, drift)
    # a repair that was refused waits for its retry: nobody has changed anything since
    if fight is not None and not put_back["since"]:
        return Comparison(item, ref, desired, drift=drift, error=fight.text, wait=fight.wait)
    # nothing is known of an apply: what the server writes in its own way reads as a difference and must stay a no-op
    body = _with_version_of(live.object, desired) if live is not None and row is None else desired
    ours_there = live is not None or bool(theirs)
    return Comparison(
        item, ref, desired, _apply(item, body, digest, ours_there or _recorded_at(row, ref), put_back), drift
    )


def _apply(item: Item, body: JsonObject, digest: str, force: bool, put_back: JsonObject) -> PlannedWrite:
    """``force`` where the log shows that the object is ours, of this node or of another one, or was."""
    ref = item.ref
    return PlannedWrite(
        CHILDREN,
        "apply",
        item.node.resource,
        ref,
        body,
        metadata.CHILD_MANAGER,
        node=item.key(ref),
        digest=digest,
        force=force,
        puts_back=put_back,
    )


def _with_version_of(live: JsonObject, desired: JsonObject) -> JsonObject:
    meta = desired["metadata"]
    version = labels(live).get(metadata.VERSION, meta["labels"][metadata.VERSION])
    return {**desired, "metadata": {**meta, "labels": {**meta["labels"], metadata.VERSION: version}}}


def _taken_over(
    inputs: InstanceInputs, node: str, desired: JsonObject, digest: str, live: Child | None, row: Row | None
) -> tuple[Child, ResourceTakenOver] | None:
    """With no recorded digest, or one under another redaction key, the fields we own are compared (architecture §2)."""
    if live is None:
        return None
    wanted, recorded = inputs.redact(desired), inputs.redact(live.object)
    fields = inputs.seen_fields.get(str(live.row["uid"]))
    if fields is None and row is not None and row["uid"] == live.row["uid"] and wanted != desired:
        # digests of secrets mean nothing under a new key: the values themselves still agree or do not
        fields = inputs.field_set(str(row["fields_digest"])) if row["desired_digest"] != digest else None
    if fields is None or not owned.agrees(wanted, recorded, fields):
        return None
    return live, ResourceTakenOver(
        node, digest, owned.owned_digest(recorded, fields), owned.digest(fields), inputs.position, inputs.served_by,
        inputs.given,
    )  # fmt: skip


def _recorded_at(row: Row | None, ref: ObjectRef) -> bool:
    return row is not None and (row["kind"], row["namespace"], row["name"]) == (ref.kind, ref.namespace, ref.name)


def _drift(
    inputs: InstanceInputs, node: str, desired: JsonObject, live: JsonObject, fields: JsonObject | None, manager: str
) -> tuple[JsonObject, ...]:
    """Fields of the template that read differently in the live object; values redacted. ``manager`` changed it last."""
    wanted = inputs.redact(desired)
    found = differences(wanted, live, fields or {})
    # items of a list in another order do not show by position
    changes = found or [{"path": "", "from": None, "to": None}]
    return tuple({"node": node, **change, "manager": manager} for change in changes)


def _terminating_text(ref: ObjectRef, node: str) -> str:
    where = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    return (
        f'resource "{where}" for node "{node}" is currently being deleted; '
        "waiting for deletion to complete before continuing reconciliation"
    )


def foreign_text(ref: ObjectRef, resource: Resource, theirs: str, ours: str) -> str:
    """An object of another apply set, in kro's words (spec/03 §6)."""
    where = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    gvk = resource.gvk
    return (
        f"resource belongs to a different ApplySet: {where} ({gvk.group}/{gvk.version}, Kind={gvk.kind}) "
        f'belongs to ApplySet "{theirs}", cannot reassign to "{ours}"'
    )


def orphans(inputs: InstanceInputs, members: Iterable[Child], wanted: Set[ObjectRef]) -> tuple[Child, ...]:
    """Live members of the apply set that no node of the graph stands for any more."""
    there = {child.uid for child in inputs.children}
    return tuple(child for child in members if child.ref not in wanted and not _derived(inputs, child, there))


def _derived(inputs: InstanceInputs, child: Child, there: Set[str]) -> bool:
    """Made by a controller of the cluster from one of ours, whose labels it copies: endpoints of a Service."""
    owners = child.object["metadata"].get("ownerReferences") or ()
    if any(owner.get("controller") and owner.get("uid") in there for owner in owners):
        return True
    row = inputs.nodes.get(child.node)
    return metadata.APPLY_ORDER not in annotations_of(child.object) and (row is None or row["uid"] != child.uid)


def conflicts(items: Iterable[Comparison]) -> str:
    """Two nodes that stand for the same object, in kro's words; empty when there are none."""
    seen: dict[ObjectRef, str] = {}
    found = []
    for comparison in items:
        first = seen.setdefault(comparison.ref, comparison.item.id)
        if first != comparison.item.id:
            found.append(f"resourceID: {comparison.item.id} conflicts with resourceID: {first}")
    return f"found resources with conflicts: {', '.join(found)}" if found else ""
