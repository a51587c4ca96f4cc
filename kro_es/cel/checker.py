"""ParsedExpression to CheckedExpression: every name, field and call is known, or every fault is reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kro_es.api.near import near
from kro_es.cel.ast import (
    Call,
    Comprehension,
    Ident,
    ListLiteral,
    Literal,
    MapLiteral,
    Node,
    Position,
    Select,
    dotted,
    replaced,
)
from kro_es.cel.declarations import KRO, UNSUPPORTED, Environment
from kro_es.cel.errors import MAX_ISSUES, CelCheckError, CelIssue
from kro_es.cel.inference import Inference
from kro_es.cel.libraries.formatting import format_fault
from kro_es.cel.libraries.reflection import NAMED
from kro_es.cel.overloads import Overload
from kro_es.cel.parser import ParsedExpression
from kro_es.cel.references import Read, reads
from kro_es.cel.stack import make_room
from kro_es.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    NULL,
    STRING,
    UINT,
    CelType,
    ListType,
    MapType,
    OptionalType,
    StructType,
    TypeOf,
    TypeParam,
    type_name,
)
from kro_es.cel.values import TypeValue, Uint

_LITERALS: dict[type, CelType] = {
    bool: BOOL, int: INT, Uint: UINT, float: DOUBLE, str: STRING, bytes: BYTES, type(None): NULL,
}  # fmt: skip
_HINTS = 20
_SHOWN = 4
"""Overloads a hint lists."""
_LAST_NAMES = frozenset(name.rpartition(".")[2] for name in NAMED if "." in name)
_MAP_KEYS = frozenset({BOOL, INT, UINT, STRING, DYN})


@dataclass(frozen=True, slots=True)
class CheckedExpression:
    """A well-typed expression: the type of each node and the overloads each call may run, by node id."""

    parsed: ParsedExpression
    result_type: CelType
    reads: frozenset[Read]
    types: Mapping[int, CelType] = field(repr=False, compare=False)
    overloads: Mapping[int, tuple[Overload, ...]] = field(repr=False, compare=False)
    variables: Mapping[str, CelType] = field(repr=False, compare=False)

    @property
    def root(self) -> Node:
        return self.parsed.root

    @property
    def text(self) -> str:
        return self.parsed.text

    @property
    def beyond_kro(self) -> tuple[str, ...]:
        """Functions it uses that kro's own environment does not have, by name."""
        used = {
            of[0].function
            for of in self.overloads.values()
            if of and not set(of) & set(KRO.functions.get(of[0].function, ()))
        }
        return tuple(sorted(used))


def check(parsed: ParsedExpression, variables: Mapping[str, CelType]) -> CheckedExpression:
    """Raises CelCheckError with all faults in source order."""
    make_room(parsed.depth)
    checker = _Checker(variables, parsed.environment)
    checker.type_of(parsed.root)
    if checker.faults:
        faults = sorted(checker.faults, key=lambda fault: (fault[0].line, fault[0].column))
        issues: dict[CelIssue, None] = {parsed.source.issue(*fault): None for fault in faults[:MAX_ISSUES]}
        raise CelCheckError(tuple(issues))
    if checker.named:
        parsed = replace(parsed, root=replaced(parsed.root, checker.named))
    types = {key: checker.inference.resolve(of, final=True) for key, of in checker.types.items()}
    return CheckedExpression(
        parsed, types[parsed.root.id], reads(parsed.root), types, checker.overloads, dict(variables)
    )


def _is_dyn(of: CelType) -> bool:
    return of == DYN


