"""What a pass asks of the API server, counted in the audit log; the README's table says the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, eventually, instance

README = Path(__file__).parents[2] / "README.md"
HEADING = "what happens to one instance"


def _table() -> dict[str, int]:
    """First and last column of the README's table of requests."""
    text = README.read_text()
    lines = text[text.index(f"| {HEADING} ") :].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: int(row[-1]) for row in rows}


def _definitions() -> list[dict[str, Any]]:
    own = "${schema.metadata.name}"
    single = config_map("a", f"{own}-a", {"value": "${schema.spec.value}"})
    chain = [
        single,
        config_map("b", f"{own}-b", {"value": "${a.data.value}", "of": "${a.metadata.uid}"}),
        config_map("c", f"{own}-c", {"value": "${b.data.value}", "of": "${b.metadata.uid}"}),
    ]
    many = config_map("pieces", own + "-${n}", {"n": "${n}"}, forEach=[{"n": "${schema.spec.names}"}])
    value = {"value": "string | default=x"}
    return [
        definition("singles", "Single", value, single),
        definition("chains", "Chain", value, *chain),
        definition("crowds", "Crowd", {"names": "[]string"}, many),
    ]


def test_a_pass_asks_for_what_the_readme_says_and_for_nothing_else(steps: Steps, operator: Operator) -> None:
    steps.apply(*_definitions())
    names = [f"n{number}" for number in range(100)]
    for kind, spec in (("Single", {}), ("Chain", {}), ("Crowd", {"names": names})):
        steps.active(f"{kind.lower()}s")
        # the first one starts the watches of its children's kinds, and the first delete asks where the kinds are served
        steps.apply(instance(kind, f"{kind.lower()}-first", {**spec, "names": []} if "names" in spec else spec))
        steps.ready(kind.lower(), f"{kind.lower()}-first")
    steps.delete("single", "single-first")
    eventually(lambda: steps.get("single", "single-first"), lambda obj: not obj, "gone")
    steps.rest()
    audit = steps.cluster.plane.audit

    def asked(doing: Callable[[], object]) -> int:
        """Requests from an edit until the pass of a sentinel made after it has ended, without the sentinel's four."""
        mark = audit.mark()
        doing()
        asked.sentinels += 1  # type: ignore[attr-defined]
        name = f"sentinel{asked.sentinels}"  # type: ignore[attr-defined]
        steps.apply(instance("Single", name, {}))
        steps.ready("single", name)
        found = [r.uri for r in audit.requests("controller", mark) if r.verb != "watch"]
        return len([uri for uri in found if name not in uri])

    asked.sentinels = 0  # type: ignore[attr-defined]

    def made(kind: str, spec: dict[str, Any]) -> Callable[[], object]:
        def make() -> None:
            steps.apply(instance(kind, f"{kind.lower()}-made", spec))
            steps.ready(kind.lower(), f"{kind.lower()}-made")

        return make

    def patched(kind: str, name: str, body: dict[str, Any]) -> None:
        steps.cluster.kubectl(
            "patch", kind, name, "-n", steps.cluster.namespace, "--type=merge", "-p", json.dumps(body)
        )

    def edited() -> None:
        patched("single", "single-made", {"spec": {"value": "y"}})
        eventually(
            lambda: steps.get("cm", "single-made-a")["data"]["value"], lambda value: value == "y", "child follows"
        )
        steps.ready("single", "single-made")

    def drifted() -> None:
        patched("cm", "single-made-a", {"data": {"value": "drift"}})
        eventually(lambda: steps.get("cm", "single-made-a")["data"]["value"], lambda value: value == "y", "healed")

    def deleted() -> None:
        steps.delete("single", "single-made")
        eventually(lambda: steps.get("single", "single-made"), lambda obj: not obj, "gone")

    found = {
        "created, one ConfigMap": asked(made("Single", {})),
        "created, a chain of three": asked(made("Chain", {})),
        "created, a collection of 100": asked(made("Crowd", {"names": names})),
        "annotated, nothing to do": asked(
            lambda: patched("single", "single-made", {"metadata": {"annotations": {"a": "b"}}})
        ),
        "its spec edited, one child follows": asked(edited),
        "a child changed by somebody, put back": asked(drifted),
        "deleted with its one child": asked(deleted),
    }
    assert found == _table()


def test_a_restart_lists_and_watches_and_asks_for_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    operator, steps = Operator(cluster.kubeconfig("controller"), tmp_path).start(), Steps(cluster)
    own = "${schema.metadata.name}"
    try:
        children = config_map("cfg", own, {"v": "x"}), config_map("more", f"{own}-more", {"v": "${cfg.metadata.uid}"})
        steps.apply(definition("reststarts", "Reststart", {}, *children))
        steps.active("reststarts")
        steps.apply(*(instance("Reststart", f"r{number}", {}) for number in range(5)))
        for number in range(5):
            steps.ready("reststart", f"r{number}")
        operator.kill()
        mark = cluster.plane.audit.mark()
        again = Operator(cluster.kubeconfig("controller"), tmp_path, arguments=("run", "--database", operator.database))
        operator = again.start()
        # passes after it was ready: each of the five, and the definition
        eventually(lambda: operator.metric('reconcile_total{kind="instance"}'), lambda count: count >= 5, "passes")
        eventually(lambda: operator.metric('reconcile_total{kind="definition"}'), lambda count: count >= 1, "its pass")
        steps.apply(instance("Reststart", "sentinel", {}))
        steps.ready("reststart", "sentinel")
        asked = [
            request for request in cluster.plane.audit.requests("controller", mark) if "sentinel" not in request.uri
        ]
        assert {request.verb for request in asked} == {"list", "watch"}, asked
    finally:
        operator.stop()


def test_the_table_compares_with_every_case() -> None:
    assert len(_table()) == 7
    assert re.search(rf"\| {HEADING} \| kro \| kro-es \|", README.read_text())
