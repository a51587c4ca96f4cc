"""The author's conditions, compiled: each gives runtime.newCondition(...) or a list of them (spec/04 §3.9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kro_es.api.objects import JsonValue
from kro_es.cel.ast import Call, Ident, Literal, MapLiteral, Node, children
from kro_es.cel.declarations import Environment
from kro_es.cel.errors import CelError, CelSyntaxError
from kro_es.cel.libraries.runtime import CONDITION, RUNTIME, fault
from kro_es.cel.parser import ParsedExpression, parse
from kro_es.cel.references import identifiers
from kro_es.cel.types import DYN, CelType, ListType, type_name
from kro_es.graph import taint, typing
from kro_es.graph.faults import STATUS, Faults, Site
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.node import AuthorCondition
from kro_es.graph.references import INSTANCE, OMIT_MISPLACED, undeclared, uses_omit
from kro_es.graph.template import TemplateError, standalone
from kro_es.schema.gotext import quote

BUILT_IN = ("InstanceManaged", "GraphResolved", "ResourcesReady", "Ready")
_PREFIX = "failed to build instance conditions: "
_RESULTS: tuple[CelType, ...] = (CONDITION, ListType(CONDITION), DYN, ListType(DYN))


def compile_conditions(
    block: JsonValue,
    variables: Mapping[str, CelType],
    tainted: Mapping[str, tuple[FieldPath, ...]],
    faults: Faults,
    environment: Environment,
) -> tuple[AuthorCondition, ...] | None:
    """The entries that compile, in the order listed; None when there is no block. Its shape was checked with the status."""
    if not isinstance(block, list) or not block:
        return None
    parsed = [item for index, text in enumerate(block) if (item := _parsed(index, text, faults, environment))]
    declared = [(site, _literal_types(expression)) for site, expression in parsed]
    _unique(declared, faults)
    every = frozenset(name for _, names in declared for name in names)
    known = {**variables, "runtime": RUNTIME}
    found: list[AuthorCondition] = []
    for site, expression in parsed:
        problems = [*_literal_faults(site, expression, every), *_name_faults(site, expression, known)]
        for problem in problems:
            faults.add_expression(site, _PREFIX + problem)
        compiled = None if problems else _compiled(site, expression, known, tainted, faults)
        if compiled:
            found.append(compiled)
    return tuple(found)


def _parsed(
    index: int, text: JsonValue, faults: Faults, environment: Environment
) -> tuple[Site, ParsedExpression] | None:
    if not isinstance(text, str):
        return None
    path = f"status.conditions[{index}]"
    try:
        expression = standalone(text)
    except TemplateError as error:
        faults.add(STATUS, f"{_PREFIX}invalid conditions block: {error}", path=path)
        return None
    site = Site(STATUS, None, ("status", "conditions", index), expression)
    try:
        return site, parse(expression.source, environment)
    except CelSyntaxError as error:
        faults.add_expression(site, f"{_PREFIX}condition {quote(expression.text)}: parse error: {error}", error)
        return None


def _calls(node: Node, function: str) -> Iterator[Call]:
    """Calls of ``runtime.<function>``."""
    if isinstance(node, Call) and node.function == function and _is_name(node.target, "runtime"):
        yield node
    for child in children(node):
        yield from _calls(child, function)


def _is_name(node: Node | None, name: str) -> bool:
    return isinstance(node, Ident) and node.name == name


def _literals(call: Call) -> dict[str, JsonValue]:
    """Texts written out in the map of one ``newCondition``."""
    given = call.args[0]
    entries = given.entries if isinstance(given, MapLiteral) else ()
    return {
        entry.key.value: entry.value.value
        for entry in entries
        if isinstance(entry.key, Literal) and isinstance(entry.value, Literal) and isinstance(entry.value.value, str)
    }


def _literal_types(parsed: ParsedExpression) -> frozenset[str]:
    found = (_literals(call).get("type") for call in _calls(parsed.root, "newCondition"))
    return frozenset(name for name in found if name)


def _unique(declared: list[tuple[Site, frozenset[str]]], faults: Faults) -> None:
    seen: set[str] = set()
    for site, names in declared:
        for name in sorted(names & seen):
            text = f"condition type {quote(name)} is declared by more than one conditions entry"
            faults.add_expression(site, _PREFIX + text)
        seen |= names


def _literal_faults(site: Site, parsed: ParsedExpression, declared: frozenset[str]) -> Iterator[str]:
    where = f"in expression {quote(site.expression.text)}"
    for call in _calls(parsed.root, "newCondition"):
        problem = fault(_literals(call))
        if problem:
            yield f"{problem} {where}"
    for call in _calls(parsed.root, "condition"):
        if len(call.args) != 2 or not _is_name(call.args[0], INSTANCE):
            continue
        wanted = call.args[1]
        if not isinstance(wanted, Literal) or not isinstance(wanted.value, str) or wanted.value in BUILT_IN:
            continue
        shown = f"runtime.condition(schema, {quote(wanted.value)})"
        if wanted.value in declared:
            yield f"{shown}: custom conditions cannot reference each other {where}"
        else:
            types = ", ".join(BUILT_IN)
            yield f"{shown}: unknown condition type; only kro's built-in types ({types}) can be read from schema {where}"


def _name_faults(site: Site, parsed: ParsedExpression, known: Mapping[str, CelType]) -> Iterator[str]:
    prefix = f"condition {quote(site.expression.text)}: "
    for name in identifiers(parsed):
        if name not in known:
            yield f"{prefix}references unknown identifiers: [{name}]"
    for name in undeclared(parsed):
        yield f"{prefix}uses unknown functions: [{{{name}}}]"
    if uses_omit(parsed):
        yield prefix + OMIT_MISPLACED


def _compiled(
    site: Site,
    parsed: ParsedExpression,
    known: Mapping[str, CelType],
    tainted: Mapping[str, tuple[FieldPath, ...]],
    faults: Faults,
) -> AuthorCondition | None:
    shown = quote(site.expression.text)
    try:
        program = typing.program(parsed, known)
    except CelError as error:
        faults.add_expression(site, f"{_PREFIX}failed to type-check condition {shown}: {error}", error)
        return None
    if program.result_type not in _RESULTS:
        got = quote(type_name(program.result_type))
        text = f"condition expressions must return runtime.newCondition(...) or a list of them, got {got}"
        faults.add_expression(site, f"{_PREFIX}condition {shown}: {text}")
        return None
    return AuthorCondition(site.expression.text, program, taint.reads_tainted(program.reads, tainted))
