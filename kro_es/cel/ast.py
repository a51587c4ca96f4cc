"""Our own expression tree: frozen nodes, each with an id that later stages attach facts to, and a position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from kro_es.cel.values import CelValue


@dataclass(frozen=True, slots=True)
class Position:
    """1-based place in the source, counted in code points."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; its Python class tells its CEL type."""

    id: int
    position: Position
    value: CelValue


@dataclass(frozen=True, slots=True)
class Ident:
    """A variable."""

    id: int
    position: Position
    name: str
    absolute: bool = False
    """Written with a dot before it: never a variable of a macro."""


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``; ``operand.?field`` when optional; ``has(operand.field)`` when it is a test."""

    id: int
    position: Position
    operand: Node
    field: str
    test: bool = False
    optional: bool = False
    quoted: bool = False
    """Written in back-ticks: the declared name as it is, never a reserved word."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator (``_+_``); ``target`` is the receiver of a member function."""

    id: int
    position: Position
    function: str
    target: Node | None
    args: tuple[Node, ...]

    @property
    def operands(self) -> tuple[Node, ...]:
        return self.args if self.target is None else (self.target, *self.args)


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """``[a, ?b]``; ``optional`` holds the indices written with a question mark."""

    id: int
    position: Position
    elements: tuple[Node, ...]
    optional: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """``key: value`` or ``?key: value`` of a map literal."""

    key: Node
    value: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class MapLiteral:
    """``{k: v}``."""

    id: int
    position: Position
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """A macro that binds variables: over the items of a range, or once (``cel.bind``, ``optMap``, ``optFlatMap``)."""

    id: int
    position: Position
    kind: str
    """Name of the macro; ``existsOne`` is spelled ``exists_one``."""
    range: Node
    variables: tuple[str, ...]
    """One name, or index and value / key and value."""
    predicate: Node | None
    result: Node | None


Node: TypeAlias = Literal | Ident | Select | Call | ListLiteral | MapLiteral | Comprehension


def dotted(node: Node) -> str | None:
    """``a.b.c`` where the node is a plain chain of names."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not (node.test or node.optional or node.quoted):
        operand = dotted(node.operand)
        return operand and f"{operand}.{node.field}"
    return None


def replaced(node: Node, others: Mapping[int, Node]) -> Node:
    """The tree with other nodes in the place of those with these ids."""
    if node.id in others:
        return others[node.id]
    match node:
        case Select():
            return replace(node, operand=replaced(node.operand, others))
        case Call():
            target = None if node.target is None else replaced(node.target, others)
            return replace(node, target=target, args=tuple(replaced(arg, others) for arg in node.args))
        case ListLiteral():
            return replace(node, elements=tuple(replaced(item, others) for item in node.elements))
        case MapLiteral():
            entries = (
                Entry(replaced(entry.key, others), replaced(entry.value, others), entry.optional)
                for entry in node.entries
            )
            return replace(node, entries=tuple(entries))
        case Comprehension():
            parts = (node.predicate, node.result)
            predicate, result = (None if part is None else replaced(part, others) for part in parts)
            return replace(node, range=replaced(node.range, others), predicate=predicate, result=result)
        case _:
            return node


def children(node: Node) -> Iterator[Node]:
    """Direct sub-expressions in source order."""
    match node:
        case Select():
            yield node.operand
        case Call():
            yield from node.operands
        case ListLiteral():
            yield from node.elements
        case MapLiteral():
            for entry in node.entries:
                yield entry.key
                yield entry.value
        case Comprehension():
            yield node.range
            yield from (part for part in (node.predicate, node.result) if part is not None)
        case _:
            return
