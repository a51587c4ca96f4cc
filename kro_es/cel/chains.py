"""Chains of one operator, which the parser nests and the evaluator takes in one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kro_es.cel.ast import Call, Node
from kro_es.cel.types import STRING, CelType


def logical_parts(node: Call) -> list[Node]:
    """The operands of nested calls of one logical operator, in source order."""
    return _parts(node, lambda part: isinstance(part, Call) and part.function == node.function)


def text_parts(node: Node, types: Mapping[int, CelType]) -> list[Node] | None:
    """The texts that a chain of additions puts together, in source order; None when ``node`` adds something else."""

    def adds_texts(part: Node) -> bool:
        if not (isinstance(part, Call) and part.function == "_+_" and types[part.id] == STRING):
            return False
        return all(types[arg.id] == STRING for arg in part.args)

    return _parts(node, adds_texts) if adds_texts(node) else None


def _parts(node: Node, nests: Callable[[Node], bool]) -> list[Node]:
    parts: list[Node] = []
    pending = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, Call) and nests(part):
            pending.extend(reversed(part.args))
        else:
            parts.append(part)
    return parts
