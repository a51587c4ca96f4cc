"""CheckedExpression to closures over plain JSON: nothing of the observed objects is converted or copied up front."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field

from kro_es.api.objects import JsonValue
from kro_es.cel import access, literals, loops
from kro_es.cel.ast import Call, Comprehension, Ident, ListLiteral, Literal, MapLiteral, Node, Select
from kro_es.cel.calls import (
    Closure,
    alternative,
    conditional,
    invoke,
    join_text,
    logical,
    select_implementation,
)
from kro_es.cel.checker import CheckedExpression
from kro_es.cel.conversion import Decoder, decoder, leaf_decoder, to_json
from kro_es.cel.errors import CelError, EvaluationError
from kro_es.cel.libraries.operators import at, lookup
from kro_es.cel.libraries.strings import compile_pattern
from kro_es.cel.merging import adder, comparison
from kro_es.cel.overloads import Implementation
from kro_es.cel.references import Read, static_path
from kro_es.cel.types import (
    DYN,
    STRING,
    CelType,
    ListType,
    MapType,
    OptionalType,
    Primitive,
    StructType,
)
from kro_es.cel.values import CelValue

MAX_ITERATIONS = 1_000_000
"""Items all comprehensions of one evaluation may visit."""
_FIRST_SLOT = 2


@dataclass(frozen=True, slots=True)
class CompiledExpression:
    """An expression ready to run, any number of times and on any objects."""

    text: str
    result_type: CelType
    reads: frozenset[Read]
    _run: Closure = field(repr=False)
    _slots: int = field(repr=False)

    def evaluate(self, bindings: Mapping[str, JsonValue]) -> CelValue:
        """Raises DataPending when observed data is missing, EvaluationError for everything else."""
        return self._run([bindings, MAX_ITERATIONS, *[None] * self._slots])

    def evaluate_json(self, bindings: Mapping[str, JsonValue]) -> JsonValue:
        """The JSON that is written for the value; it shares nothing with ``bindings``."""
        return to_json(self.evaluate(bindings))


def compile_expression(checked: CheckedExpression) -> CompiledExpression:
    """Raises CelError when a constant regular expression of ``find`` or ``findAll`` is none."""
    compiler = _Compiler(checked)
    code = compiler.code(checked.root)
    run = _native(code) if isinstance(code.of, ListType) else code.run
    return CompiledExpression(checked.text, checked.result_type, checked.reads, run, compiler.slots)


@dataclass(frozen=True, slots=True)
class _Code:
    """A compiled node."""

    run: Closure
    of: CelType
    json: bool = False
    """The value comes straight from observed JSON."""

    @property
    def raw(self) -> bool:
        """A list or map of observed JSON whose elements are not decoded yet; scalars were decoded when read."""
        return self.json and isinstance(self.of, ListType | MapType)


def _native(code: _Code, *, into_dyn: bool = False) -> Closure:
    """A value that can leave the care of its static type."""
    read = decoder(code.of, raw=code.raw, into_dyn=into_dyn)
    if read is None:
        return code.run
    run, decode = code.run, read
    return lambda frame: decode(run(frame))


def _json_reader(of: CelType) -> Decoder | None:
    """Reads a JSON value of this type completely, structs excepted."""
    return leaf_decoder(of) or decoder(of)


class _Compiler:
    """One walk over the tree; closures never look at it again."""

    def __init__(self, checked: CheckedExpression) -> None:
        self._types = checked.types
        self._overloads = checked.overloads
        self._scope: dict[str, _Code] = {}
        self.slots = 0

    def code(self, node: Node) -> _Code:
        match node:
            case Literal():
                return _Code(literals.constant(node.value), self._types[node.id])
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

    def _ident(self, node: Ident) -> _Code:
        if node.name in self._scope:
            return self._scope[node.name]
        of = self._types[node.id]
        return _Code(access.variable(node.name, of), of, json=True)

    # -- fields and elements

    def _select(self, node: Select) -> _Code:
        operand, of = self.code(node.operand), self._types[node.id]
        inside = operand.of.inner if isinstance(operand.of, OptionalType) else operand.of
        declared = inside.field(node.field) if isinstance(inside, StructType) else None
        key = declared.key if declared else node.field
        if node.test:
            return _Code(access.has_field(operand.run, key, declared=declared is not None), of)
        if isinstance(of, OptionalType) and (node.optional or inside is not operand.of):
            raw = operand.raw or isinstance(inside, StructType)
            read = _json_reader(of.inner) if raw else None
            return _Code(access.optional_field(operand.run, key, read, declared=declared is not None), of)
        path = _path_text(node)
        if declared is not None:
            return _Code(access.struct_field(operand.run, key, of, path), of, json=True)
        raw = operand.raw and isinstance(inside, MapType)
        return _Code(access.map_entry(operand.run, key, access.leaf(of, raw), path), of, raw)

    def _element(self, node: Call) -> _Code | None:
        """``a[k]`` on a list or map; None for any other container."""
        container, of = self.code(node.args[0]), self._types[node.id]
        key = self.code(node.args[1])
        if not isinstance(container.of, ListType | MapType) or (key.of == DYN and isinstance(container.of, ListType)):
            return None
        pick = at if isinstance(container.of, ListType) else lookup
        read_as = access.leaf(of, container.raw)
        return _Code(access.element(container.run, key.run, read_as, pick, _path_text(node.args[0])), of, container.raw)

    # -- calls

    def _call(self, node: Call) -> _Code:
        of = self._types[node.id]
        match node.function, node.args:
            case (("_&&_" | "_||_"), (left, right)):
                decisive = node.function == "_||_"
                return _Code(logical(self.code(left).run, self.code(right).run, decisive), of)
            case "_?_:_", _:
                return self._conditional(node)
            case "_+_", _ if self._is_text(node):
                return _Code(join_text(tuple(self.code(part).run for part in self._text_parts(node))), of)
            case "_[_]", _:
                return self._element(node) or self._strict(node)
            case "dyn", (value,):
                return _Code(_native(self.code(value), into_dyn=True), of)
            case (("or" | "orValue"), (other,)) if node.target is not None:
                optional, wanted = self.code(node.target).run, _native(self.code(other), into_dyn=of == DYN)
                return _Code(alternative(optional, wanted, unwrap=node.function == "orValue"), of)
        return self._strict(node)

    def _strict(self, node: Call) -> _Code:
        if node.function in ("find", "findAll") and isinstance(node.args[0], Literal):
            _check_pattern(node.args[0].value)
        overloads = self._overloads[node.id]
        operands = [self.code(operand) for operand in node.operands]
        given = tuple(operand.of for operand in operands)
        of = self._types[node.id]
        merge = given[0].merge if given and isinstance(given[0], ListType) else None
        implementation = _specialised(node.function, given, merge) or select_implementation(overloads, given)
        if merge is not None and node.function == "_+_" and isinstance(of, ListType):
            of = ListType(of.element, merge)
        wanted = overloads[0].parameters
        args = tuple(
            _native(operand, into_dyn=expected == DYN) for operand, expected in zip(operands, wanted, strict=True)
        )
        return _Code(invoke(implementation, args), of)

    def _conditional(self, node: Call) -> _Code:
        condition, chosen, otherwise = (self.code(arg) for arg in node.args)
        of = self._types[node.id]
        if chosen.raw and otherwise.raw and chosen.of == otherwise.of:
            return _Code(conditional(condition.run, chosen.run, otherwise.run), of, json=True)
        branches = (_native(branch, into_dyn=of == DYN) for branch in (chosen, otherwise))
        return _Code(conditional(condition.run, *branches), of)

    def _is_text(self, node: Node) -> bool:
        if not (isinstance(node, Call) and node.function == "_+_" and self._types[node.id] == STRING):
            return False
        return all(self._types[arg.id] == STRING for arg in node.args)

    def _text_parts(self, node: Node) -> list[Node]:
        parts: list[Node] = []
        pending = [node]
        while pending:
            part = pending.pop()
            if isinstance(part, Call) and self._is_text(part):
                pending.extend(reversed(part.args))
            else:
                parts.append(part)
        return parts

    # -- literals

    def _list(self, node: ListLiteral) -> _Code:
        of = self._types[node.id]
        assert isinstance(of, ListType)
        into_dyn = of.element == DYN
        elements = tuple(_native(self.code(element), into_dyn=into_dyn) for element in node.elements)
        if not node.optional:
            return _Code(lambda frame: [element(frame) for element in elements], of)
        marked = tuple((element, place in node.optional) for place, element in enumerate(elements))
        return _Code(literals.optional_list(marked), of)

    def _map(self, node: MapLiteral) -> _Code:
        of = self._types[node.id]
        assert isinstance(of, MapType)
        into_dyn = of.value == DYN
        entries = tuple(
            (self.code(entry.key).run, _native(self.code(entry.value), into_dyn=into_dyn), entry.optional)
            for entry in node.entries
        )
        if all(isinstance(entry.key, Literal) and type(entry.key.value) is str for entry in node.entries):
            return _Code(literals.text_map(entries), of)
        return _Code(literals.any_map(entries), of)

    # -- comprehensions

    def _comprehension(self, node: Comprehension) -> _Code:
        source = self.code(node.range)
        slot = _FIRST_SLOT + self.slots
        self.slots += 1
        outer = self._scope
        bound, source_items, element_raw = self._bind(node, source, slot)
        self._scope = {**outer, **dict(zip(node.variables, bound, strict=True))}
        predicate = self.code(node.predicate).run if node.predicate is not None else None
        result = self.code(node.result) if node.result is not None else None
        self._scope = outer
        return self._loop(node, slot, _Loop(source, source_items, element_raw, predicate, result))

    def _bind(self, node: Comprehension, source: _Code, slot: int) -> tuple[list[_Code], loops.Items, bool]:
        """The variables as code, the items they go through, and whether elements stay raw."""
        if node.kind in ("bind", "optMap", "optFlatMap"):
            of = source.of.inner if isinstance(source.of, OptionalType) and node.kind != "bind" else source.of
            raw = source.raw and node.kind == "bind"
            return [_Code(operator.itemgetter(slot), of, raw)], lambda _: [], raw
        pairs = len(node.variables) == 2
        value = _element_type(source.of)
        read = leaf_decoder(value) if source.raw else None
        raw = source.raw and read is None
        source_items = loops.items(source.run, pairs=pairs, read=read)
        if pairs:
            first = source.of.key if isinstance(source.of, MapType) else _index_type(source.of)
            return [_Code(_pair(slot, 0), first), _Code(_pair(slot, 1), value, raw)], source_items, raw
        if isinstance(source.of, MapType):
            # the keys are the items: nothing of the values is read
            keys = loops.items(source.run, pairs=False, read=None)
            return [_Code(operator.itemgetter(slot), source.of.key)], keys, False
        return [_Code(operator.itemgetter(slot), value, raw)], source_items, raw

    def _loop(self, node: Comprehension, slot: int, loop: _Loop) -> _Code:
        of = self._types[node.id]
        if loop.result is None:
            assert loop.predicate is not None
            return _test_loop(node.kind, slot, loop, of)
        into_dyn = _element_type(of) == DYN or of == DYN
        result = _native(loop.result, into_dyn=into_dyn)
        match node.kind:
            case "bind":
                return _Code(loops.bind(loop.source.run, slot, loop.result.run), of, loop.result.raw)
            case "optMap" | "optFlatMap":
                flat = node.kind == "optFlatMap"
                return _Code(loops.optional_map(loop.source.run, slot, result, flat=flat), of)
            case "transformMap":
                return _Code(loops.transform_map(loop.items, slot, loop.predicate, result), of)
            case "transformMapEntry":
                return _Code(loops.transform_entries(loop.items, slot, loop.predicate, result), of)
            case "sortBy":
                return _Code(loops.sort_items(loop.items, slot, result), of, loop.element_raw)
        return _Code(loops.transform_list(loop.items, slot, loop.predicate, result), of)


@dataclass(frozen=True, slots=True)
class _Loop:
    """The compiled parts of one comprehension."""

    source: _Code
    items: loops.Items
    element_raw: bool
    predicate: Closure | None
    result: _Code | None


def _test_loop(kind: str, slot: int, loop: _Loop, of: CelType) -> _Code:
    assert loop.predicate is not None
    if kind == "filter":
        return _Code(loops.select_items(loop.items, slot, loop.predicate), of, loop.element_raw)
    if kind == "exists_one":
        return _Code(loops.exactly_one(loop.items, slot, loop.predicate), of)
    return _Code(loops.quantifier(loop.items, slot, loop.predicate, kind == "exists"), of)


def _element_type(of: CelType) -> CelType:
    match of:
        case ListType():
            return of.element
        case MapType():
            return of.value
        case OptionalType():
            return of.inner
        case _:
            return DYN


def _index_type(of: CelType) -> CelType:
    return DYN if of == DYN else Primitive("int", "int")


def _is_scalar(of: CelType) -> bool:
    return isinstance(of, Primitive) and of != DYN


def _specialised(function: str, given: tuple[CelType, ...], merge: tuple[str, ...] | None) -> Implementation | None:
    """A quicker or narrower implementation that only the static types can choose."""
    if function == "_+_" and merge is not None:
        return adder(merge)
    if function not in ("_==_", "_!=_"):
        return None
    if merge is not None:
        return comparison(function)
    if given[0] == given[1] and _is_scalar(given[0]):
        return operator.eq if function == "_==_" else operator.ne
    return None


def _check_pattern(pattern: CelValue) -> None:
    try:
        compile_pattern(pattern)
    except EvaluationError as error:
        raise CelError(f"compile: {error}") from None


def _pair(slot: int, part: int) -> Closure:
    return lambda frame: frame[slot][part]


def _path_text(node: Node) -> str:
    path = static_path(node)
    if path is not None:
        return ".".join((path[0], *path[1]))
    return node.field if isinstance(node, Select) else ""
