"""A ResourceGraphDefinition as a value: read once from the object, every wrong shape reported with its path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kro_es.api.metadata import GROUP
from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import DefinitionErrors, DefinitionFault

NAMESPACED = "Namespaced"
CLUSTER = "Cluster"


@dataclass(frozen=True, slots=True)
class InstanceSchema:
    """``spec.schema``: what the instances look like."""

    kind: str
    api_version: str
    """Version only, e.g. ``v1alpha1``."""
    group: str = GROUP
    scope: str = NAMESPACED
    spec: JsonObject = field(default_factory=dict)
    types: JsonObject = field(default_factory=dict)
    status: JsonObject = field(default_factory=dict)
    printer_columns: tuple[JsonObject, ...] = ()
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    labels: JsonObject = field(default_factory=dict)
    annotations: JsonObject = field(default_factory=dict)

    @property
    def namespaced(self) -> bool:
        return self.scope != CLUSTER


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    """One entry of ``spec.resources``, its expressions not yet looked at."""

    id: str
    template: JsonObject | None = None
    external_ref: JsonObject | None = None
    ready_when: tuple[str, ...] = ()
    include_when: tuple[str, ...] = ()
    for_each: tuple[tuple[str, str], ...] = ()
    """Iterator name and list expression."""


@dataclass(frozen=True, slots=True)
class ResourceGraphDefinition:
    """The whole definition; ``spec`` is the object's own, as the hash is taken of it."""

    name: str
    uid: str
    generation: int
    schema: InstanceSchema
    resources: tuple[ResourceDefinition, ...]
    spec: JsonObject


def parse(obj: JsonValue) -> ResourceGraphDefinition:
    """Raises DefinitionErrors with every wrong shape; nothing else is checked here."""
    definition, faults = read(obj)
    if faults:
        raise DefinitionErrors(faults)
    return definition


def read(obj: JsonValue) -> tuple[ResourceGraphDefinition, tuple[DefinitionFault, ...]]:
    """What can be read, and every wrong shape; with a fault there is no ``spec`` to take a hash of."""
    reader = _Reader()
    root = reader.object(obj, "object") if obj is not None else {}
    meta = reader.object(root.get("metadata"), "metadata")
    spec = reader.object(root.get("spec"), "spec", required=True)
    definition = ResourceGraphDefinition(
        name=reader.text(meta.get("name"), "metadata.name"),
        uid=reader.text(meta.get("uid"), "metadata.uid"),
        generation=reader.integer(meta.get("generation"), "metadata.generation"),
        schema=reader.schema(reader.object(spec.get("schema"), "spec.schema", required="spec" in root)),
        resources=tuple(
            reader.resource(item, f"spec.resources[{index}]")
            for index, item in enumerate(reader.list(spec.get("resources"), "spec.resources"))
        ),
        spec=spec,
    )
    faults = tuple(reader.faults)
    return (replace(definition, spec={}), faults) if faults else (definition, ())


def _kind(value: JsonValue) -> str:
    names: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return "null" if value is None else names.get(type(value), "object")


