"""A document as values with places: what each value is, and the line and column it is written at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kro_es.api.objects import JsonValue
from kro_es.graph import fieldpath
from kro_es.graph.fieldpath import FieldPath


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; both numbers begin at 1."""

    line: int
    column: int


@dataclass(slots=True)
class Node:
    """One value of a document."""

    value: JsonValue
    start: Place
    end: Place
    style: str | None = None
    """Of a scalar: ``'``, ``"``, ``|``, ``>``, or None for a plain one."""
    members: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    """Keys that are written in another way than they read: ``true`` as ``y``."""

    def child(self, step: str | int) -> Node | None:
        if isinstance(step, int):
            return self.items[step] if 0 <= step < len(self.items) else None
        return self.members.get(step)

    def steps(self) -> Iterator[str | int]:
        return iter(self.members) if self.members else iter(range(len(self.items)))


@dataclass(frozen=True, slots=True)
class Found:
    """How far a path could be followed."""

    node: Node
    key: Place | None
    """Of the last member followed; None for the root and for list items."""
    path: FieldPath
    complete: bool

    @property
    def place(self) -> Place:
        """Of the value when it is a scalar, else of the key that opens it."""
        collection = self.node.members or self.node.items
        return self.key if collection and self.key is not None else self.node.start


def follow(root: Node, text: str) -> Found:
    """The node at a path in the form messages use, or the deepest one on the way to it.

    Names are not escaped in paths, so they are told apart by what the document has (spec/02 §2).
    """
    best = Found(root, None, (), complete=not text)
    waiting = [(best, "")]
    while waiting:
        found, prefix = waiting.pop()
        if found.complete:
            return found
        if len(found.path) > len(best.path):
            best = found
        for step in found.node.steps():
            joined = fieldpath.join(prefix, step)
            rest = text.removeprefix(joined)
            if rest == text or (rest and rest[0] not in ".["):
                continue
            child = found.node.child(step)
            assert child is not None
            key = found.node.keys[step] if isinstance(step, str) else None
            waiting.append((Found(child, key, (*found.path, step), complete=not rest), joined))
    return best
