"""The macros: calls that bind variables become Comprehension nodes, ``has`` becomes a test; all else stays a call."""

from __future__ import annotations

from kro_es.cel.ast import Call, Comprehension, Entry, Ident, Literal, MapLiteral, Node, Position, Select
from kro_es.cel.source import Source

Identity = tuple[int, Position]

_BOOLEAN = {"all": "all", "exists": "exists", "exists_one": "exists_one", "filter": "filter"}
_BOOLEAN_TWO = {"all": "all", "exists": "exists", "exists_one": "exists_one", "existsOne": "exists_one"}
_VALUE_TWO = frozenset({"transformList", "transformMap", "transformMapEntry"})
_VALUE_ONE = frozenset({"sortBy", "optMap", "optFlatMap"})


def expand_global(source: Source, identity: Identity, function: str, args: tuple[Node, ...]) -> Node | None:
    """``has(e.f)``, or None when ``function`` is no macro."""
    if function != "has" or len(args) != 1:
        return None
    field = args[0]
    if not isinstance(field, Select) or field.test:
        raise _error(source, identity, "invalid argument to has() macro")
    return Select(identity[0], field.position, field.operand, field.field, True, field.optional, field.quoted)


def expand_member(
    source: Source, identity: Identity, target: Node, function: str, args: tuple[Node, ...]
) -> Comprehension | Call | None:
    """The node behind ``target.function(args)``, or None when it is no macro."""
    if isinstance(target, Ident) and target.name == "runtime" and function == "newCondition" and len(args) == 1:
        return Call(*identity, function, target, (_condition_map(source, args[0]),))
    if isinstance(target, Ident) and target.name == "cel" and function == "bind" and len(args) == 3:
        names = _names(source, args[:1])
        return Comprehension(*identity, "bind", args[1], names, None, args[2])
    if len(args) == 2 and function in _BOOLEAN:
        return Comprehension(*identity, _BOOLEAN[function], target, _names(source, args[:1]), args[1], None)
    if len(args) in (2, 3) and function == "map":
        predicate = args[1] if len(args) == 3 else None
        return Comprehension(*identity, "map", target, _names(source, args[:1]), predicate, args[-1])
    if len(args) == 2 and function in _VALUE_ONE:
        return Comprehension(*identity, function, target, _names(source, args[:1]), None, args[1])
    if len(args) == 3 and function in _BOOLEAN_TWO:
        return Comprehension(*identity, _BOOLEAN_TWO[function], target, _names(source, args[:2]), args[2], None)
    if len(args) in (3, 4) and function in _VALUE_TWO:
        predicate = args[2] if len(args) == 4 else None
        return Comprehension(*identity, function, target, _names(source, args[:2]), predicate, args[-1])
    return None


_CONDITION_KEYS = ("type", "status", "reason", "message")


def _condition_map(source: Source, given: Node) -> MapLiteral:
    """The argument of ``runtime.newCondition``: its keys are written as bare identifiers."""
    at = (given.id, given.position)
    if not isinstance(given, MapLiteral):
        raise _error(source, at, "runtime.newCondition: argument must be a map literal")
    entries: dict[str, Entry] = {}
    allowed = ", ".join(_CONDITION_KEYS)
    for entry in given.entries:
        key = entry.key
        problem = ""
        if not isinstance(key, Ident):
            problem = f"keys must be bare identifiers ({allowed}); quoted or computed keys are not allowed"
        elif key.name not in _CONDITION_KEYS:
            problem = f'unknown key "{key.name}" (allowed: {allowed})'
        elif key.name in entries:
            problem = f'duplicate key "{key.name}"'
        if problem or not isinstance(key, Ident):
            raise _error(source, (key.id, key.position), f"runtime.newCondition: {problem}")
        entries[key.name] = Entry(Literal(key.id, key.position, key.name), entry.value, entry.optional)
    for name in ("type", "status"):
        if name not in entries:
            raise _error(source, at, f"runtime.newCondition: '{name}' is required")
    return MapLiteral(*at, tuple(entries.values()))


def _names(source: Source, args: tuple[Node, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for arg in args:
        if not isinstance(arg, Ident):
            raise _error(source, (arg.id, arg.position), "argument is not an identifier")
        if arg.name in names:
            raise _error(source, (arg.id, arg.position), f"duplicate variable name: {arg.name}")
        names.append(arg.name)
    return tuple(names)


def _error(source: Source, identity: Identity, message: str) -> Exception:
    position = identity[1]
    return source.syntax_error(source.starts[position.line - 1] + position.column - 1, message)
