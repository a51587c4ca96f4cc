"""Deletion from the recorded inventory alone: no graph, no expressions, reverse waves (spec/03 §7.3, §10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.objects import Gvk, ObjectRef, Resource, terminating
from kro_es.decisions.inputs import Child, InstanceInputs
from kro_es.decisions.writes import RELEASE, UID_CONFLICT, PlannedWrite, delete_key
from kro_es.plan.applyset import applyset_id, validate_inventory
from kro_es.plan.waves import deletion_wave, prune_order


@dataclass(frozen=True, slots=True)
class Deletion:
    """How far a deletion is."""

    writes: tuple[PlannedWrite, ...] = ()
    waiting: bool = False
    blocked: str = ""
    message: str = "deleting resources"
    waits_for: str = ""
    """The objects of this wave that are still there and what holds them, for the log."""
    released: bool = False


REPLACED = "encountered UID conflicts; retrying"


def refused(inputs: InstanceInputs, members: Iterable[Child]) -> str:
    """Why a delete of this pass did not work, in kro's words; empty when none was refused."""
    for child in members:
        text = inputs.failed.get(delete_key(child.ref), "")
        if text:
            where = f"{child.ref.namespace}/{child.ref.name}" if child.ref.namespace else child.ref.name
            return REPLACED if text == UID_CONFLICT else f"delete {where}: {text}"
    return ""


def decide(inputs: InstanceInputs) -> Deletion:
    """The next wave, what the current one waits for, or nothing left."""
    meta = inputs.instance["metadata"]
    if metadata.FINALIZER not in (meta.get("finalizers") or ()):
        return Deletion(released=True)
    problem = validate_inventory(inputs.instance, applyset_id(ObjectRef.of(inputs.instance)))
    if problem:
        text = f"deletion blocked: validate deletion inventory: {problem}"
        return Deletion(waiting=True, blocked=problem, message=text)
    if not inputs.children:
        return Deletion()
    wave = {ObjectRef.of(obj) for obj in deletion_wave([child.object for child in inputs.children])}
    members = [child for child in inputs.children if child.ref in wave]
    failed = refused(inputs, members)
    if failed:
        text = f"deletion {failed}" if failed == REPLACED else failed
        return Deletion(waiting=True, blocked=failed, message=f"deletion blocked: {text}")
    going = [child for child in members if not terminating(child.object)]
    if going:
        return Deletion(tuple(_delete(child) for child in going))
    return Deletion(waiting=True, waits_for=", ".join(_held(child) for child in members))


def _held(child: Child) -> str:
    finalizers = child.object["metadata"].get("finalizers") or ()
    return f"{child.ref} (finalizers: {', '.join(finalizers)})" if finalizers else str(child.ref)


def prunes(inputs: InstanceInputs, orphans: tuple[Child, ...]) -> tuple[PlannedWrite, ...]:
    """Deletes of what left the graph, dependents first; an id the graph no longer knows goes first of all."""
    assert inputs.followed is not None
    positions = {node.id: index for index, node in enumerate(inputs.followed.graph.nodes)}
    ordered = prune_order([child.object for child in orphans], positions)
    by_ref = {child.ref: child for child in orphans}
    return tuple(_delete(by_ref[ObjectRef.of(obj)]) for obj in ordered)


def release(inputs: InstanceInputs, resource: Resource) -> PlannedWrite:
    """The finalizer goes; those of others stay."""
    meta = inputs.instance["metadata"]
    rest = [name for name in meta.get("finalizers") or () if name != metadata.FINALIZER]
    body = {"metadata": {"uid": meta["uid"], "finalizers": rest}}
    ref = ObjectRef.of(inputs.instance)
    return PlannedWrite(4, "patch", resource, ref, body, metadata.CONTROLLER_MANAGER, what=RELEASE)


def _delete(child: Child) -> PlannedWrite:
    # the plural is found by the client from the kind: a deletion must work without the graph
    resource = Resource(Gvk.of(child.object), "", bool(child.ref.namespace))
    return PlannedWrite(3, "delete", resource, child.ref, {}, node=child.node, uid=str(child.row["uid"]), what="delete")
