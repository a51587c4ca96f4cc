"""The author's status fields, compiled: each refers to something known and has a type (spec/04 §3.8)."""

from __future__ import annotations

from collections.abc import Mapping

from kro_es.api.objects import JsonObject
from kro_es.cel.declarations import Environment
from kro_es.cel.errors import CelError, CelSyntaxError
from kro_es.cel.parser import ParsedExpression, parse
from kro_es.cel.references import identifiers
from kro_es.cel.types import CelType
from kro_es.graph import fieldpath, taint, typing
from kro_es.graph.faults import STATUS, Faults, Site
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.node import StatusField
from kro_es.graph.references import OMIT_MISPLACED, undeclared, uses_omit
from kro_es.graph.status_schema import FAILED, extract_fields
from kro_es.schema.gotext import quote


def compile_status(
    status: JsonObject,
    variables: Mapping[str, CelType],
    tainted: Mapping[str, tuple[FieldPath, ...]],
    faults: Faults,
    environment: Environment,
) -> tuple[StatusField, ...]:
    """The fields that compile, in document order; the others are reported."""
    found: list[StatusField] = []
    for item in extract_fields(status, faults):
        site = Site(STATUS, None, ("status", *item.path), item.expression)
        path = fieldpath.text(item.path)
        parsed = _parsed(site, path, environment, faults)
        if parsed is None or not _known(site, path, parsed, variables, faults):
            continue
        try:
            program = typing.program(parsed, variables)
        except CelError as error:
            shown = f"{quote(item.expression.text)} at path {quote(path)}"
            faults.add_expression(site, f"{FAILED}failed to type-check status expression {shown}: {error}", error)
            continue
        if not identifiers(parsed):
            text = f"instance status field must refer to a resource or schema: status.{path}"
            faults.add_expression(site, f"failed to create instance node: {text}")
            continue
        traced = taint.reads_tainted(program.reads, tainted)
        found.append(StatusField(item.path, item.expression.text, program, traced))
    return tuple(found)


def _prefix(site: Site, path: str) -> str:
    return f'{FAILED}status field "{path}" expression {quote(site.expression.text)}: '


def _parsed(site: Site, path: str, environment: Environment, faults: Faults) -> ParsedExpression | None:
    try:
        return parse(site.expression.source, environment)
    except CelSyntaxError as error:
        text = f"{_prefix(site, path)}failed to inspect expression: parse error: {error}"
        faults.add_expression(site, text, error)
        return None


def _known(site: Site, path: str, parsed: ParsedExpression, variables: Mapping[str, CelType], faults: Faults) -> bool:
    """Whether there is everything the expression refers to."""
    problems = [f"references unknown identifiers: [{name}]" for name in identifiers(parsed) if name not in variables]
    problems += [f"uses unknown functions: [{{{name}}}]" for name in undeclared(parsed)]
    problems += [OMIT_MISPLACED] if uses_omit(parsed) else []
    for problem in problems:
        faults.add_expression(site, _prefix(site, path) + problem)
    return not problems
