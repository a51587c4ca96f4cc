"""Two versions of a definition: what becomes of its API, and of the resources of every instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from kro_es.api.definition import ResourceGraphDefinition
from kro_es.api.objects import JsonObject, JsonValue
from kro_es.graph import fieldpath
from kro_es.graph.node import ResourceGraph
from kro_es.schema.compat import Report, compare

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class ApiChange:
    """``impact``: breaking, compatible, or unclassified for a difference that kro does not look at."""

    impact: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A leaf that came, went or changed; ``path`` is relative to the resource."""

    path: str
    change: str
    old: JsonValue = None
    new: JsonValue = None


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One resource that was added, removed or changed."""

    id: str
    change: str
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs."""

    api: tuple[ApiChange, ...]
    resources: tuple[ResourceChange, ...]

    @property
    def breaking(self) -> bool:
        return any(change.impact == "breaking" for change in self.api)


def difference(
    old: tuple[ResourceGraphDefinition, ResourceGraph], new: tuple[ResourceGraphDefinition, ResourceGraph]
) -> Difference:
    """Raises CompatibilityError when the two APIs cannot be compared."""
    api = [*_identity(old[1].crd, new[1].crd)]
    if not api:
        report = compare(old[1].crd, new[1].crd)
        api = [*_classified(report), *_unclassified(old[1].crd, new[1].crd, report)]
    return Difference(tuple(api), tuple(_resources(_by_id(old[0]), _by_id(new[0]))))


# -- API


def _identity(old: JsonObject, new: JsonObject) -> Iterator[ApiChange]:
    """Another kind is another API: instances of the old one are left behind."""
    for path in (("group",), ("names", "kind"), ("scope",)):
        before, after = (_at(crd["spec"], path) for crd in (old, new))
        if before != after:
            yield ApiChange("breaking", "." + ".".join(path), f"changed from {before} to {after}")


def _at(node: JsonObject, path: tuple[str, ...]) -> JsonValue:
    for step in path:
        node = node[step]
    return node


def _classified(report: Report) -> Iterator[ApiChange]:
    for impact, changes in (("breaking", report.breaking), ("compatible", report.non_breaking)):
        yield from (ApiChange(impact, change.path, str(change)) for change in changes)


def _unclassified(old: JsonObject, new: JsonObject, report: Report) -> Iterator[ApiChange]:
    """Differences of the two CRDs that no classified change explains."""
    told = [change.path for change in (*report.breaking, *report.non_breaking)]
    schema = "versions[0].schema.openAPIV3Schema"
    for change in _fields(old["spec"], new["spec"], ""):
        path = change.path.removeprefix(schema) if change.path.startswith(schema) else f".{change.path}"
        if not any(path.startswith(prefix) for prefix in told):
            yield ApiChange("unclassified", path, _text(change))


def _text(change: FieldChange) -> str:
    old, new = (orjson.dumps(value).decode() for value in (change.old, change.new))
    shown = {"added": f"{new} was added", "removed": f"{old} was removed"}
    return shown.get(change.change, f"changed from {old} to {new}")


# -- resources


def _by_id(definition: ResourceGraphDefinition) -> dict[str, JsonObject]:
    return {resource["id"]: resource for resource in definition.spec.get("resources") or ()}


def _resources(old: Mapping[str, JsonObject], new: Mapping[str, JsonObject]) -> Iterator[ResourceChange]:
    for name, resource in old.items():
        if name not in new:
            yield ResourceChange(name, "removed")
            continue
        fields = tuple(_fields(resource, new[name], ""))
        if fields:
            yield ResourceChange(name, "changed", fields)
    yield from (ResourceChange(name, "added") for name in new if name not in old)


def _fields(old: JsonValue, new: JsonValue, path: str) -> Iterator[FieldChange]:
    """Lists are compared by position; true and 1 are not the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _fields(old.get(name, _ABSENT), new.get(name, _ABSENT), fieldpath.join(path, name))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            left, right = (items[index] if index < len(items) else _ABSENT for items in (old, new))
            yield from _fields(left, right, fieldpath.join(path, index))
    elif old is _ABSENT:
        yield FieldChange(path, "added", new=new)
    elif new is _ABSENT:
        yield FieldChange(path, "removed", old)
    elif old != new or type(old) is not type(new):
        yield FieldChange(path, "changed", old, new)


def as_text(found: Difference) -> str:
    """One line a change; nothing but ``no difference`` when there is none."""
    lines = [f"{change.impact:12}  {change.path}: {change.text}" for change in found.api]
    marks = {"added": "+", "removed": "-", "changed": "~"}
    for resource in found.resources:
        lines.append(f"{marks[resource.change]} resource {resource.id}")
        lines += [f"    {field.path}: {_text(field)}" for field in resource.fields]
    return "\n".join(lines) or "no difference"
