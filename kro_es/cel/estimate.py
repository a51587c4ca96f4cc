"""The least and the most an expression can cost, known from its text and types before anything is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kro_es.cel import cost
from kro_es.cel.ast import Call, Comprehension, Ident, ListLiteral, Literal, MapLiteral, Node, Select
from kro_es.cel.chains import text_parts
from kro_es.cel.charges import size_of
from kro_es.cel.checker import CheckedExpression
from kro_es.cel.cost import ITEM_SIZE, LOOPS
from kro_es.cel.types import BOOL, DOUBLE, DURATION, INT, NULL, TIMESTAMP, UINT, CelType

_UNBOUNDED = 1 << 62
_ANY_SIZE = 1 << 100
"""Stands for a size nobody knows; whatever is computed from it exceeds every bounded cost."""
_SCALARS: tuple[CelType, ...] = (BOOL, INT, UINT, DOUBLE, NULL, TIMESTAMP, DURATION)
_ALTERNATIVES = frozenset({"_&&_", "_||_", "or", "orValue"})


@dataclass(frozen=True, slots=True)
class Range:
    """From ``least`` to ``most``; ``most`` means nothing unless it is ``bounded``."""

    least: int
    most: int

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, self.most + other.most)

    def __or__(self, other: Range) -> Range:
        return Range(min(self.least, other.least), max(self.most, other.most))

    @property
    def bounded(self) -> bool:
        return self.most < _UNBOUNDED

    def __str__(self) -> str:
        if not self.bounded:
            return f"at least {self.least}, growing with the data"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def _exactly(units: int) -> Range:
    return Range(units, units)


_NOTHING, _ANYTHING = _exactly(0), Range(0, _ANY_SIZE)


def estimate(checked: CheckedExpression) -> Range:
    """Units of one evaluation (see ``cost``); observed lists, maps and texts may be of any size."""
    return _Estimator(checked).estimate(checked.root).units


@dataclass(frozen=True, slots=True)
class _Known:
    """Of one node: what it costs, and the size of its value in tenths."""

    units: Range
    size: Range


class _Estimator:
    def __init__(self, checked: CheckedExpression) -> None:
        self._types = checked.types
        self._fixed = cost.fixed_units(checked.root)
        self._scope: dict[str, Range] = {}

    def estimate(self, node: Node) -> _Known:
        match node:
            case Literal():
                return _Known(_NOTHING, _exactly(size_of(node.value)))
            case Ident():
                return _Known(_exactly(1), self._scope.get(node.name) or self._size(node))
            case Select():
                return _Known(self.estimate(node.operand).units + _exactly(1), self._size(node))
            case Call():
                return self._call(node)
            case ListLiteral():
                parts = [self.estimate(element).units for element in node.elements]
                return _literal(parts, len(node.elements), len(node.optional), cost.LIST_UNITS)
            case MapLiteral():
                parts = [self.estimate(part).units for entry in node.entries for part in (entry.key, entry.value)]
                optional = sum(entry.optional for entry in node.entries)
                return _literal(parts, len(node.entries), optional, cost.MAP_UNITS)
            case Comprehension():
                return self._comprehension(node)

    def _size(self, node: Node) -> Range:
        return _NOTHING if self._types[node.id] in _SCALARS else _ANYTHING

    def _call(self, node: Call) -> _Known:
        texts = text_parts(node, self._types)
        if texts is not None:
            return self._join([self.estimate(part) for part in texts])
        operands = [self.estimate(operand) for operand in node.operands]
        units = [operand.units for operand in operands]
        if node.function == "_?_:_":
            return _Known(units[0] + self._dearest(node.args[1:], units[1:]), operands[1].size | operands[2].size)
        if node.function in _ALTERNATIVES:
            own = _exactly(0 if node.function in ("_&&_", "_||_") else 1)
            return _Known(units[0] + Range(0, units[1].most) + own, self._size(node))
        size = self._result_size(node, [operand.size for operand in operands])
        own = _metered(node.function, [operand.size for operand in operands])
        if node.function in cost.GROWING:
            own += Range(size.least // 10, size.most // 10)
        return _Known(sum(units, own), size)

    def _dearest(self, branches: Sequence[Node], units: Sequence[Range]) -> Range:
        """One of two branches, where the fixed units of the dearer one are paid in any case."""
        fixed = [self._fixed[branch.id] for branch in branches]
        growing = max(known.most - paid for known, paid in zip(units, fixed, strict=True))
        return Range(min(known.least for known in units), max(fixed) + growing)

    def _join(self, parts: list[_Known]) -> _Known:
        """Texts put together in one step; every addition but the last costs its fixed unit."""
        sizes = [part.size for part in parts]
        units = sum((part.units for part in parts), _exactly(len(parts) - 2))
        return _Known(units + _metered("_+_", sizes), sum(sizes, _NOTHING))

    def _result_size(self, node: Call, sizes: list[Range]) -> Range:
        match node.function, node.operands:
            case "_+_", _:
                return sum(sizes, _NOTHING)
            case "lists.range", (Literal(value=int() as count),):
                return _exactly(max(count, 0) * ITEM_SIZE)
        return self._size(node)

    def _comprehension(self, node: Comprehension) -> _Known:
        source = self.estimate(node.range)
        outer = self._scope
        self._scope = {name: size for name, size in outer.items() if name not in node.variables}
        if node.kind == "bind":
            self._scope[node.variables[0]] = source.size
        predicate = self.estimate(node.predicate).units if node.predicate is not None else _NOTHING
        result = self.estimate(node.result) if node.result is not None else _Known(_NOTHING, _NOTHING)
        self._scope = outer
        fixed = source.units + _exactly(cost.FIXED_UNITS[node.kind])
        if node.kind == "bind":
            # the value is computed when it is asked for
            return _Known(Range(cost.FIXED_UNITS["bind"], fixed.most) + result.units, result.size)
        if node.kind not in LOOPS:
            return _Known(fixed + Range(0, result.units.most), self._size(node))
        body = predicate + result.units + _exactly(cost.STEP_UNITS[node.kind])
        if node.predicate is not None:
            body = Range(body.least - result.units.least, body.most)
        fewest, highest = source.size.least // ITEM_SIZE, -(-source.size.most // ITEM_SIZE)
        if node.kind in ("all", "exists"):
            fewest = min(fewest, 1)
        return _Known(fixed + Range(fewest * body.least, highest * body.most), self._loop_size(node, source.size))

    def _loop_size(self, node: Comprehension, source: Range) -> Range:
        match node.kind:
            case "all" | "exists" | "exists_one":
                return _NOTHING
            case "transformMapEntry":
                return _ANYTHING
            case "sortBy":
                return source
        return source if node.predicate is None else Range(0, source.most)


def _literal(parts: Sequence[Range], count: int, optional: int, base: int) -> _Known:
    return _Known(sum(parts, _exactly(base)), Range((count - optional) * ITEM_SIZE, count * ITEM_SIZE))


def _metered(function: str, sizes: list[Range]) -> Range:
    meter = cost.meter_of(function)
    if meter is None or not sizes:
        return _exactly(1)
    return Range(meter([size.least for size in sizes]), meter([size.most for size in sizes]))
