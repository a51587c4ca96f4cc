"""Expressions: one pass of twelve beside two other engines, building them, long lists, memory and import."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import celpy
from cel_expr_python import cel as google

from kro_es.api.objects import JsonValue
from kro_es.cel.checker import check
from kro_es.cel.compiler import CompiledExpression, compile_expression
from kro_es.cel.parser import parse
from kro_es.cel.types import DYN, INT, CelType, ListType
from tests.benchmarks.cel_site import EXPRESSIONS, objects, variables
from tests.benchmarks.figures import Figure

SIXTY = "schema.spec.enabled && dep.status.readyReplicas >= 2 + 1 - 2"
IMPORT = (
    "import time; began = time.process_time(); import kro_es.cel.parser, kro_es.cel.checker, kro_es.cel.compiler; "
    "print(time.process_time() - began)"
)


def cel() -> list[Figure]:
    return [*_pass(), *_building(), *_lists(), _memory(), _import()]


def _compiled(text: str, types: dict[str, CelType]) -> CompiledExpression:
    return compile_expression(check(parse(text), types))


def _seconds(run: Callable[[], object], *, least: float = 0.1) -> float:
    """Processor time of one call, the median of five rounds of many."""
    times, rounds = 1, []
    while len(rounds) < 5:
        began = time.process_time()
        for _ in range(times):
            run()
        spent = time.process_time() - began
        if spent < least:
            times = max(times + 1, int(times * least * 1.2 / max(spent, 1e-7)))
        else:
            rounds.append(spent / times)
    return statistics.median(rounds)


def _pass() -> list[Figure]:
    """Twelve expressions on objects nobody has looked at yet, as a reconcile pass has them."""
    bound, types = objects(), variables()
    ours = [_compiled(text, types) for text in EXPRESSIONS]
    others = (("cel-expr-python", _google()), ("celpy", _celpy()))
    wanted = [expression.evaluate(bound) for expression in ours]
    for name, run in others:
        found = run()
        if found != wanted:
            raise SystemExit(f"bench: {name} disagrees: {found} is not {wanted}")
    each = [_seconds(lambda one=expression: one.evaluate(bound), least=0.02) for expression in ours]  # type: ignore[misc]
    whole = _seconds(lambda: [expression.evaluate(bound) for expression in ours])
    mean = math.exp(statistics.fmean(map(math.log, each)))
    return [
        Figure("cel.pass", whole * 1e6, "µs"),
        *(
            Figure(f"cel.pass.{name}", (spent := _seconds(run)) * 1e6, "µs", spent / whole, "cel.pass")
            for name, run in others
        ),
        Figure("cel.evaluate.mean", mean * 1e9, "ns"),
        *(Figure(f"cel.evaluate.{place:02}", spent * 1e9, "ns") for place, spent in enumerate(each, 1)),
    ]


def _google() -> Callable[[], JsonValue]:
    """One activation, twelve evaluations."""
    environment = google.NewEnv(variables=dict.fromkeys(variables(), google.Type.DYN))
    programs = [environment.compile(text) for text in EXPRESSIONS]

    def run() -> JsonValue:
        activation = environment.Activation(objects_now)
        return [program.eval(activation).plain_value() for program in programs]

    objects_now = objects()
    return run


def _celpy() -> Callable[[], JsonValue]:
    """One conversion of the objects, twelve evaluations."""
    environment = celpy.Environment(runner_class=celpy.CompiledRunner)
    programs = [environment.program(environment.compile(text)) for text in EXPRESSIONS]
    objects_now = objects()

    def run() -> JsonValue:
        context = celpy.json_to_cel(objects_now)
        return [program.evaluate(context) for program in programs]

    return run


def _building() -> list[Figure]:
    types = variables()
    checked = check(parse(SIXTY), types)
    return [
        Figure("cel.parse", _seconds(lambda: parse(SIXTY)) * 1e6, "µs"),
        Figure("cel.parse_and_check", _seconds(lambda: check(parse(SIXTY), types)) * 1e6, "µs"),
        Figure("cel.compile", _seconds(lambda: compile_expression(checked)) * 1e6, "µs"),
    ]


def _lists() -> list[Figure]:
    """Time of one item on a long list, and its ratio to one item of a short list: 1 is linear."""
    found = []
    for name, text, of in (
        ("all", "x.all(i, i > 0)", INT),
        ("all_dyn", "x.all(i, i > 0)", DYN),
        ("map", "x.map(i, i + 1)", INT),
        ("filter", "x.filter(i, i > 0)", INT),
    ):
        run = _compiled(text, {"x": ListType(of) if of is not DYN else DYN}).evaluate
        short, long = [1] * 1_000, [1] * 50_000
        one, other = _seconds(lambda: run({"x": short})) / 1_000, _seconds(lambda: run({"x": long})) / 50_000  # noqa: B023
        found.append(Figure(f"cel.item.{name}", other * 1e9, "ns", other / one, "a short list"))
    return found


def _memory() -> Figure:
    types = variables()
    texts = [f"{EXPRESSIONS[number % 12]} // {number}" for number in range(1_000)]
    _compiled(texts[0], types)
    tracemalloc.start()
    kept = [_compiled(text, types) for text in texts]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Figure("cel.memory.each", size / len(kept) / 1e3, "kB")


def _import() -> Figure:
    times = [
        float(subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    return Figure("cel.import", statistics.median(times) * 1e3, "ms")
