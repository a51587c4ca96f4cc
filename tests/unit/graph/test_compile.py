"""A definition compiles to the graph it describes, or every one of its faults is told, with its place."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from kinds import KINDS

from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, JsonValue
from kro_es.cel.declarations import KRO
from kro_es.errors import DefinitionErrors, DefinitionFault
from kro_es.graph.compile import compile_graph, required_kinds
from kro_es.graph.hash import spec_hash
from kro_es.graph.node import ResourceGraph


def config_map(node_id: str, **data: str) -> JsonObject:
    template = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": node_id}, "data": data}
    return {"id": node_id, "template": template}


def secret(node_id: str, **data: str) -> JsonObject:
    template = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": node_id}, "stringData": data}
    return {"id": node_id, "template": template}


def definition(*resources: JsonObject, **schema: JsonValue) -> JsonObject:
    base = {"kind": "Thing", "apiVersion": "v1alpha1", "spec": {"name": "string | default=x", "on": "boolean"}}
    spec = {"schema": {**base, **schema}, "resources": list(resources)}
    return {"metadata": {"name": "things", "uid": "u1", "generation": 2}, "spec": spec}


def compiled(*resources: JsonObject, **schema: JsonValue) -> ResourceGraph:
    return compile_graph(parse(definition(*resources, **schema)), KINDS)


def faults(*resources: JsonObject, **schema: JsonValue) -> tuple[DefinitionFault, ...]:
    with pytest.raises(DefinitionErrors) as caught:
        compiled(*resources, **schema)
    return caught.value.faults


def test_a_graph_has_all_a_pass_needs() -> None:
    on = {"includeWhen": ["${schema.spec.on && b.data.k == 'v'}"], "readyWhen": ["${a.data.x != ''}"]}
    graph = compiled(
        {**config_map("a", x="v-${b.data.k}", y="plain"), **on},
        config_map("b", k="v"),
        status={"x": "${a.data.x}", "list": [{"n": "${schema.spec.name}"}]},
    )
    assert graph.topological_order == ("b", "a")
    assert graph.dependencies == {"a": ("b",)}
    node = graph.node("a")
    assert [(item.path, item.text) for item in node.fields] == [(("data", "x"), "v-${b.data.k}")]
    assert [item.text for item in node.include_when] == ["schema.spec.on && b.data.k == 'v'"]
    assert node.include_dependencies == ("b",)
    assert (node.order, graph.node("b").order) == (2, 1)
    assert [item.path for item in graph.status] == [("x",), ("list", 0, "n")]
    assert graph.instance.plural == "things"
    assert graph.crd["metadata"]["labels"]["kro.run/resource-graph-definition-id"] == "u1"
    assert len(graph.spec_hash) == 16
    with pytest.raises(KeyError):
        graph.node("nope")


def test_required_kinds_are_named_once_and_malformed_ones_left_out() -> None:
    broken = {"id": "c", "template": {"apiVersion": 1, "kind": "Pod"}}
    parsed = parse(definition(config_map("a"), config_map("b"), secret("s"), broken, {"id": "d"}))
    assert required_kinds(parsed) == (Gvk("", "v1", "ConfigMap"), Gvk("", "v1", "Secret"))


def test_every_fault_is_told_in_document_order() -> None:
    found = faults(
        {**config_map("a", x="${nope}", y="${schema.spec.nope}"), "readyWhen": ["${a.data.x == 1}"]},
        {"id": "b", "template": {"apiVersion": "acme.io/v1", "kind": "Widget", "metadata": {"name": "x"}}},
        config_map("c", x="${b.anything.goes}", y="${1}"),
        kind="thing",
        spec={"name": "strin"},
        status={"p": "constant", "q": "${ghost.x}"},
    )
    texts = [str(fault) for fault in found]
    parts = [
        "kind 'thing' is not a valid KRO kind name",
        "unknown type: strin",
        "references unknown identifiers: [nope]",
        "readyWhen",
        'cannot resolve group version "acme.io/v1": schema not found',
        'type kind mismatch: got "int", expected "string"',
        "status fields without expressions are not supported: [p]",
        "references unknown identifiers: [ghost]",
    ]
    for part, text in zip(parts, texts, strict=True):
        assert part in text


def test_a_fault_says_where_it_is() -> None:
    (found,) = faults(config_map("a", x="n=${string(schema.spec.nope)}!"))
    assert (found.resource, found.path) == ("a", "data.x")
    assert found.expression == "n=${string(schema.spec.nope)}!"
    assert found.column is not None
    assert found.expression[found.column - 1 :].startswith(".nope")


def test_who_reads_what_is_at_fault_is_not_blamed_for_it() -> None:
    """Nobody knows the type of a field of a schema, or of a kind, that is itself at fault."""
    pieces = {**config_map("pieces"), "forEach": [{"n": "${schema.spec.list}"}]}
    pieces["template"]["metadata"]["name"] = "${n}"
    guarded = {**config_map("guarded"), "includeWhen": ["${schema.spec.on}"]}
    (fault,) = faults(pieces, guarded, spec={"name": "strin", "list": "[]string", "on": "boolean"})
    assert "unknown type: strin" in str(fault)
    widget = {"id": "w", "template": {"apiVersion": "acme.io/v1", "kind": "Widget", "metadata": {"name": "x"}}}
    of_widget = {**copy.deepcopy(pieces), "forEach": [{"n": "${w.status.list}"}]}
    (fault,) = faults({**widget, "readyWhen": ["${w.status.up}"]}, of_widget)
    assert "acme.io/v1" in str(fault)
    (fault,) = faults({**pieces, "forEach": [{"n": "${schema.spec.any.x}"}]}, spec={"any": "object"})
    assert 'must return a list, got "dyn"' in str(fault), "where nothing else is at fault it is a fault of its own"


def test_a_syntax_error_tells_its_resource_and_path() -> None:
    (fault,) = faults(config_map("a", x="${1 +}"))
    assert str(fault).endswith('\n | in resource "a", path "data.x"')


def test_a_field_that_is_not_there_is_answered_with_the_nearest() -> None:
    found = config_map("a")
    found["template"]["imutable"] = True
    (fault,) = faults(found)
    assert str(fault).endswith("schema not found for field imutable\n | did you mean 'immutable'?")


def test_a_cycle_starts_at_the_resource_listed_first() -> None:
    found = faults(config_map("x", k="${z.data.k}"), config_map("y", k="${x.data.k}"), config_map("z", k="${y.data.k}"))
    assert [str(fault) for fault in found] == [
        "failed to build dependency graph: graph contains a cycle: x -> z -> y -> x"
    ]


def test_managed_fields_are_not_an_input() -> None:
    (found,) = faults(config_map("a", x="${string(size(b.metadata.managedFields))}"), config_map("b"))
    assert "metadata.managedFields cannot be read" in str(found)


def test_escaped_and_reserved_property_names_are_one_property() -> None:
    graph = compiled(
        secret("s", k="v"),
        config_map("a", x="${b.spec.name}"),
        {
            "id": "b",
            "template": {
                "apiVersion": "kro.run/v1alpha1",
                "kind": "Other",
                "metadata": {"name": "b", "namespace": "${s.stringData.k}"},
            },
        },
        config_map("c", x="${b.metadata.namespace}", y="${b.metadata.__namespace__}", z="${b.metadata.name}"),
    )
    assert [item.tainted for item in graph.node("c").fields] == [True, True, False]


def _paths(node: JsonValue, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(node, dict | list):
        steps = node.items() if isinstance(node, dict) else enumerate(node)
        for step, value in steps:
            yield from _paths(value, (*path, step))


def _full() -> JsonObject:
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}
    external = {"apiVersion": "v1", "kind": "Pod", "metadata": {"selector": selector}}
    return definition(
        {**config_map("a", x="${b.data.k}"), "includeWhen": ["${schema.spec.on}"], "readyWhen": ["${a.data.x == ''}"]},
        config_map("b", k="v"),
        {"id": "e", "externalRef": external},
        {**config_map("f"), "forEach": [{"z": "${[1]}"}]},
        types={"T": "string | minLength=1"},
        status={"x": "${a.data.x}", "conditions": ["${1}"]},
        additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": ".a"}],
        shortNames=["t"],
        metadata={"labels": {"a": "b"}},
    )


WRONG: tuple[JsonValue, ...] = (None, 1.5, "", "${${", [None], {"": [{}]})


@pytest.mark.parametrize("path", list(_paths(_full())), ids=str)
def test_a_wrong_shape_is_a_fault_and_never_a_crash(path: tuple[str | int, ...]) -> None:
    for wrong in WRONG:
        obj = {"root": copy.deepcopy(_full())}
        target: JsonValue = obj
        for step in ("root", *path)[:-1]:
            target = target[step]
        target[("root", *path)[-1]] = wrong
        try:
            parsed = parse(obj["root"])
            assert len(spec_hash(parsed)) == 16
            compile_graph(parsed, KINDS)
        except DefinitionErrors:
            continue


def test_functions_beyond_kros_are_taken_unless_its_environment_is_asked_for() -> None:
    obj = definition(config_map("m", n="${string(math.greatest(1, 2))}", k="${[1].includes(1) ? 'y' : 'n'}"))
    assert compile_graph(parse(obj), KINDS).nodes
    with pytest.raises(DefinitionErrors) as caught:
        compile_graph(parse(obj), KINDS, environment=KRO)
    texts = [str(fault) for fault in caught.value.faults]
    assert any("references unknown identifiers: [math]" in text for text in texts)
