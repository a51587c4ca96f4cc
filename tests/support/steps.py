"""What tests on a running controller do again and again: apply, wait for a fact, read the log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kro_es.events.types import Event
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate
from kro_es.store.rebuild import compare, rebuild
from kro_es.store.verify import verify

T = TypeVar("T")
WAIT_SECONDS = 45.0


def eventually(look: Callable[[], T], good: Callable[[T], bool], what: str, seconds: float = WAIT_SECONDS) -> T:
    """The first look that is good; fails with the last one after a bounded wait."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if good(found):
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s; last seen: {found!r:.3000}")
        time.sleep(0.1)  # kubectl is asked from outside: there is no event to wait on here


class Steps:
    """kubectl on one namespace, as objects."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster

    def apply(self, *objects: dict[str, Any]) -> None:
        text = "".join(f"---\n{json.dumps(obj)}\n" for obj in objects)
        self.cluster.kubectl("apply", "-n", self.cluster.namespace, "-f", "-", input=text)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        text = self.cluster.kubectl("get", kind, name, "-n", self.cluster.namespace, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(text) if text.strip() else {}
        return found

    def items(self, kind: str) -> list[dict[str, Any]]:
        text = self.cluster.kubectl("get", kind, "-n", self.cluster.namespace, "-o", "json")
        found: list[dict[str, Any]] = json.loads(text)["items"]
        return found

    def delete(self, kind: str, name: str) -> None:
        self.cluster.kubectl("delete", kind, name, "-n", self.cluster.namespace, "--wait=false")

    def rest(self) -> None:
        """Returns when nothing is under way: what ends in namespaces of earlier tests is seen by this controller, too."""
        text = "jsonpath={.items[?(@.status.phase=='Terminating')].metadata.name}"
        eventually(lambda: self.cluster.kubectl("get", "namespaces", "-o", text), lambda found: not found, "all gone")
        time.sleep(2)  # the controller offers nothing to wait on for passes it does not make

    def active(self, definition: str) -> dict[str, Any]:
        return eventually(
            lambda: self.get("rgd", definition), lambda d: condition(d, "Ready") == "True", f"{definition} active"
        )

    def ready(self, kind: str, name: str) -> dict[str, Any]:
        return eventually(
            lambda: self.get(kind, name),
            lambda obj: settled(obj) and obj["status"].get("state") == "ACTIVE",
            f"{kind} {name} ready",
        )


def condition(obj: dict[str, Any], name: str) -> str:
    """Status of a condition at the object's own generation; empty when there is none."""
    for found in (obj.get("status") or {}).get("conditions") or ():
        if found["type"] == name and found.get("observedGeneration") == obj["metadata"].get("generation"):
            status: str = found["status"]
            return status
    return ""


def message(obj: dict[str, Any], name: str) -> str:
    found = {item["type"]: item for item in (obj.get("status") or {}).get("conditions") or ()}
    text: str = found.get(name, {}).get("message", "")
    return text


def settled(obj: dict[str, Any]) -> bool:
    return condition(obj, "Ready") == "True"


def events(database: str) -> list[Event]:
    engine = open_engine(database)
    try:
        return LogReader(engine).read(0, 1_000_000)
    finally:
        engine.dispose()


def faults(database: str) -> list[str]:
    """Everything wrong with a log: chain, leaves, positions, projections that differ from a rebuild."""
    engine, other = open_engine(database), open_engine("sqlite:///:memory:")
    try:
        report = verify(engine)
        migrate(other)
        rebuild(engine, PROJECTIONS, other)
        return [*report.faults, *compare(engine, other, PROJECTIONS)]
    finally:
        engine.dispose()
        other.dispose()


def definition(name: str, kind: str, spec: dict[str, Any], *resources: dict[str, Any], **schema: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "ResourceGraphDefinition",
        "metadata": {"name": name},
        "spec": {
            "schema": {"apiVersion": "v1alpha1", "kind": kind, "spec": spec, **schema},
            "resources": list(resources),
        },
    }


def config_map(node: str, name: str, data: dict[str, str], **more: Any) -> dict[str, Any]:
    template = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    return {"id": node, "template": template, **more}


def instance(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "kro.run/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
