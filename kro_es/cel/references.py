"""Which names, functions and fields an expression touches, without knowing any type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kro_es.cel.ast import Call, Comprehension, Ident, Literal, Node, Select, children
from kro_es.cel.parser import ParsedExpression


@dataclass(frozen=True, slots=True, order=True)
class Read:
    """A field path below a variable; what is read lies at or under it."""

    root: str
    path: tuple[str, ...]


def identifiers(parsed: ParsedExpression) -> tuple[str, ...]:
    """Free identifiers, each once, in source order; a macro's variable is bound in its body only."""
    return tuple(
        dict.fromkeys(
            node.name
            for node, bound in _walk(parsed.root)
            if isinstance(node, Ident) and (node.absolute or node.name not in bound)
        )
    )


def unknown_functions(parsed: ParsedExpression) -> tuple[str, ...]:
    """Calls without a receiver of what is no function at all, each once, in source order; kro asks no more than the name."""
    calls = (node for node, _ in _walk(parsed.root) if isinstance(node, Call) and node.target is None)
    return tuple(dict.fromkeys(node.function for node in calls if node.function not in parsed.environment.functions))


def reads(root: Node) -> frozenset[Read]:
    """The paths read from free variables; a computed key or an index ends a path: what lies below is read too."""
    found = set()
    pending: list[tuple[Node, frozenset[str]]] = [(root, frozenset())]
    while pending:
        node, bound = pending.pop()
        path = static_path(node)
        if path is None:
            pending.extend(_scoped(node, bound))
        elif path[0] not in bound or _absolute(node):
            found.add(Read(path[0], path[1]))
    return frozenset(found)


def asked(root: Node) -> frozenset[Read]:
    """The paths an expression asks for before it relies on them: ``has(a.b)``, ``a.?b``, ``a[?"b"]``."""
    found = (
        static_path(node)
        for node, _ in _walk(root)
        if (isinstance(node, Select) and (node.test or node.optional))
        or (isinstance(node, Call) and node.function == "_[?_]")
    )
    return frozenset(Read(*path) for path in found if path is not None)


def _walk(root: Node) -> Iterator[tuple[Node, frozenset[str]]]:
    """Every node in source order with the names bound around it."""
    pending: list[tuple[Node, frozenset[str]]] = [(root, frozenset())]
    while pending:
        node, bound = pending.pop()
        yield node, bound
        pending.extend(reversed(_scoped(node, bound)))


def _scoped(node: Node, bound: frozenset[str]) -> list[tuple[Node, frozenset[str]]]:
    """Children with the names that are bound in each."""
    if not isinstance(node, Comprehension):
        return [(child, bound) for child in children(node)]
    inner = bound | frozenset(node.variables)
    return [(child, bound if child is node.range else inner) for child in children(node)]


def _absolute(node: Node) -> bool:
    while not isinstance(node, Ident):
        node = next(children(node))
    return node.absolute


def static_path(node: Node) -> tuple[str, tuple[str, ...]] | None:
    """Variable and path of ``a.b["c"].d``; None for anything computed."""
    path: list[str] = []
    while True:
        match node:
            case Ident():
                return node.name, tuple(reversed(path))
            case Select():
                path.append(node.field)
                node = node.operand
            case Call(function="_[_]" | "_[?_]", args=(operand, Literal(value=str() as key))):
                path.append(key)
                node = operand
            case _:
                return None