class _Reader:
    """Takes JSON apart; a wrong value is reported and replaced by an empty one, so that reading goes on."""

    def __init__(self) -> None:
        self.faults: list[DefinitionFault] = []

    def fault(self, path: str, message: str) -> None:
        self.faults.append(DefinitionFault(f"{path} {message}", path=path))

    def object(self, value: JsonValue, path: str, *, required: bool = False) -> JsonObject:
        if value is None and not required:
            return {}
        if value is None:
            self.fault(path, "is required")
            return {}
        if not isinstance(value, dict):
            self.fault(path, f"must be an object, got {_kind(value)}")
            return {}
        return value

    def list(self, value: JsonValue, path: str) -> list[JsonValue]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(path, f"must be an array, got {_kind(value)}")
            return []
        return value

    def text(self, value: JsonValue, path: str, *, default: str = "", required: bool = False) -> str:
        if value is None or value == "":
            if required:
                self.fault(path, "is required")
            return default
        if not isinstance(value, str):
            self.fault(path, f"must be a string, got {_kind(value)}")
            return default
        return value

    def integer(self, value: JsonValue, path: str) -> int:
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool):
            self.fault(path, f"must be an integer, got {_kind(value)}")
            return 0
        return value

    def texts(self, value: JsonValue, path: str) -> tuple[str, ...]:
        return self._items(value, path, self._text_item)

    def _text_item(self, value: JsonValue, path: str) -> str:
        if not isinstance(value, str):
            self.fault(path, f"must be a string, got {_kind(value)}")
            return ""
        return value

    def _items(self, value: JsonValue, path: str, read: Callable[[JsonValue, str], JsonValue]) -> tuple[JsonValue, ...]:
        return tuple(read(item, f"{path}[{index}]") for index, item in enumerate(self.list(value, path)))

    def text_map(self, value: JsonValue, path: str) -> JsonObject:
        return {name: self._text_item(item, f"{path}.{name}") for name, item in self.object(value, path).items()}

    def schema(self, node: JsonObject) -> InstanceSchema:
        at = "spec.schema"
        required = bool(node)
        meta = self.object(node.get("metadata"), f"{at}.metadata")
        scope = self.text(node.get("scope"), f"{at}.scope", default=NAMESPACED)
        if scope not in (NAMESPACED, CLUSTER):
            self.fault(f"{at}.scope", f'must be one of {NAMESPACED}, {CLUSTER}, got "{scope}"')
        return InstanceSchema(
            kind=self.text(node.get("kind"), f"{at}.kind", required=required),
            api_version=self.text(node.get("apiVersion"), f"{at}.apiVersion", required=required),
            group=self.text(node.get("group"), f"{at}.group", default=GROUP),
            scope=scope,
            spec=self.object(node.get("spec"), f"{at}.spec"),
            types=self.object(node.get("types"), f"{at}.types"),
            status=self.object(node.get("status"), f"{at}.status"),
            printer_columns=self._items(
                node.get("additionalPrinterColumns"), f"{at}.additionalPrinterColumns", self._column
            ),
            short_names=self.texts(node.get("shortNames"), f"{at}.shortNames"),
            categories=self.texts(node.get("categories"), f"{at}.categories"),
            labels=self.text_map(meta.get("labels"), f"{at}.metadata.labels"),
            annotations=self.text_map(meta.get("annotations"), f"{at}.metadata.annotations"),
        )

    def _column(self, value: JsonValue, path: str) -> JsonObject:
        column = self.object(value, path, required=True)
        if isinstance(value, dict):
            for name in ("name", "type", "jsonPath"):
                self.text(column.get(name), f"{path}.{name}", required=True)
        return column

    def resource(self, value: JsonValue, path: str) -> ResourceDefinition:
        node = self.object(value, path, required=True)
        given = isinstance(value, dict)
        return ResourceDefinition(
            id=self.text(node.get("id"), f"{path}.id", required=given),
            template=self._optional(node, "template", path),
            external_ref=self._external(node.get("externalRef"), f"{path}.externalRef"),
            ready_when=self.texts(node.get("readyWhen"), f"{path}.readyWhen"),
            include_when=self.texts(node.get("includeWhen"), f"{path}.includeWhen"),
            for_each=self._items(node.get("forEach"), f"{path}.forEach", self._dimension),
        )

    def _optional(self, node: JsonObject, name: str, path: str) -> JsonObject | None:
        value = node.get(name)
        return None if value is None else self.object(value, f"{path}.{name}")

    def _external(self, value: JsonValue, path: str) -> JsonObject | None:
        if value is None:
            return None
        node = self.object(value, path)
        for name in ("apiVersion", "kind"):
            self.text(node.get(name), f"{path}.{name}")
        meta = self.object(node.get("metadata"), f"{path}.metadata")
        for name in ("name", "namespace"):
            self.text(meta.get(name), f"{path}.metadata.{name}")
        # the selector has no type of its own: it may be an expression as a whole, and the compile judges it
        return node

    def _dimension(self, value: JsonValue, path: str) -> tuple[str, str]:
        node = self.object(value, path, required=True)
        if isinstance(value, dict) and len(node) != 1:
            self.fault(path, f"must have exactly one entry, got {len(node)}")
        for name, text in node.items():
            return name, self._text_item(text, f"{path}.{name}")
        return "", ""