class _Checker:
    """One walk over the tree; a node at fault is taken for dyn so that the walk goes on."""

    def __init__(self, variables: Mapping[str, CelType], environment: Environment) -> None:
        self.types: dict[int, CelType] = {}
        self.overloads: dict[int, tuple[Overload, ...]] = {}
        self.faults: list[tuple[Position, str, str]] = []
        self.named: dict[int, Node] = {}
        """What a qualified name or the name of a type stands for, by the id of the node that is its text."""
        self.inference = Inference()
        self._variables = variables
        self._scope = dict(variables)
        self._bound: frozenset[str] = frozenset()
        self._functions = environment.functions
        self._qualified = frozenset(name for name in variables if "." in name)

    def type_of(self, node: Node) -> CelType:
        match node:
            case Literal():
                of = _LITERALS[type(node.value)]
            case Ident():
                of = self._ident(node)
            case Select():
                of = self._select(node)
            case Call():
                of = self._call(node)
            case ListLiteral():
                of = self._list(node)
            case MapLiteral():
                of = self._map(node)
            case Comprehension():
                of = self._comprehension(node)
        self.types[node.id] = of
        return of

    def _fault(self, node: Node, message: str, hint: str = "") -> CelType:
        self.faults.append((node.position, message, hint))
        return DYN

    def _near(self, written: str, known: Iterable[str]) -> str:
        """A hint: ``written`` is not among the ``known`` names."""
        # looking for near names takes time, and the first few tell enough
        return near(written, known) if len(self.faults) < _HINTS else ""

    def _name(self, of: CelType) -> str:
        return type_name(self.inference.resolve(of, final=True), short=True)

    def _ident(self, node: Ident) -> CelType:
        scope = self._variables if node.absolute else self._scope
        if node.name in scope:
            return scope[node.name]
        return self._type_name(node, node.name) or self._fault(
            node, f"undeclared reference to '{node.name}' (in container '')", self._near(node.name, self._scope)
        )

    def _type_name(self, node: Node, name: str) -> CelType | None:
        if name not in NAMED:
            return None
        self.named[node.id] = Literal(node.id, node.position, TypeValue(name))
        return TypeOf(NAMED[name])

    def _qualified_name(self, node: Select) -> CelType | None:
        """A variable or a type whose name has dots; a name of the innermost scope comes first."""
        name = dotted(node)
        if name is None:
            return None
        root = name.partition(".")[0]
        if root in self._bound and not _root(node).absolute:
            return None
        if name in self._qualified:
            self.named[node.id] = Ident(node.id, node.position, name, absolute=True)
            return self._variables[name]
        return None if root in self._scope else self._type_name(node, name)

    # -- selection

    def _select(self, node: Select) -> CelType:
        if (self._qualified or node.field in _LAST_NAMES) and (found := self._qualified_name(node)):
            return found
        operand = self.inference.resolve(self.type_of(node.operand))
        inside = operand.inner if isinstance(operand, OptionalType) else operand
        found = self._field(node, self.inference.resolve(inside))
        if node.test:
            return BOOL
        return OptionalType(found) if (node.optional or inside is not operand) and not _optional(found) else found

    def _field(self, node: Select, operand: CelType) -> CelType:
        match operand:
            case StructType():
                declared = operand.field(node.field)
                if declared is not None:
                    return declared.type
                if operand.open:
                    return DYN
                return self._fault(node, f"undefined field '{node.field}'", self._near(node.field, operand.fields()))
            case MapType():
                return operand.value
            case TypeParam():
                self.inference.assign((DYN,), (operand,))
                return DYN
        if _is_dyn(operand):
            return DYN
        return self._fault(node, f"type '{self._name(operand)}' does not support field selection")

    # -- calls

    def _call(self, node: Call) -> CelType:
        faults = len(self.faults)
        given = tuple(self.type_of(operand) for operand in node.operands)
        if node.function not in self._functions:
            return self._unknown_function(node)
        found = self._resolve(node, node.function, given, member=node.target is not None)
        if found is None:
            # an operand that is at fault already explains this one
            return DYN if len(self.faults) > faults else self._no_overload(node, node.function, given)
        if node.function == "format" and isinstance(node.target, Literal):
            self._check_format(node, node.target.value, node.args[0])
        return found

    def _unknown_function(self, node: Call) -> CelType:
        name = node.function
        if name in UNSUPPORTED:
            return self._fault(node, f"function '{name}' is not supported: {UNSUPPORTED[name]}")
        member = node.target is not None
        known = (key for key, of in self._functions.items() if any(overload.member == member for overload in of))
        return self._fault(node, f"undeclared reference to '{name}' (in container '')", self._near(name, known))

    def _check_format(self, call: Call, text: str, arguments: Node) -> None:
        if not isinstance(arguments, ListLiteral) or arguments.optional:
            return
        types = [self.inference.resolve(self.types[item.id], final=True) for item in arguments.elements]
        fault = format_fault(text, types)
        if fault is not None:
            index, said = fault
            self._fault(call if index is None else arguments.elements[index], said)

    def _resolve(self, node: Node, name: str, given: tuple[CelType, ...], *, member: bool) -> CelType | None:
        result: CelType | None = None
        matched: list[Overload] = []
        for overload in self._functions[name]:
            if overload.member != member or len(overload.parameters) != len(given):
                continue
            *wanted, returned = self.inference.instantiate((*overload.parameters, overload.result))
            if not self.inference.assign(given, tuple(wanted)):
                continue
            matched.append(overload)
            returned = self.inference.resolve(returned)
            if result is None:
                result = returned
            elif not _is_dyn(result) and result != returned:
                result = DYN
        self.overloads[node.id] = tuple(matched)
        return result

    def _no_overload(self, node: Node, name: str, given: tuple[CelType, ...]) -> CelType:
        names = [self._name(of) for of in given]
        is_member = isinstance(node, Call) and node.target is not None
        shown = f"{names[0]}.({', '.join(names[1:])})" if is_member else f"({', '.join(names)})"
        known = [str(of) for of in self._functions.get(name, ()) if name[0].isalpha() and of.member == is_member]
        hint = f"there is {', '.join(known[:_SHOWN])}" if known else ""
        return self._fault(node, f"found no matching overload for '{name}' applied to '{shown}'", hint)

    # -- literals

    def _list(self, node: ListLiteral) -> CelType:
        element: CelType | None = None
        for place, item in enumerate(node.elements):
            of = self._entry(item, place in node.optional)
            element = of if element is None else self.inference.join(element, of)
        return ListType(self.inference.fresh() if element is None else element)

    def _map(self, node: MapLiteral) -> CelType:
        key: CelType | None = None
        value: CelType | None = None
        for entry in node.entries:
            entry_key = self.type_of(entry.key)
            if self.inference.resolve(entry_key, final=True) not in _MAP_KEYS:
                self._fault(entry.key, f"unsupported map key type: {self._name(entry_key)}")
            of = self._entry(entry.value, entry.optional)
            key = entry_key if key is None else self.inference.join(key, entry_key)
            value = of if value is None else self.inference.join(value, of)
        fresh = self.inference.fresh
        return MapType(fresh() if key is None else key, fresh() if value is None else value)

    def _entry(self, node: Node, optional: bool) -> CelType:
        of = self.inference.resolve(self.type_of(node))
        if not optional or _is_dyn(of):
            return of
        if isinstance(of, OptionalType):
            return of.inner
        return self._fault(node, f"expected type 'optional_type({self._name(of)})' but found '{self._name(of)}'")

    # -- comprehensions

    def _comprehension(self, node: Comprehension) -> CelType:
        faults = len(self.faults)
        source = self.inference.resolve(self.type_of(node.range))
        bound = self._bound_types(node, source, quiet=len(self.faults) > faults)
        outer, outer_bound = self._scope, self._bound
        self._scope = {**outer, **dict(zip(node.variables, bound, strict=True))}
        self._bound = outer_bound | set(node.variables)
        predicate = self.type_of(node.predicate) if node.predicate is not None else BOOL
        result = self.type_of(node.result) if node.result is not None else DYN
        self._scope, self._bound = outer, outer_bound
        self._require_bool(node, predicate)
        return self._comprehension_result(node, source, bound, result)

    def _bound_types(self, node: Comprehension, source: CelType, *, quiet: bool) -> tuple[CelType, ...]:
        """Types of the variables; faults when the range is no collection."""
        if node.kind == "bind":
            return (source,)
        if node.kind in ("optMap", "optFlatMap"):
            if isinstance(source, OptionalType) or _is_dyn(source):
                return (source.inner if isinstance(source, OptionalType) else DYN,)
            return (self._no_overload(node, node.kind, (source,)),)
        two = len(node.variables) == 2
        match source:
            case ListType():
                return (INT, source.element) if two else (source.element,)
            case MapType():
                return (source.key, source.value) if two else (source.key,)
            case TypeParam():
                self.inference.assign((DYN,), (source,))
            case _ if not _is_dyn(source) and not quiet:
                message = "cannot be range of a comprehension (must be list, map, or dynamic)"
                self._fault(node.range, f"expression of type '{self._name(source)}' {message}")
        return (DYN,) * len(node.variables)

    def _require_bool(self, node: Comprehension, predicate: CelType) -> None:
        operator = {"all": "_&&_", "exists": "_||_"}.get(node.kind, "_?_:_")
        if not self.inference.assign((predicate,), (BOOL,)):
            left = (BOOL, predicate) if operator != "_?_:_" else (predicate, DYN, DYN)
            self._no_overload(node, operator, left)

    def _comprehension_result(
        self, node: Comprehension, source: CelType, bound: tuple[CelType, ...], result: CelType
    ) -> CelType:
        match node.kind:
            case "all" | "exists" | "exists_one":
                return BOOL
            case "filter":
                return ListType(bound[-1])
            case "map" | "transformList":
                return ListType(result)
            case "transformMap":
                return MapType(bound[0], result)
            case "transformMapEntry" | "optFlatMap" | "optMap" | "sortBy":
                return self._special_result(node, source, result)
            case _:
                return result

    def _special_result(self, node: Comprehension, source: CelType, result: CelType) -> CelType:
        known = self.inference.resolve(result)
        if node.kind == "optMap":
            return OptionalType(result)
        if node.kind == "optFlatMap":
            return known if isinstance(known, OptionalType) or _is_dyn(known) else self._not_optional(node, known)
        if node.kind == "transformMapEntry":
            if isinstance(known, MapType) or _is_dyn(known):
                return known
            return self._no_overload(node, "transformMapEntry", (known,))
        if not isinstance(source, ListType) and not _is_dyn(source):
            return self._no_overload(node, "sortBy", (source,))
        if not self._sortable(ListType(result)):
            return self._no_overload(node, "sortBy", (source, ListType(result)))
        return source

    def _sortable(self, keys: CelType) -> bool:
        return any(self.inference.assign((keys,), overload.parameters) for overload in self._functions["sort"])

    def _not_optional(self, node: Comprehension, result: CelType) -> CelType:
        assert node.result is not None
        return self._fault(node.result, f"expected type 'optional_type(dyn)' but found '{self._name(result)}'")


def _root(node: Node) -> Ident:
    while isinstance(node, Select):
        node = node.operand
    assert isinstance(node, Ident)
    return node


def _optional(of: CelType) -> bool:
    return isinstance(of, OptionalType)
