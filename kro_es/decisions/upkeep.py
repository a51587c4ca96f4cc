"""What the instance itself must carry: finalizer, management labels, inventory (spec/03 §2.1, §7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, Resource, annotations_of, labels
from kro_es.decisions.inputs import InstanceInputs
from kro_es.decisions.writes import FINALIZER, INVENTORY, PlannedWrite
from kro_es.plan import owned
from kro_es.plan.applyset import (
    Inventory,
    applyset_id,
    instance_labels,
    inventory_metadata,
    of_objects,
    parse_inventory,
    validate_inventory,
)

_KEYS = (metadata.TOOLING, metadata.GROUP_KINDS, metadata.NAMESPACES, metadata.INVENTORY_HASH)


def unmanageable(inputs: InstanceInputs) -> str:
    """Why finalizer and labels cannot be installed, in kro's words; empty when they can (spec/03 §3 step 5)."""
    found = inputs.failed.get(FINALIZER, "")
    instance = inputs.instance
    if not found and not _finalized(instance) and _has_inventory(instance):
        fault = validate_inventory(instance, _id(inputs))
        if fault:
            found = (
                "cannot install finalizer with invalid ApplySet inventory; repair the metadata, "
                f"or remove it only after confirming no managed members remain: {fault}"
            )
    return f"finalizer/labeling failed: {found}" if found else ""


def _finalized(instance: JsonObject) -> bool:
    return metadata.FINALIZER in (instance["metadata"].get("finalizers") or ())


def marks(inputs: InstanceInputs) -> tuple[PlannedWrite, ...]:
    """The patch that installs finalizer and labels, when either is missing or wrong.

    A first patch installs an empty, valid inventory too, so that no moment has one without the other.
    """
    wanted = _wanted(inputs)
    found = labels(inputs.instance)
    finalized = _finalized(inputs.instance)
    stale = {name for name, value in wanted.items() if found.get(name) != value} - {metadata.VERSION}
    if finalized and not stale:
        return ()
    body = _head(inputs.instance)
    body["metadata"] |= {"labels": wanted, "finalizers": [metadata.FINALIZER]}
    if not finalized and not _has_inventory(inputs.instance):
        extra_labels, extra = inventory_metadata(Inventory(frozenset(), frozenset()), _id(inputs), inputs.version)
        body["metadata"]["labels"] = {**wanted, **extra_labels}
        body["metadata"]["annotations"] = extra
    return (_patch(inputs, body, metadata.LABELLER, stage=0, what=FINALIZER),)


def _wanted(inputs: InstanceInputs) -> dict[str, str]:
    """Whoever is pinned by its own name got the label about that with the command."""
    followed, pin = inputs.followed, inputs.pin
    assert followed is not None
    wanted = instance_labels(followed.definition, followed.definition_uid, inputs.version)
    if pin is not None and pin.row is not None and pin.row["by"]:
        wanted[metadata.PINNED_REVISION] = str(pin.number)
    return wanted


def unlabelled(inputs: InstanceInputs) -> PlannedWrite:
    """The patch of ``marks`` without the label of a pin: what is applied no more, the API server takes away."""
    body = _head(inputs.instance)
    body["metadata"] |= {"labels": _wanted(inputs), "finalizers": [metadata.FINALIZER]}
    return _patch(inputs, body, metadata.LABELLER, stage=0, what=FINALIZER)


def inventory(
    inputs: InstanceInputs, desired: Sequence[JsonObject], *, shrink: bool, coming: Iterable[Resource] = ()
) -> tuple[PlannedWrite, ...]:
    """The inventory patch when the recorded one does not fit: a superset before any child is written, exact at rest.

    ``coming``: kinds of nodes that are still pending. Listed with the first children, they spare each later wave a
    patch of its own; one that never comes is taken out at rest.
    """
    assert inputs.followed is not None
    namespaced = inputs.followed.graph.instance.namespaced
    namespace = inputs.instance["metadata"].get("namespace", "")
    batch = of_objects(desired, namespace, cluster_scoped=not namespaced)
    wanted = batch
    if not shrink:
        recorded = parse_inventory(inputs.instance)
        kinds = batch.group_kinds | recorded.group_kinds | {resource.gvk.group_kind for resource in coming}
        wanted = Inventory(kinds, batch.namespaces | recorded.namespaces)
    found = annotations_of(inputs.instance)
    new_labels, new = inventory_metadata(wanted, _id(inputs), inputs.version)
    same = all(found.get(key) == new[key] for key in _KEYS if key != metadata.TOOLING)
    if same and labels(inputs.instance).get(metadata.APPLYSET_ID) == _id(inputs):
        return ()
    body = _head(inputs.instance)
    body["metadata"] |= {"labels": new_labels, "annotations": new}
    return (_patch(inputs, body, metadata.PARENT_MANAGER, stage=1, what=INVENTORY),)


def _id(inputs: InstanceInputs) -> str:
    return applyset_id(ObjectRef.of(inputs.instance))


def _has_inventory(instance: JsonObject) -> bool:
    return metadata.APPLYSET_ID in labels(instance) or any(key in annotations_of(instance) for key in _KEYS)


def _head(instance: JsonObject) -> JsonObject:
    """Minimal patch body: the namespace key is absent, not empty, for cluster-scoped instances (spec/03 §2.1)."""
    meta = instance["metadata"]
    where = {"namespace": meta["namespace"]} if meta.get("namespace") else {}
    return {
        "apiVersion": instance["apiVersion"],
        "kind": instance["kind"],
        "metadata": {"name": meta["name"], **where},
    }


def _patch(inputs: InstanceInputs, body: JsonObject, manager: str, *, stage: int, what: str) -> PlannedWrite:
    """With the uid as its precondition: an apply to an instance that was deleted just now would make it again, empty."""
    assert inputs.followed is not None
    exactly = {**body, "metadata": {**body["metadata"], "uid": inputs.instance_uid}}
    return PlannedWrite(
        stage, "apply", inputs.followed.graph.instance, ObjectRef.of(inputs.instance), exactly, manager,
        digest=owned.digest(body), what=what,
    )  # fmt: skip
