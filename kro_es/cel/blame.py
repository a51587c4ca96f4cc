"""Where in its text an evaluation failed: found afterwards, so that an evaluation that succeeds pays nothing for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kro_es.api.objects import JsonValue
from kro_es.cel.ast import Node, Position, children
from kro_es.cel.checker import CheckedExpression
from kro_es.cel.compiler import compile_expression
from kro_es.cel.errors import CelError, CelIssue, CostExceeded


def blame(checked: CheckedExpression, bindings: Mapping[str, JsonValue], error: CelError) -> CelIssue:
    """``error`` of an evaluation with these ``bindings``, with the place of the smallest part that fails so by itself.

    What a macro binds has no value outside of it: a fault in its body is shown at the macro.
    """
    node = checked.root
    while (inner := _culprit(checked, node, bindings, error)) is not None:
        node = inner
    position = Position(error.line, error.column) if isinstance(error, CostExceeded) else node.position
    return checked.parsed.source.issue(position, str(error))


def _culprit(checked: CheckedExpression, node: Node, bindings: Mapping[str, JsonValue], error: CelError) -> Node | None:
    return next((child for child in children(node) if _fails_so(checked, child, bindings, error)), None)


def _fails_so(checked: CheckedExpression, node: Node, bindings: Mapping[str, JsonValue], error: CelError) -> bool:
    part = replace(checked, parsed=replace(checked.parsed, root=node), result_type=checked.types[node.id])
    try:
        compile_expression(part).evaluate(bindings)
    except CelError as found:
        return type(found) is type(error) and str(found) == str(error)
    return False
