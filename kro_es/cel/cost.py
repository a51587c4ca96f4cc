"""What an evaluation costs, in cel-go's units: the fixed part of every node, and how calls grow with their operands.

cel-go counts one unit for a variable, a field, an index, a test and an ordinary call; ten for a list literal, thirty
for a map literal; a tenth for each character a call goes through. What differs here: straight code is charged as a
block, with its dearest branch, before it runs; a chain of texts is put together once; a call that goes through a list
or builds a value pays for that, which cel-go leaves to its host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from kro_es.cel.ast import Call, Comprehension, Ident, ListLiteral, MapLiteral, Node, Select, children

COST_LIMIT = 10_000_000
"""Units one evaluation may spend: what an API server grants all rules of one object, well under a second here."""

Meter: TypeAlias = Callable[[Sequence[int]], int]
"""Units of a call from the sizes of its operands in tenths: a character is one, an element or entry ten, a scalar none."""

LIST_UNITS, MAP_UNITS = 10, 30
TEXT_SIZE, ITEM_SIZE = 1, 10

FIXED_UNITS = {
    "all": 1, "exists": 1, "exists_one": 2, "map": 11, "filter": 11, "transformList": 11, "transformMap": 31,
    "transformMapEntry": 31, "sortBy": 22, "bind": 10, "optMap": 13, "optFlatMap": 12,
}  # fmt: skip
"""Of each macro: its accumulator and its result."""
STEP_UNITS = {
    "all": 3, "exists": 4, "exists_one": 2, "map": 12, "filter": 13, "transformList": 12, "transformMap": 3,
    "transformMapEntry": 2, "sortBy": 13,
}  # fmt: skip
"""Of each macro and item: the condition and the accumulator, without what the user wrote."""


LOOPS = frozenset(STEP_UNITS)
"""Macros that go through items; the others bind one variable once."""


def fixed_units(root: Node) -> dict[int, int]:
    """By node id: what evaluating the node costs, without what grows with data and without the items of loops."""
    found: dict[int, int] = {}
    _fixed(root, found)
    return found


def _fixed(node: Node, found: dict[int, int]) -> int:
    below = [_fixed(child, found) for child in children(node)]
    match node:
        case Call(function="_?_:_"):
            units = below[0] + max(below[1:])
        case Call(function="_&&_" | "_||_"):
            units = sum(below)
        case Call() | Select() | Ident():
            units = 1 + sum(below)
        case ListLiteral():
            units = LIST_UNITS + sum(below)
        case MapLiteral():
            units = MAP_UNITS + sum(below)
        case Comprehension():
            # the body of a loop is paid for by each item
            units = FIXED_UNITS[node.kind] + (below[0] if node.kind in STEP_UNITS else sum(below))
        case _:
            units = 0
    found[node.id] = units
    return units


def item_units(node: Comprehension, fixed: dict[int, int]) -> int:
    """What each item of a loop costs."""
    body = (part for part in (node.predicate, node.result) if part is not None)
    return STEP_UNITS[node.kind] + sum(fixed[part.id] for part in body)


# -- calls


def _units(tenths: int) -> int:
    return max(1, -(-tenths // 10))


def through_all(sizes: Sequence[int]) -> int:
    return _units(sum(sizes))


def through_first(sizes: Sequence[int]) -> int:
    return _units(sizes[0])


def through_last(sizes: Sequence[int]) -> int:
    return _units(sizes[-1])


def through_shorter(sizes: Sequence[int]) -> int:
    return _units(min(sizes))


def search(sizes: Sequence[int]) -> int:
    return _units(sizes[0]) * _units(sizes[1])


def _match(sizes: Sequence[int]) -> int:
    return _units(sizes[0] + 1) * max(1, -(-sizes[1] // 4))


def _each_with_each(sizes: Sequence[int]) -> int:
    # most pairs are told apart at first sight
    return _units(sizes[0]) + _units(sizes[0]) * _units(sizes[-1]) // 10


_METERS: dict[str, Meter | None] = {
    **dict.fromkeys(("startsWith", "endsWith", "string", "bytes"), through_first),
    **dict.fromkeys(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"), through_shorter),
    **dict.fromkeys(("matches", "find", "findAll", "regex.replace", "regex.extract", "regex.extractAll"), _match),
    **dict.fromkeys(("distinct", "sets.contains", "sets.equivalent", "sets.intersects"), _each_with_each),
    "contains": search,
    "@in": through_last,
    **dict.fromkeys(
        ("size", "_[_]", "_[?_]", "dyn", "type", "hasValue", "value", "optional.of", "optional.none", "charAt"), None
    ),
}
GROWING = frozenset(
    {
        "lists.range", "join", "replace", "format", "strings.quote", "random.seededString", "flatten", "json.marshal",
        "deepMerge", "regex.replace",
    }
)  # fmt: skip
"""Functions whose result can be far larger than their operands: they pay for it too."""


def meter_of(function: str) -> Meter | None:
    """How a call of ``function`` grows with its operands; None when it does not. The rule: through all of them, once."""
    return _METERS.get(function, through_all)
