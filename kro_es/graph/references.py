"""What each expression refers to, before types: edges of the graph, and names nobody knows (spec/04 §3.6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from kro_es.cel.ast import Call, Node, children
from kro_es.cel.declarations import UNSUPPORTED, Environment
from kro_es.cel.errors import CelSyntaxError
from kro_es.cel.parser import ParsedExpression, parse
from kro_es.cel.references import identifiers, unknown_functions
from kro_es.graph.faults import Faults, Site
from kro_es.schema.gotext import quote

INSTANCE = "schema"
OMIT_MISPLACED = "omit() can only be used in resource template expressions"


@dataclass(frozen=True, slots=True)
class Referring:
    """An expression whose every name is known."""

    parsed: ParsedExpression
    resources: tuple[str, ...]
    """Ids it refers to, in source order."""
    iterators: tuple[str, ...] = ()
    """Iterators of its own resource it refers to."""


def uses_omit(parsed: ParsedExpression) -> bool:
    return _calls_omit(parsed.root)


def _calls_omit(node: Node) -> bool:
    if isinstance(node, Call) and node.target is None and node.function == "omit":
        return True
    return any(_calls_omit(child) for child in children(node))


def undeclared(parsed: ParsedExpression) -> tuple[str, ...]:
    """Functions nobody knows; those that are known and not supported yet are left to the checker, which says so."""
    return tuple(name for name in unknown_functions(parsed) if name not in UNSUPPORTED)


class Inspector:
    """Inspects templates, forEach and includeWhen of one definition; readyWhen and status have rules of their own."""

    def __init__(self, ids: Iterable[str], faults: Faults, *, omit: bool, environment: Environment) -> None:
        self._ids = frozenset(ids)
        self._faults = faults
        self._omit = omit
        self.environment = environment

    def template(self, site: Site, iterators: Collection[str]) -> Referring | None:
        """None when something was reported, here and below."""
        return self._inspect(site, "", iterators)

    def include_when(self, site: Site) -> Referring | None:
        return self._inspect(site, " from includeWhen", ())

    def for_each(self, site: Site, name: str, iterators: Collection[str]) -> Referring | None:
        """The list of iterator ``name``; the dimensions of a resource know nothing of each other."""
        found = self._inspect(site, f" from forEach iterator {quote(name)}", iterators)
        if found is not None and found.iterators:
            self._faults.add_expression(
                site,
                f"failed to build dependency graph: node {quote(site.resource or '')}: forEach iterator {quote(name)} "
                f"cannot reference other iterators [{' '.join(found.iterators)}] - forEach iterators are independent "
                "(cartesian product)",
            )
            return None
        return found

    def _inspect(self, site: Site, source: str, iterators: Collection[str]) -> Referring | None:
        prefix = f"failed to build dependency graph: failed to extract dependencies{source}: "
        try:
            parsed = parse(site.expression.source, self.environment)
        except CelSyntaxError as error:
            told = f"{prefix}failed to inspect expression: parse error: {error}\n | in {_where(site)}"
            self._faults.add_expression(site, told, error)
            return None
        names = identifiers(parsed)
        used = tuple(name for name in names if name in iterators)
        problems = [self._name_problem(name, site.resource, prefix) for name in names if name not in used]
        problems += [f"{prefix}uses unknown functions: [{{{name}}}]" for name in undeclared(parsed)]
        if not self._omit and uses_omit(parsed):
            problems.append(f"{prefix}omit() requires the CELOmitFunction feature gate to be enabled")
        reported = [problem for problem in problems if problem]
        for problem in reported:
            self._faults.add_expression(site, f"{problem} ({_where(site)})")
        return None if reported else Referring(parsed, tuple(name for name in names if name in self._ids), used)

    def _name_problem(self, name: str, own: str | None, prefix: str) -> str | None:
        if name == own:
            return "failed to build dependency graph: self references are not allowed"
        if name in self._ids or name == INSTANCE:
            return None
        if name == "each":
            return "failed to build dependency graph: node each does not exist"
        if name == "runtime":
            return f"{prefix}runtime is only available in status.conditions expressions"
        return f"{prefix}references unknown identifiers: [{name}]"


def _where(site: Site) -> str:
    """kro's texts about names and syntax do not say it (spec/04 T4)."""
    return f"resource {quote(site.resource or '')}, path {quote(site.path)}"
