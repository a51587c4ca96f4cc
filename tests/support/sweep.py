"""A table of kinds, the fields we own in a live object, and what another manager could write there instead."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
MANAGER = "kro.run/applyset"


@dataclass(frozen=True, slots=True)
class Kind:
    """One document of a table.

    ``edits``: what another manager writes where any other value of the type is refused; by JSON pointer.
    ``fixed``: fields of ours that the API server lets nobody change once the object is there.
    ``free``: fields that are not ours and that somebody else sets.
    ``restless``: a controller of the cluster writes to it whenever it likes.
    ``shared``: the field manager of one that answers an edit, and may be seen together with it.
    """

    kind: str
    template: Object
    id: str = ""
    name: str = ""
    edits: Object = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    free: Object = field(default_factory=dict)
    restless: bool = False
    shared: str = ""

    @property
    def node(self) -> str:
        # HorizontalPodAutoscaler: horizontalPodAutoscaler, CSIDriver: csiDriver, IPAddress: ipAddress
        found = re.match(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]", self.kind)
        assert found is not None
        return self.id or found[0].lower() + self.kind[found.end() :]

    @property
    def api(self) -> str:
        version: str = self.template["apiVersion"]
        return version

    def named(self, instance: str) -> str:
        return (self.name or f"${{schema.metadata.name}}-{self.node.lower()}").replace(
            "${schema.metadata.name}", instance
        )

    def resource(self) -> Object:
        """The node of a definition."""
        name = self.name or f"${{schema.metadata.name}}-{self.node.lower()}"
        meta = {**self.template.get("metadata", {}), "name": name}
        return {"id": self.node, "template": {"kind": self.kind, **self.template, "metadata": meta}}


def table(file: Path) -> list[Kind]:
    """Kinds of a file, one in each document."""
    found = [Kind(**{**document, "fixed": tuple(document.get("fixed", ()))}) for document in _documents(file)]
    assert len({kind.node for kind in found}) == len(found), f"{file.name}: a kind twice needs an id"
    return found


def _documents(file: Path) -> list[Object]:
    return list(yaml.safe_load_all(file.read_text()))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field of ours. ``path`` names items of a list by their keys, ``pointer`` by where they are."""

    path: str
    pointer: str
    value: Any
    item: bool = False
    """An item of a list with keys: another manager may take it away."""


def leaves(obj: Object) -> list[Leaf]:
    """All fields we own in a live object but its labels and annotations of the controller, in the server's order."""
    entries = obj["metadata"]["managedFields"]
    ours = next(e["fieldsV1"] for e in entries if e["manager"] == MANAGER and e["operation"] == "Apply")
    return [leaf for leaf in _leaves(obj, ours, "", "") if not re.search("kro.run|applyset|managed-by", leaf.path)]


def marks(obj: Object) -> list[Leaf]:
    """The labels and annotations that the controller adds."""
    entries = obj["metadata"]["managedFields"]
    ours = next(e["fieldsV1"] for e in entries if e["manager"] == MANAGER and e["operation"] == "Apply")
    return [leaf for leaf in _leaves(obj, ours, "", "") if re.search("kro.run|applyset|managed-by", leaf.path)]


def _leaves(value: Any, fields: Object, path: str, pointer: str) -> Iterator[Leaf]:
    below = {name: found for name, found in fields.items() if name != "."}
    if not below:
        if value not in ({}, []):
            yield Leaf(path, pointer, value)
        return
    for name, found in below.items():
        sort, _, text = name.partition(":")
        if sort == "f":
            escaped = text.replace("~", "~0").replace("/", "~1")
            if text in value:
                yield from _leaves(value[text], found, f"{path}/{escaped}", f"{pointer}/{escaped}")
            continue
        wanted = json.loads(text)
        index = next(n for n, item in enumerate(value) if _is(item, wanted, sort))
        here = f"{path}/{text}", f"{pointer}/{index}"
        if sort == "k":
            yield Leaf(*here, wanted, item=True)
            found = {key: under for key, under in found.items() if key[2:] not in wanted}
        yield from _leaves(value[index], found, *here) if sort == "v" or found.keys() - {"."} else ()


def _is(item: Any, wanted: Any, sort: str) -> bool:
    return bool(item == wanted if sort == "v" else all(item.get(name) == value for name, value in wanted.items()))


def changes(kind: Kind, leaf: Leaf) -> list[Object]:
    """What another manager may try to do to it, as JSON patches: the first that the server takes."""
    if leaf.item:
        return [{"op": "remove", "path": leaf.pointer}]
    values = [kind.edits[leaf.pointer]] if leaf.pointer in kind.edits else _others(leaf.value)
    return [{"op": "replace", "path": leaf.pointer, "value": value} for value in values]


def _others(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, str):
        number = re.match(r"\d+", value)
        if number:
            yield f"{int(number[0]) + 1}{value[number.end() :]}"
        yield f"{value}x"
    elif isinstance(value, list) and value:
        yield from ([other, *value[1:]] for other in _others(value[0]))
    elif isinstance(value, dict) and value:
        for name, below in value.items():
            yield from ({**value, name: other} for other in _others(below))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
