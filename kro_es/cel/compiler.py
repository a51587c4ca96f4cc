"""CheckedExpression to closures over plain JSON: nothing of the observed objects is converted or copied up front."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from kro_es.api.objects import JsonValue
from kro_es.cel import access, literals, loops
from kro_es.cel.ast import Call, Comprehension, Ident, ListLiteral, Literal, MapLiteral, Node, Select
from kro_es.cel.calls import Closure, Frame, alternative, conditional, join_text, logical, select_implementation
from kro_es.cel.chains import logical_parts, text_parts
from kro_es.cel.charges import Exceeded, Operand, metered, size_of
from kro_es.cel.checker import CheckedExpression
from kro_es.cel.code import (
    Code,
    Loop,
    check_pattern,
    common,
    element_type,
    items_reader,
    json_reader,
    key_type,
    listed,
    native,
    predicate_loop,
    specialised,
)
from kro_es.cel.conversion import leaf_decoder, to_json
from kro_es.cel.cost import COST_LIMIT, LOOPS, fixed_units, item_units
from kro_es.cel.errors import CelCheckError, CostExceeded, EvaluationError
from kro_es.cel.estimate import estimate
from kro_es.cel.inference import erased, mentions_dyn
from kro_es.cel.libraries.operators import at, lookup
from kro_es.cel.loops import Price
from kro_es.cel.references import Read, static_path
from kro_es.cel.stack import SHALLOW, make_room
from kro_es.cel.types import BOOL, DYN, STRING, CelType, ListType, MapType, OptionalType, StructType
from kro_es.cel.values import CelValue

_FIRST_SLOT = 2
_PANICS = (TypeError, AttributeError, ValueError, ArithmeticError, LookupError, RecursionError)
"""What observed objects that contradict their schemas can raise: as in kro, a hard error and not the end of a pass."""


@dataclass(frozen=True, slots=True)
class CompiledExpression:
    """An expression ready to run, any number of times and on any objects."""

    text: str
    result_type: CelType
    reads: frozenset[Read]
    cost_limit: int
    """Units one evaluation may spend."""
    _run: Closure = field(repr=False)
    _frame: tuple[CelValue, ...] = field(repr=False)
    """What follows the bindings in a new frame: the budget, and an empty slot for each variable."""
    _depth: int = field(repr=False)

    def evaluate(self, bindings: Mapping[str, JsonValue]) -> CelValue:
        """Raises DataPending when observed data is missing, EvaluationError for everything else.

        Of the latter, CostExceeded when the evaluation spends more than it may (see ``cost``).
        """
        return self._evaluate([bindings, *self._frame])

    def measure(self, bindings: Mapping[str, JsonValue]) -> tuple[CelValue, int]:
        """The value and what it cost, in units; raises as :meth:`evaluate`."""
        frame = [bindings, *self._frame]
        value = self._evaluate(frame)
        return value, self.cost_limit - frame[1]

    def measure_json(self, bindings: Mapping[str, JsonValue]) -> tuple[JsonValue, int]:
        """As :meth:`measure`, with the JSON that is written for the value."""
        value, units = self.measure(bindings)
        return to_json(value), units

    def _evaluate(self, frame: Frame) -> CelValue:
        if self._depth > SHALLOW:
            make_room(self._depth)
        try:
            return self._run(frame)
        except _PANICS as error:
            raise EvaluationError(f"internal error: {error}") from error

    def evaluate_json(self, bindings: Mapping[str, JsonValue]) -> JsonValue:
        """The JSON that is written for the value; it shares nothing with ``bindings``."""
        return to_json(self.evaluate(bindings))


def compile_expression(checked: CheckedExpression, *, cost_limit: int = COST_LIMIT) -> CompiledExpression:
    """Raises CelError when a constant regular expression is none, or when every evaluation would cost too much."""
    make_room(checked.parsed.depth)
    fixed = fixed_units(checked.root)
    compiler = _Compiler(checked, fixed, cost_limit)
    code = compiler.code(checked.root)
    if compiler.slots:
        # without a macro no text is long enough to cost much
        _refuse_costly(checked, cost_limit)
    run = native(code) if isinstance(code.of, ListType) else code.run
    frame = (cost_limit - fixed[checked.root.id], *[None] * compiler.slots)
    return CompiledExpression(
        checked.text, checked.result_type, checked.reads, cost_limit, run, frame, checked.parsed.depth
    )


def _refuse_costly(checked: CheckedExpression, cost_limit: int) -> None:
    needed = estimate(checked)
    if needed.least > cost_limit:
        message = f"estimated cost is {needed}, and an evaluation may spend {cost_limit} units"
        raise CelCheckError((checked.parsed.source.issue(checked.root.position, message),))


class _Compiler:
    """One walk over the tree; closures never look at it again."""

    def __init__(self, checked: CheckedExpression, fixed: dict[int, int], cost_limit: int) -> None:
        self._fixed = fixed
        self._cost_limit = cost_limit
        self._types = checked.types
        self._overloads = checked.overloads
        self._scope: dict[str, Code] = {}
        self.slots = 0

    def code(self, node: Node) -> Code:
        match node:
            case Literal():
                return Code(literals.constant(node.value), self._types[node.id], size=size_of(node.value))
            case Ident():
                return self._ident(node)
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case ListLiteral():
                return self._list(node)
            case MapLiteral():
                return self._map(node)
            case Comprehension():
                return self._comprehension(node)

    def _ident(self, node: Ident) -> Code:
        if node.name in self._scope and not node.absolute:
            return self._scope[node.name]
        of = self._types[node.id]
        return Code(access.variable(node.name, of), of, json=True, steps=(node.name,))

    # -- fields and elements

    def _select(self, node: Select) -> Code:
        operand = self.code(node.operand)
        inside = operand.of.inner if isinstance(operand.of, OptionalType) else operand.of
        declared = inside.field(node.field) if isinstance(inside, StructType) else None
        key = declared.key if declared else node.field
        of = declared.type if declared else inside.value if isinstance(inside, MapType) else DYN
        if node.test:
            return Code(access.has_field(operand.run, key, declared=declared is not None), BOOL)
        if node.optional or inside is not operand.of:
            raw = operand.raw or isinstance(inside, StructType)
            read = json_reader(of) if raw else None
            result = of if isinstance(of, OptionalType) else OptionalType(of)
            return Code(access.optional_field(operand.run, key, read, declared=declared is not None), result)
        path, read_as = _path_text(node), of if declared else access.leaf(of, operand.raw)
        steps = operand.steps and (*operand.steps, key)
        access_to = access.struct_field if declared else access.map_entry
        run = access_to(operand.run, key, read_as, path)
        return Code(access.direct(steps, read_as, run), of, json=declared is not None or operand.raw, steps=steps)

    def _element(self, node: Call, container: Code, key: Code) -> Code:
        """``a[k]`` on a list or map."""
        pick = at if isinstance(container.of, ListType) else lookup
        of = element_type(container.of)
        read_as = access.leaf(of, container.raw)
        return Code(access.element(container.run, key.run, read_as, pick, _path_text(node.args[0])), of, container.raw)

    # -- calls

    def _call(self, node: Call) -> Code:
        of = self._types[node.id]
        match node.function, node.args:
            case (("_&&_" | "_||_"), _):
                chain = tuple(self.code(part).run for part in logical_parts(node))
                return Code(logical(chain, decisive=node.function == "_||_"), of)
            case "_?_:_", _:
                return self._conditional(node)
            case "_+_", _ if (texts := text_parts(node, self._types)) is not None:
                parts = [self.code(part) for part in texts]
                certain = all(part.of == STRING for part in parts)
                runs = tuple(part.run for part in parts)
                return Code(join_text(runs, self._exceeded(node), certain=certain), of)
            case "dyn", (value,):
                return Code(native(self.code(value), into_dyn=True), of)
            case (("or" | "orValue"), (other,)) if node.target is not None:
                return self._alternative(node.function, self.code(node.target), self.code(other))
        return self._strict(node)

    def _strict(self, node: Call) -> Code:
        if node.function in ("find", "findAll") and isinstance(node.args[0], Literal):
            check_pattern(node.args[0].value)
        operands = [self.code(operand) for operand in node.operands]
        given = tuple(operand.of for operand in operands)
        if node.function == "_[_]" and (
            isinstance(given[0], MapType) or (given[1] != DYN and isinstance(given[0], ListType))
        ):
            return self._element(node, *operands)
        overloads = self._overloads[node.id]
        merge = given[0].merge if given and isinstance(given[0], ListType) else None
        implementation = specialised(node.function, given, merge) or select_implementation(overloads, given)
        of = self._types[node.id]
        weak = any(mentions_dyn(operand) for operand in given)
        if weak:
            of = erased(overloads[0].result) if len(overloads) == 1 else common(overloads)
        if merge is not None and node.function == "_+_" and isinstance(of, ListType):
            of = ListType(of.element, merge)
        into_dyn = weak and mentions_dyn(of)
        wanted = overloads[0].parameters
        args = tuple(
            Operand(native(operand, into_dyn=into_dyn or expected == DYN), operand.of, operand.size)
            for operand, expected in zip(operands, wanted, strict=True)
        )
        return Code(metered(node.function, implementation, args, self._exceeded(node)), of)

    def _exceeded(self, node: Node) -> Exceeded:
        return partial(CostExceeded, self._cost_limit, node.position.line, node.position.column)

    def _alternative(self, function: str, optional: Code, other: Code) -> Code:
        """``or`` and ``orValue``."""
        weak = mentions_dyn(optional.of) or mentions_dyn(other.of)
        run = alternative(native(optional, into_dyn=weak), native(other, into_dyn=weak), unwrap=function == "orValue")
        if function == "or":
            return Code(run, OptionalType(DYN) if weak else other.of)
        return Code(run, DYN if weak else other.of)

    def _conditional(self, node: Call) -> Code:
        condition, chosen, otherwise = (self.code(arg) for arg in node.args)
        if chosen.raw and otherwise.raw and chosen.of == otherwise.of:
            return Code(conditional(condition.run, chosen.run, otherwise.run), chosen.of, json=True)
        of = DYN if mentions_dyn(chosen.of) or mentions_dyn(otherwise.of) else self._types[node.id]
        branches = (native(branch, into_dyn=of == DYN) for branch in (chosen, otherwise))
        return Code(conditional(condition.run, *branches), of)

    # -- literals

    def _list(self, node: ListLiteral) -> Code:
        of = self._types[node.id]
        assert isinstance(of, ListType)
        codes = [self.code(element) for element in node.elements]
        into_dyn = mentions_dyn(of) or any(mentions_dyn(code.of) for code in codes)
        elements = tuple(native(code, into_dyn=into_dyn) for code in codes)
        known = ListType(DYN) if into_dyn else of
        if not node.optional:
            return Code(lambda frame: [element(frame) for element in elements], known)
        marked = tuple((element, place in node.optional) for place, element in enumerate(elements))
        return Code(literals.optional_list(marked), known)

    def _map(self, node: MapLiteral) -> Code:
        of = self._types[node.id]
        assert isinstance(of, MapType)
        keys = [self.code(entry.key) for entry in node.entries]
        values = [self.code(entry.value) for entry in node.entries]
        into_dyn = mentions_dyn(of) or any(mentions_dyn(code.of) for code in (*keys, *values))
        entries = tuple(
            (key.run, native(value, into_dyn=into_dyn), entry.optional)
            for key, value, entry in zip(keys, values, node.entries, strict=True)
        )
        known = MapType(DYN, DYN) if into_dyn else of
        if all(isinstance(entry.key, Literal) and type(entry.key.value) is str for entry in node.entries):
            return Code(literals.text_map(entries), known)
        return Code(literals.any_map(entries), known)

    # -- comprehensions

    def _comprehension(self, node: Comprehension) -> Code:
        source = self.code(node.range)
        units = item_units(node, self._fixed) if node.kind in LOOPS else 0
        slot = _FIRST_SLOT + self.slots
        self.slots += 1
        outer = self._scope
        bound, source_items, element_raw = self._bind(node, source, slot, Price(units, self._exceeded(node)))
        self._scope = {**outer, **dict(zip(node.variables, bound, strict=True))}
        predicate = self.code(node.predicate).run if node.predicate is not None else None
        result = self.code(node.result) if node.result is not None else None
        self._scope = outer
        return self._loop(node, slot, Loop(source, source_items, units, element_raw, predicate, result))

    def _bind(self, node: Comprehension, source: Code, slot: int, price: Price) -> tuple[list[Code], loops.Items, bool]:
        """The variables as code, the items they go through, and whether elements stay raw."""
        if node.kind == "bind":
            return [Code(loops.bound(source.run, slot), source.of, source.raw)], lambda _: [], source.raw
        if node.kind in ("optMap", "optFlatMap"):
            of = source.of.inner if isinstance(source.of, OptionalType) else source.of
            return [Code(operator.itemgetter(slot), of, steps=(slot,))], lambda _: [], False
        pairs = len(node.variables) == 2
        value = element_type(source.of)
        read = items_reader(value) if source.raw else None
        raw = source.raw and leaf_decoder(value) is None
        source_items = loops.items(source.run, price, pairs=pairs, read=read)
        if pairs:
            return [Code(_pair(slot, 0), key_type(source.of)), Code(_pair(slot, 1), value, raw)], source_items, raw
        if isinstance(source.of, MapType):
            # the keys are the items: nothing of the values is read
            keys = loops.items(source.run, price, pairs=False, read=None)
            return [Code(operator.itemgetter(slot), source.of.key)], keys, False
        return [Code(operator.itemgetter(slot), value, raw, steps=(slot,))], source_items, raw

    def _loop(self, node: Comprehension, slot: int, loop: Loop) -> Code:
        if loop.result is None:
            return predicate_loop(node.kind, slot, loop)
        result = native(loop.result, into_dyn=mentions_dyn(loop.result.of))
        known = loop.result.of
        match node.kind:
            case "bind":
                return Code(loops.bind(slot, loop.result.run), known, loop.result.json)
            case "optMap" | "optFlatMap":
                flat = node.kind == "optFlatMap"
                run = loops.optional_map(loop.source.run, slot, result, flat=flat)
                return Code(run, known if flat else OptionalType(known))
            case "transformMap":
                run = loops.transform_map(loop.items, slot, loop.predicate, result)
                return Code(run, MapType(key_type(loop.source.of), known))
            case "transformMapEntry":
                return Code(loops.transform_entries(loop.items, slot, loop.predicate, result), known)
            case "sortBy":
                run = loops.sort_items(loop.items, slot, result)
                return Code(run, listed(loop.source.of), loop.element_raw)
        return Code(loops.transform_list(loop.items, slot, loop.predicate, result), ListType(known))


def _pair(slot: int, part: int) -> Closure:
    return lambda frame: frame[slot][part]


def _path_text(node: Node) -> str:
    path = static_path(node)
    if path is not None:
        return ".".join((path[0], *path[1]))
    return node.field if isinstance(node, Select) else ""
