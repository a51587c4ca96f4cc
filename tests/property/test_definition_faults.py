"""For any mix of faults: each is told, in the order of the document, whatever else is wrong beside it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kro_es.api.definition import parse
from kro_es.errors import DefinitionErrors, DefinitionFault
from kro_es.graph.compile import compile_graph
from tests.support.steps import config_map, definition
from tests.unit.graph.kinds import KINDS

BROKEN = {
    "field": {"template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dta": {}}},
    "kind": {"template": {"apiVersion": "no.such/v1", "kind": "Thing", "metadata": {"name": "x"}}},
    "shape": {"template": {"apiVersion": "v1", "kind": "ConfigMap"}},
    "both": {"template": {"apiVersion": "v1"}, "externalRef": {"apiVersion": "v1", "kind": "Node", "metadata": {}}},
}
DATA = {
    "unknown": "${nobody.metadata.name}",
    "syntax": "${1 +}",
    "type": "${schema.spec.nope}",
    "number": "${1}",
    "function": "${nothing()}",
    "self": None,
    "fine": "${schema.spec.name}",
}


def _resource(node: str, fault: str) -> dict[str, Any]:
    if fault in BROKEN:
        return {"id": node, **BROKEN[fault]}
    return config_map(node, "${schema.metadata.name}", {"k": DATA[fault] or f"${{{node}.metadata.uid}}"})


def _faults(*resources: dict[str, Any]) -> tuple[DefinitionFault, ...]:
    obj = definition("things", "Thing", {"name": "string"}, *resources)
    try:
        compile_graph(parse(obj), KINDS)
    except DefinitionErrors as error:
        return error.faults
    return ()


@settings(max_examples=150)
@given(st.lists(st.sampled_from([*BROKEN, *DATA]), max_size=8))
def test_faults_come_in_the_order_of_the_document(faults: list[str]) -> None:
    resources = [_resource(f"r{index}", fault) for index, fault in enumerate(faults)]
    found = _faults(*resources)
    order = [resource["id"] for resource in resources]
    places = [order.index(fault.resource) for fault in found if fault.resource is not None]
    assert places == sorted(places)
    assert {order[place] for place in places} == {
        node for node, fault in zip(order, faults, strict=True) if fault != "fine"
    }
    assert _faults(*resources) == found


@settings(max_examples=80)
@given(st.permutations(["unknown", "type", "field", "kind", "syntax", "number"]))
def test_a_fault_does_not_depend_on_its_neighbours(faults: list[str]) -> None:
    together = {fault.message for fault in _faults(*(_resource(fault, fault) for fault in faults))}
    alone = {fault.message for name in faults for fault in _faults(_resource(name, name))}
    assert together == alone
