"""What the scenarios of instances on a real API server play with: three definitions, and what is done again and again."""

from __future__ import annotations

import json
from typing import Any

from tests.support.operator import Operator
from tests.support.steps import Steps, condition, config_map, definition, eventually, instance, message

Object = dict[str, Any]


def scenes(**more: str) -> Object:
    """``cfg``, ``top`` that reads it, and a Secret ``mon`` when it is asked for."""
    cfg = config_map("cfg", "${schema.spec.key}", {"color": "${schema.spec.color}", **more})
    cfg["template"]["immutable"] = "${schema.spec.frozen}"
    top = config_map("top", "${schema.metadata.name}-top", {"uid": "${cfg.metadata.uid}"})
    mon = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${schema.metadata.name}-mon"}}
    spec = {
        "key": "string",
        "color": "string | default=red",
        "frozen": "boolean | default=false",
        "mon": "boolean | default=false",
    }
    watched = {"id": "mon", "includeWhen": ["${schema.spec.mon}"], "template": mon}
    return definition("scenes", "Scene", spec, cfg, top, watched)


def outer() -> Object:
    """An instance of another definition as a child."""
    inner = {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "Scene",
        "metadata": {"name": "${schema.metadata.name}-inner"},
        "spec": {"key": "${schema.metadata.name}-inner-cfg"},
    }
    return definition("outers", "Outer", {"x": "string | default=y"}, {"id": "inner", "template": inner})


def readers() -> Object:
    """``cfg`` reads the ConfigMap ``platform`` of others, and the names of those with a label."""
    reference = {"apiVersion": "v1", "kind": "ConfigMap"}
    team = {"key": "s62-team", "operator": "${schema.spec.operator}", "values": ["${schema.spec.team}"]}
    named = {"id": "y", "externalRef": {**reference, "metadata": {"name": "${schema.spec.platform}"}}}
    selected = {"id": "x", "externalRef": {**reference, "metadata": {"selector": {"matchExpressions": [team]}}}}
    names = "${x.map(o, o.metadata.name).join(',')}"
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"names": names, "v": "${y.data.v}"})
    spec = {"platform": "string", "team": "string | default=none", "operator": "string | default=In"}
    return definition("readers", "Reader", spec, named, selected, cfg)


def theirs(name: str, data: Object, **meta: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": data}


def scene(name: str, **spec: Any) -> Object:
    return instance("Scene", name, {"key": f"{name}-cfg", **spec})


class Stage(Steps):
    """What the scenarios do again and again."""

    operator: Operator

    def play(self, *objects: Object) -> None:
        self.apply(*objects)
        for obj in objects:
            self.ready(obj["kind"].lower(), obj["metadata"]["name"])

    def patch(self, kind: str, name: str, body: Object) -> None:
        self.cluster.kubectl(
            "patch", kind, name, "-n", self.cluster.namespace, "--type=merge", "-p", json.dumps(body),
            "--field-manager=mallory",
        )  # fmt: skip

    def hold(self, kind: str, name: str, *finalizers: str) -> None:
        self.patch(kind, name, {"metadata": {"finalizers": list(finalizers)}})

    def gone(self, kind: str, name: str) -> None:
        eventually(lambda: self.get(kind, name), lambda obj: not obj, f"{kind} {name} gone")

    def tells(self, name: str, text: str, state: str = "ERROR", kind: str = "scene") -> Object:
        """The instance says so, at its own generation."""

        def look() -> tuple[str, str, str]:
            live = self.get(kind, name)
            found = (live.get("status") or {}).get("state", ""), message(live, "ResourcesReady")
            return *found, condition(live, "ResourcesReady")

        eventually(
            look, lambda found: found[0] == state and text in found[1] and found[2] != "", f"{name} tells {text}"
        )
        return self.get(kind, name)
