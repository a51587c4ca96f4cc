"""Kubernetes Events about the conditions of an instance: one for each that turned in a pass (spec/03 §9.8)."""

from __future__ import annotations

from kro_es.api import metadata
from kro_es.api.conditions import rfc3339
from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.decisions.inputs import InstanceInputs
from kro_es.decisions.writes import NOTICE, PlannedWrite
from kro_es.plan import owned

EVENTS = Resource(Gvk("", "v1", "Event"), "events", namespaced=True)
_STAGE = 6
"""After the status they are about."""
_LONGEST = 230
"""Of the instance's name in that of an Event: the limit of names is 253."""


def notices(inputs: InstanceInputs, conditions: list[JsonObject]) -> tuple[PlannedWrite, ...]:
    """``conditions``: those the status is about to show. None when they are not asked for, or without a graph."""
    if not inputs.notices or inputs.followed is None:
        return ()
    shown = (inputs.instance.get("status") or {}).get("conditions") or []
    before = {item.get("type"): item.get("status") for item in shown}
    turned = [item for item in conditions if before.get(item["type"]) != item["status"]]
    return tuple(_notice(inputs, number, item, before.get(item["type"])) for number, item in enumerate(turned))


def _notice(inputs: InstanceInputs, number: int, condition: JsonObject, before: str | None) -> PlannedWrite:
    instance = inputs.instance
    meta = instance["metadata"]
    namespace = meta.get("namespace") or "default"
    now = rfc3339(inputs.now)
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        # kubectl and client-go name Events after the time in nanoseconds, too
        "metadata": {"name": f"{meta['name'][:_LONGEST]}.{inputs.now * 1000 + number:x}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": instance["apiVersion"],
            "kind": instance["kind"],
            "name": meta["name"],
            **({"namespace": meta["namespace"]} if meta.get("namespace") else {}),
            "uid": meta["uid"],
        },
        "type": "Normal" if condition["status"] == "True" else "Warning",
        "reason": condition["type"],
        "message": f"{before or 'none'} -> {condition['status']}: {condition.get('reason', '')}",
        "source": {"component": _component(inputs)},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    return PlannedWrite(
        _STAGE, "create", EVENTS, ObjectRef.of(body), body, metadata.CONTROLLER_MANAGER,
        digest=owned.digest(inputs.redactor.redact(body, ())), what=NOTICE,
    )  # fmt: skip


def _component(inputs: InstanceInputs) -> str:
    assert inputs.followed is not None
    resource = inputs.followed.graph.instance
    return f"kro/{resource.plural}.{resource.gvk.group}-controller"
