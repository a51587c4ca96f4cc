"""One instance of a definition: what would be applied now, step by step, and what waits for what.

The decision is the controller's own code; what is added here is what the API server would add: defaults and a namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kro_es.api.objects import JsonObject, JsonValue, ObjectRef, Resource, labels
from kro_es.api.selector import Selector
from kro_es.authoring.drawing import steps
from kro_es.authoring.instances import problems, with_defaults
from kro_es.authoring.yaml_writer import write
from kro_es.errors import UserError
from kro_es.graph.node import ResourceGraph
from kro_es.runtime.resolve import NodeResult, bindings, resolve
from kro_es.runtime.status import projection

_NAMESPACE = "default"


class InstanceError(UserError):
    """The object is no instance of the definition, or one that the API server would refuse."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One resource; ``state`` is apply, pending, skipped, external, empty (a collection without items) or error."""

    id: str
    step: int
    state: str
    why: str
    object: JsonObject | None


@dataclass(frozen=True, slots=True)
class Rendering:
    """Resources by step, and the status fields that can be computed already."""

    resources: tuple[Rendered, ...]
    status: JsonObject

    @property
    def failed(self) -> bool:
        return any(item.state == "error" for item in self.resources)


def completed(graph: ResourceGraph, obj: JsonValue) -> JsonObject:
    """The instance as the API server would store it. Raises InstanceError."""
    gvk = graph.instance.gvk
    if not isinstance(obj, dict) or (obj.get("apiVersion"), obj.get("kind")) != (gvk.api_version, gvk.kind):
        raise InstanceError(f"the instance must be a {gvk.kind} of {gvk.api_version}")
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
        raise InstanceError("the instance has no metadata.name")
    if graph.instance.namespaced:
        meta = {"namespace": _NAMESPACE, **meta}
    schema = graph.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec = with_defaults({"spec": obj.get("spec", {})}, {"properties": {"spec": schema}})["spec"]
    found = [str(problem) for problem in problems(spec, schema, "spec")]
    if found:
        raise InstanceError("; ".join(found))
    return {**obj, "metadata": meta, "spec": spec}


@dataclass(frozen=True, slots=True)
class _Live:
    """Objects from files: what is named as a resource is named, is taken for that resource."""

    objects: Mapping[ObjectRef, JsonObject]

    def members(self, node_id: str) -> Sequence[JsonObject]:
        return list(self.objects.values())

    def external(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        return self.objects.get(ObjectRef(resource.gvk.group, resource.gvk.kind, namespace, name))

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[JsonObject]:
        wanted = (resource.gvk.group, resource.gvk.kind)
        return [
            self.objects[ref]
            for ref in sorted(self.objects)
            if (ref.group, ref.kind) == wanted
            and namespace in ("", ref.namespace)
            and selector.matches(labels(self.objects[ref]))
        ]


def rendering(graph: ResourceGraph, instance: JsonObject, observed: Iterable[JsonObject]) -> Rendering:
    """``instance`` as :func:`completed` gives it; an observed object belongs to the resource it is named by."""
    live = _Live({ref: obj for obj in observed if (ref := _ref(obj)) is not None})
    results = resolve(graph, instance, live)
    depths = steps(graph)
    found = [item for result in results for item in _rendered(result, depths[result.node.id])]
    found.sort(key=lambda item: item.step)
    return Rendering(tuple(found), projection(graph, bindings(instance, results)))


def _ref(obj: JsonValue) -> ObjectRef | None:
    """None for what names no object."""
    try:
        return ObjectRef.of(obj)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _rendered(result: NodeResult, step: int) -> list[Rendered]:
    """One entry for each object of a collection, one for anything else."""
    name, objects = result.node.id, result.desired or ()
    if result.error:
        return [Rendered(name, step, "error", result.error, objects[0] if objects else None)]
    if result.pending:
        return [Rendered(name, step, "pending", result.pending, None)]
    if result.state == "SKIPPED":
        return [Rendered(name, step, "skipped", result.waiting, None)]
    if not objects:
        what = "external" if result.node.external else "empty"
        return [Rendered(name, step, what, result.waiting, None)]
    return [Rendered(name, step, "apply", result.waiting, obj) for obj in objects]


def as_yaml(found: Rendering) -> str:
    """A stream of the objects to apply; everything else is a comment."""
    parts: list[str] = []
    step = 0
    for item in found.resources:
        head = [f"# step {item.step}"] if item.step != step else []
        step = item.step
        head.append(f"# {item.id}: {item.state}{': ' if item.why else ''}{_one_line(item.why)}")
        body = write(item.object) if item.object is not None and item.state == "apply" else ""
        parts.append("\n".join([*head, body]) if body else "\n".join(head) + "\n")
    if found.status:
        parts.append("".join(f"# {line}\n" for line in ["status", *write(found.status).splitlines()]))
    return "---\n".join(parts)


def _one_line(text: str) -> str:
    return " ".join(text.split())
