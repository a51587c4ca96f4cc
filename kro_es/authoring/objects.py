"""Plain Kubernetes objects from files: an instance, or what ``kubectl get -o yaml`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.authoring.sources import Unreadable, gather
from kro_es.authoring.yaml_reader import YamlError, read


def objects(names: Sequence[str]) -> list[JsonObject]:
    """Every object, those in lists too. Raises Unreadable."""
    return [obj for name in names for obj in _of(name)]


def only_object(name: str) -> JsonObject:
    """Raises Unreadable when there is not exactly one."""
    found = list(_of(name))
    if len(found) != 1:
        raise Unreadable(name, f"one object is needed, there are {len(found)}")
    return found[0]


def _of(name: str) -> Iterator[JsonObject]:
    for source in gather([name]):
        if isinstance(source, Unreadable):
            raise source
        for document in read(source.text):
            if isinstance(document, YamlError):
                raise Unreadable(f"{source.name}:{document.place.line}:{document.place.column}", document.message)
            yield from _flattened(document.root.value)


def _flattened(value: JsonValue) -> Iterator[JsonObject]:
    if not isinstance(value, dict):
        return
    if str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list):
        for item in value["items"]:
            yield from _flattened(item)
    else:
        yield value
