"""What scenarios of definitions do and look at (spec/04 §14): kind ``Thing``, definition ``things``."""

from __future__ import annotations

import copy
from typing import Any

from kro_es.events.types import Body
from tests.support.fake_server import Object
from tests.support.inside import Inside
from tests.support.steps import config_map, definition

CM = config_map("a", "${schema.metadata.name}-a", {"v": "1"})


def things(
    *resources: Object, name: str = "things", kind: str = "Thing", spec: Object | None = None, **schema: Any
) -> Object:
    return copy.deepcopy(definition(name, kind, {"a": "string"} if spec is None else spec, *resources, **schema))


def thing(name: str = "one", kind: str = "Thing", **spec: Any) -> Object:
    meta = {"name": name, "namespace": "team-a"}
    return {"apiVersion": "kro.run/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


async def put(inside: Inside, wanted: Object) -> None:
    """Create the definition, or replace its spec, whatever comes of it."""
    name = wanted["metadata"]["name"]
    if inside.server.find("ResourceGraphDefinition", name) is None:
        inside.server.create(wanted)
    else:
        live = inside.get("ResourceGraphDefinition", name)
        inside.server.update({**live, "spec": wanted["spec"]})
    await inside.rest()


def rgd(inside: Inside, name: str = "things") -> Object:
    return inside.get("ResourceGraphDefinition", name)


def condition(inside: Inside, type_: str, name: str = "things") -> tuple[str, str, str]:
    """Status, reason and message."""
    found = {item["type"]: item for item in rgd(inside, name)["status"]["conditions"]}[type_]
    return found["status"], found["reason"], found["message"]


def state(inside: Inside, name: str = "things") -> str:
    found: str = rgd(inside, name)["status"]["state"]
    return found


def crd(inside: Inside, name: str = "things.kro.run") -> Object:
    return inside.get("CustomResourceDefinition", name)


def properties(inside: Inside, name: str = "things.kro.run") -> Object:
    """Of the instances' spec."""
    schema = crd(inside, name)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: Object = schema["properties"]["spec"].get("properties", {})
    return found


def bodies(inside: Inside, *types: type[Body]) -> list[Any]:
    return [event.body for event in inside.events() if isinstance(event.body, types)]


def issued(inside: Inside, name: str = "things") -> int:
    return int(rgd(inside, name)["status"].get("lastIssuedRevision", 0))
