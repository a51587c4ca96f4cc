"""The public conformance data of CEL: every case holds, or is about protobuf, or stands here with its reason."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

import pytest
from conformance import MODULE, Case, DataMissing, Messages, cases, cel_type, cel_value, check_no_messages, must_run

from kro_es.api.objects import JsonValue
from kro_es.cel.ast import Call, ListLiteral, Literal, MapLiteral, Node, children, replaced
from kro_es.cel.checker import CheckedExpression, check
from kro_es.cel.compiler import compile_expression
from kro_es.cel.errors import CelError
from kro_es.cel.parser import parse
from kro_es.cel.types import BYTES, DURATION, DYN, TIMESTAMP, CelType, ListType, MapType, type_name
from kro_es.cel.values import CelValue, Duration, Timestamp

LEAST = 0.95
"""Of the cases that are not about protobuf messages or enums."""

SKIPPED: dict[str, str] = {
    "basic/*/unbound_is_runtime_error": "unknown names are found before evaluation",
    "parse/receiver_function_names/*": "unknown names are found before evaluation",
    "block_ext/*": "cel.block is the form of optimised trees, not of expressions that people write",
    "fields/qualified_identifier_resolution/map_value_repeat_key*": "of two entries with one key the last counts",
    "namespace/namespace/self_eval_container_lookup*": "expressions have no container",
    "namespace/namespace_shadowing/basic": "expressions have no container",
    "network_ext/ipv4/ipv4_*equals_ipv6": "Kubernetes takes no IPv4-mapped address, however it is written",
    "string_ext/value_errors/*indexof_out_of_range": "an offset past the end finds nothing, as in kro",
    "timestamps/duration_converters/get_milliseconds": "a duration in milliseconds is a total, as in kro",
    "type_deduction/functions/function_result_type": "functions are not declared by those who write expressions",
    "type_deduction/type_parameters/*": "functions are not declared by those who write expressions",
}
"""Why cases are answered otherwise, by file/section/name (``*`` stands for anything)."""


@pytest.fixture(scope="module")
def data() -> list[Case]:
    try:
        return list(cases())
    except DataMissing as error:
        if must_run():
            raise
        pytest.skip(str(error))


def _types(test: Any) -> dict[str, CelType]:
    declared = {
        item.name: cel_type(item.ident.type) for item in test.type_env if item.WhichOneof("decl_kind") == "ident"
    }
    return {**dict.fromkeys(test.bindings, DYN), **declared}


def _observed(value: CelValue, of: CelType) -> JsonValue:
    """A binding as the JSON a variable of its type is read from."""
    if of == BYTES and isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if of == TIMESTAMP and isinstance(value, Timestamp):
        return value.text()
    if of == DURATION and isinstance(value, Duration):
        return f"{value.nanos}ns"
    if isinstance(of, ListType) and isinstance(value, list):
        return [_observed(item, of.element) for item in value]
    if isinstance(of, MapType) and isinstance(value, dict):
        return {key: _observed(item, of.value) for key, item in value.items()}
    return value


def _same(found: CelValue, wanted: CelValue) -> bool:
    if type(found) is not type(wanted) and not (isinstance(found, dict) and isinstance(wanted, dict)):
        return False
    if isinstance(found, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(found, dict):
        return found.keys() == wanted.keys() and all(_same(found[key], wanted[key]) for key in found)
    both_nan = isinstance(found, float) and math.isnan(found) and math.isnan(wanted)
    return both_nan or bool(found == wanted)


def _checked(test: Any, types: dict[str, CelType]) -> CheckedExpression:
    """Where the data asks for no check, every literal is taken for dyn: there is no evaluation without a check."""
    parsed = parse(test.expr)
    if test.disable_check:
        others = {node.id: Call(-node.id, node.position, "dyn", None, (node,)) for node in _literals(parsed.root)}
        parsed = replace(parsed, root=replaced(parsed.root, others))
        types = dict.fromkeys(types, DYN)
    return check(parsed, types)


def _literals(node: Node) -> Iterator[Node]:
    if isinstance(node, Literal | ListLiteral | MapLiteral):
        yield node
    for child in children(node):
        yield from _literals(child)


def fault(test: Any) -> str | None:
    """What is wrong with our answer."""
    types = _types(test)
    wanted = test.WhichOneof("result_matcher")
    try:
        checked = _checked(test, types)
        if wanted == "typed_result" and test.typed_result.HasField("deduced_type"):
            deduced = type_name(cel_type(test.typed_result.deduced_type))
            if type_name(checked.result_type) != deduced:
                return f"type {type_name(checked.result_type)} instead of {deduced}"
        if test.check_only:
            return None
        bindings = {name: _observed(cel_value(bound.value), types[name]) for name, bound in test.bindings.items()}
        found = compile_expression(checked).evaluate(bindings)
    except CelError as error:
        return None if wanted in ("eval_error", "any_eval_errors") else f"error {error}"
    if wanted in ("eval_error", "any_eval_errors"):
        return f"{found!r} instead of an error"
    if wanted in ("value", "typed_result"):
        expected = cel_value(test.value if wanted == "value" else test.typed_result.result)
    else:
        expected = True
    return None if _same(found, expected) else f"{found!r} instead of {expected!r}"


def _about_messages(test: Any) -> bool:
    try:
        check_no_messages(test)
    except Messages:
        return True
    return False


def _reason(case: Case) -> str | None:
    return next((why for pattern, why in SKIPPED.items() if fnmatch(case.path, pattern)), None)


def test_every_case_is_answered_as_the_data_says(data: list[Case]) -> None:
    faults = {}
    for case in data:
        if not _about_messages(case.test) and _reason(case) is None:
            wrong = fault(case.test)
            if wrong is not None:
                faults[case.path] = f"{case.test.expr}: {wrong}"
    assert not faults, "\n".join(f"{path}: {wrong}" for path, wrong in faults.items())


def test_a_skip_is_taken_off_the_list_once_it_is_not_needed(data: list[Case]) -> None:
    idle = []
    for pattern in SKIPPED:
        meant = [case for case in data if fnmatch(case.path, pattern) and not _about_messages(case.test)]
        if not any(fault(case.test) for case in meant):
            idle.append(pattern)
    assert not idle


def test_nearly_all_cases_hold(data: list[Case]) -> None:
    outside = [case for case in data if not _about_messages(case.test)]
    skipped = Counter(_reason(case) for case in outside)
    held = skipped.pop(None)
    share = held / len(outside)
    print(
        f"{MODULE}: {len(data)} cases, {len(data) - len(outside)} of protobuf, {held} of {len(outside)} hold: {share:.1%}"
    )
    for why, count in skipped.items():
        print(f"  {count} skipped: {why}")
    assert share >= LEAST
