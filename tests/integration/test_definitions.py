"""Definitions and the kinds they are made of: one that arrives or changes is news at once, one that did not is none."""

from __future__ import annotations

import time
from typing import Any

from kro_es.events.types import RevisionIssued
from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.steps import Steps, condition, config_map, definition, events, eventually, instance, message


def _crd(kind: str, properties: dict[str, Any]) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.late.example"},
        "spec": {
            "group": "late.example",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def _child(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    template = {
        "apiVersion": "late.example/v1",
        "kind": kind,
        "metadata": {"name": "${schema.metadata.name}"},
        "spec": spec,
    }
    return {"id": "child", "template": template}


def test_a_definition_becomes_active_when_the_kind_it_waits_for_arrives(
    steps: Steps, cluster: Cluster, operator: Operator
) -> None:
    steps.apply(definition("waiters", "Waiter", {"size": "integer | default=1"}, _child("Late", {"size": 1})))
    eventually(lambda: steps.get("rgd", "waiters"), lambda d: condition(d, "GraphAccepted") == "False", "refused")
    assert "late.example/v1" in message(steps.get("rgd", "waiters"), "GraphAccepted")
    # by now the retry after an error would only come many seconds later
    time.sleep(8)  # what is shown is that no timer but the event brings it
    steps.apply(_crd("Late", {"size": {"type": "integer"}}))
    arrived = time.monotonic()
    steps.active("waiters")
    took = time.monotonic() - arrived
    assert took < 5, f"{took:.1f} s after the kind was there"


def test_a_changed_child_kind_recompiles_the_same_revision(steps: Steps, cluster: Cluster, operator: Operator) -> None:
    steps.apply(_crd("Grown", {"size": {"type": "integer"}}))
    steps.apply(definition("growers", "Grower", {}, _child("Grown", {"size": 1, "colour": "red"})))
    eventually(lambda: steps.get("rgd", "growers"), lambda d: condition(d, "GraphAccepted") == "False", "refused")
    assert "colour" in message(steps.get("rgd", "growers"), "GraphAccepted")
    steps.apply(_crd("Grown", {"size": {"type": "integer"}, "colour": {"type": "string"}}))
    steps.active("growers")
    steps.apply(instance("Grower", "g", {}))
    steps.ready("grower", "g")
    steps.apply(_crd("Grown", {"size": {"type": "integer"}}))
    eventually(lambda: steps.get("rgd", "growers"), lambda d: condition(d, "GraphAccepted") == "False", "refused again")
    # the revision that was good goes on being served: what it wants can no longer be applied, and the instance says so
    steps.delete("growns", "g")
    text = "spec.colour: field not declared in schema"
    eventually(lambda: message(steps.get("grower", "g"), "ResourcesReady"), lambda found: text in found, "told")
    issued = [e.body for e in events(operator.database) if isinstance(e.body, RevisionIssued)]
    assert [body.number for body in issued if body.definition == "growers"] == [1]


def test_a_hand_edit_of_the_generated_kind_is_put_back(steps: Steps, cluster: Cluster, operator: Operator) -> None:
    cfg = config_map("cfg", "${schema.metadata.name}", {"v": "${schema.spec.v}"})
    steps.apply(definition("keepers", "Keeper", {"v": "string | default=x"}, cfg))
    steps.active("keepers")
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/v"
    patch = f'[{{"op":"remove","path":"{path}"}}]'
    cluster.kubectl("patch", "crd", "keepers.kro.run", "--type=json", "-p", patch)

    def properties() -> dict[str, Any]:
        schema = steps.get("crd", "keepers.kro.run")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        found: dict[str, Any] = schema["properties"]["spec"].get("properties") or {}
        return found

    eventually(properties, lambda found: "v" in found, "the property is back")


def test_nothing_is_asked_for_a_definition_that_did_not_change(
    steps: Steps, cluster: Cluster, operator: Operator
) -> None:
    cfg = config_map("cfg", "${schema.metadata.name}", {"v": "1"})
    steps.apply(definition("idlers", "Idler", {}, cfg))
    steps.active("idlers")
    mark = cluster.plane.audit.mark()
    cluster.kubectl("label", "rgd/idlers", "touched=yes")
    steps.apply(instance("Idler", "i", {}))
    steps.ready("idler", "i")
    requests = [r.uri for r in cluster.plane.audit.requests("controller", mark) if r.verb != "watch"]
    assert [uri for uri in requests if "/idlers" not in uri and "/configmaps" not in uri] == []
