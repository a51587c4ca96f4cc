"""Every node gets the state, the objects and the reason that the observed cluster gives it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from kro_es.api.definition import parse
from kro_es.api.objects import JsonObject, JsonValue, Resource, labels
from kro_es.api.selector import Selector
from kro_es.graph.compile import compile_graph
from kro_es.graph.node import ResourceGraph
from kro_es.runtime.resolve import NodeResult, bindings, resolve
from kro_es.runtime.status import authored, projection
from tests.unit.graph.kinds import KINDS


@dataclass
class Cluster:
    """What is observed; members by node id, objects of others by name."""

    by_node: dict[str, list[JsonObject]] = field(default_factory=dict)
    others: list[JsonObject] = field(default_factory=list)

    def members(self, node_id: str) -> Sequence[JsonObject]:
        return self.by_node.get(node_id, ())

    def external(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        found = (obj for obj in self.others if obj["kind"] == resource.gvk.kind)
        return next(
            (o for o in found if (o["metadata"].get("namespace", ""), o["metadata"]["name"]) == (namespace, name)), None
        )

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[JsonObject]:
        return [
            obj
            for obj in self.others
            if namespace in ("", obj["metadata"]["namespace"]) and selector.matches(labels(obj))
        ]

    def apply(self, results: Sequence[NodeResult]) -> None:
        """As if the server had taken everything that should be."""
        for result in results:
            self.by_node[result.node.id] = copy.deepcopy(list(result.desired or ()))


def config_map(node: str, name: str, data: JsonObject | None = None, **more: JsonValue) -> JsonObject:
    template = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {}}
    return {"id": node, "template": template, **more}


def external(node: str, metadata: JsonObject, **more: JsonValue) -> JsonObject:
    return {"id": node, "externalRef": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, **more}


def other(name: str, data: JsonObject, namespace: str = "n", **labelled: str) -> JsonObject:
    meta = {"name": name, "namespace": namespace, "labels": labelled}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def compiled(*resources: JsonObject, scope: str = "Namespaced", **schema: JsonValue) -> ResourceGraph:
    spec = {"names": "[]string", "zones": "[]string", "on": "boolean", "deep": "object", "text": "string"}
    base = {"kind": "Thing", "apiVersion": "v1alpha1", "spec": spec, "scope": scope}
    metadata = {"name": "things", "uid": "u", "generation": 1}
    return compile_graph(
        parse({"metadata": metadata, "spec": {"schema": {**base, **schema}, "resources": list(resources)}}), KINDS
    )


def instance(*, namespace: str = "n", **spec: JsonValue) -> JsonObject:
    meta = {"name": "i", "uid": "u", **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "kro.run/v1alpha1", "kind": "Thing", "metadata": meta, "spec": spec}


def by_id(results: Sequence[NodeResult]) -> dict[str, NodeResult]:
    return {result.node.id: result for result in results}


ITEMS = config_map(
    "pieces",
    "i-${n}",
    {"n": "${n}", "all": "${string(size(schema.spec.names))}"},
    forEach=[{"n": "${schema.spec.names}"}],
)


def test_the_first_dimension_varies_slowest() -> None:
    graph = compiled(
        config_map("c", "${r}-${t}", forEach=[{"r": "${schema.spec.names}"}, {"t": "${schema.spec.zones}"}])
    )
    (found,) = resolve(graph, instance(names=["eu", "us"], zones=["web", "api"]), Cluster())
    assert [obj["metadata"]["name"] for obj in found.desired or ()] == ["eu-web", "eu-api", "us-web", "us-api"]
    assert {obj["metadata"]["namespace"] for obj in found.desired or ()} == {"n"}
    assert found.state == "IN_PROGRESS"


def test_an_empty_dimension_makes_an_empty_collection_that_is_ready() -> None:
    listed = config_map("c", "${r}-${t}", forEach=[{"r": "${schema.spec.names}"}, {"t": "${schema.spec.deep.nothing}"}])
    count = config_map("count", "count", {"n": "${string(size(c))}"})
    graph = compiled(listed, count, spec={"names": "[]string", "deep": {"nothing": "[]string"}})
    found = by_id(resolve(graph, instance(names=[], deep={}), Cluster()))
    assert (found["c"].state, found["c"].desired) == ("SYNCED", ())
    assert (found["count"].desired or ())[0]["data"] == {"n": "0"}


def test_items_are_told_by_name_and_listed_as_wanted() -> None:
    graph = compiled(ITEMS, status={"names": "${pieces.map(i, i.data.n)}"})
    cluster = Cluster()
    cluster.apply(resolve(graph, instance(names=["a", "b", "c"]), cluster))
    results = resolve(graph, instance(names=["c", "a"]), cluster)
    assert [obj and obj["data"]["n"] for obj in results[0].observed] == ["c", "a"]
    assert results[0].state == "SYNCED"
    seen = bindings(instance(names=["c", "a"]), results)
    assert projection(graph, seen) == {"names": ["c", "a"]}


def test_what_depends_on_a_growing_collection_waits_for_all_of_it() -> None:
    graph = compiled(ITEMS, config_map("sum", "sum", {"n": "${string(size(pieces))}"}))
    cluster = Cluster()
    cluster.apply(resolve(graph, instance(names=["a", "b"]), cluster))
    found = by_id(resolve(graph, instance(names=["a", "b", "c"]), cluster))
    assert found["pieces"].state == "IN_PROGRESS"
    assert found["sum"].pending == (
        'node "sum": dependent node "pieces" not ready: node "pieces": collection not ready: observed 2 but desired 3 '
        "(waiting for readiness) (data pending)"
    )


@pytest.mark.parametrize(
    ("expression", "reason", "fatal"),
    [
        (
            "each.data.n != 'b'",
            "readyWhen condition evaluated to false: \"each.data.n != 'b'\" (waiting for readiness)",
            False,
        ),
        ("each.data.gone == 'x'", "(item 0) (waiting for readiness)", False),
        ("1 / int(size(each.data) - 2) == 1", "(item 0): division by zero", True),
    ],
)
def test_every_item_must_be_ready(expression: str, reason: str, fatal: bool) -> None:
    graph = compiled({**ITEMS, "readyWhen": ["${" + expression + "}"]})
    cluster = Cluster()
    cluster.apply(resolve(graph, instance(names=["a", "b"]), cluster))
    (found,) = resolve(graph, instance(names=["a", "b"]), cluster)
    assert found.state == ("ERROR" if fatal else "WAITING_FOR_READINESS")
    assert reason in (found.error if fatal else found.waiting)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"names": ["a", "a"]}, 'node "pieces" identity collision: duplicate identity: /v1/ConfigMap//i-a'),
        ({"names": ["a", "b", "c", "d"]}, "collection size of 4 is over the maximum collection size of 3"),
    ],
)
def test_what_can_never_be_a_collection_is_fatal(spec: JsonObject, error: str) -> None:
    (found,) = resolve(compiled(ITEMS), instance(**spec), Cluster(), limit=3)
    assert (found.state, found.error, found.fatal, found.desired) == ("ERROR", error, True, None)


def test_a_list_that_is_not_there_is_pending_and_nothing_of_the_collection_is_known() -> None:
    (found,) = resolve(compiled(ITEMS), instance(), Cluster())
    assert (found.state, found.desired, found.known) == ("IN_PROGRESS", None, False)
    assert found.pending == 'node "pieces": forEach "n": eval "schema.spec.names": no such key: names (data pending)'


def test_an_excluded_collection_excludes_what_reads_it() -> None:
    graph = compiled(
        {**ITEMS, "includeWhen": ["${schema.spec.on}"]},
        config_map("sum", "sum", {"n": "${string(size(pieces))}"}),
        config_map("top", "top", {"n": "${sum.data.n}"}),
        config_map("rest", "rest"),
    )
    cluster = Cluster()
    cluster.apply(resolve(graph, instance(names=["a"], on=True), cluster))
    found = by_id(resolve(graph, instance(names=["a"], on=False), cluster))
    assert {name: result.state for name, result in found.items()} == {
        "pieces": "SKIPPED",
        "sum": "SKIPPED",
        "top": "SKIPPED",
        "rest": "SYNCED",
    }
    assert "pieces" not in bindings(instance(), list(found.values()))


def test_an_object_of_others_is_read_by_name_from_the_instances_namespace() -> None:
    graph = compiled(external("x", {"name": "${schema.spec.text}"}), config_map("c", "c", {"v": "${x.data.v}"}))
    cluster = Cluster()
    found = by_id(resolve(graph, instance(text="platform"), cluster))
    assert (found["x"].state, found["x"].waiting) == (
        "WAITING_FOR_READINESS",
        'waiting for external reference "x": not found',
    )
    assert 'dependent node "x" not ready' in found["c"].pending
    cluster.others = [other("platform", {"v": "elsewhere"}, "m"), other("platform", {"v": "here"})]
    found = by_id(resolve(graph, instance(text="platform"), cluster))
    assert (found["x"].state, found["x"].desired) == ("SYNCED", ())
    assert (found["c"].desired or ())[0]["data"] == {"v": "here"}


def test_an_object_of_others_may_have_to_be_ready() -> None:
    graph = compiled(external("x", {"name": "p", "namespace": "m"}, readyWhen=["${x.data.ok == 'y'}"]))
    (found,) = resolve(graph, instance(), Cluster(others=[other("p", {"ok": "n"}, "m")]))
    assert found.waiting.startswith('waiting for external reference "x": readyWhen condition evaluated to false')


def test_objects_of_others_are_selected_by_labels_in_all_namespaces_or_one() -> None:
    selector = {"matchLabels": {"tier": "${schema.spec.text}"}}
    everywhere = external("all", {"selector": selector}, readyWhen=["${size(all) > 1}"])
    here = external("here", {"selector": selector, "namespace": "n"})
    graph = compiled(everywhere, here, config_map("c", "c", {"n": "${string(size(all))} ${string(size(here))}"}))
    gold = [other("a", {}, "n", tier="gold"), other("b", {}, "m", tier="gold"), other("c", {}, "n", tier="iron")]
    found = by_id(resolve(graph, instance(text="gold"), Cluster(others=gold)))
    assert (found["c"].desired or ())[0]["data"] == {"n": "2 1"}
    found = by_id(resolve(graph, instance(text="lead"), Cluster(others=gold)))
    assert 'waiting for external collection "all": readyWhen' in found["all"].waiting
    assert (found["here"].state, found["here"].value) == ("SYNCED", [])
    found = by_id(resolve(graph, instance(text="no label!"), Cluster(others=gold)))
    assert found["here"].error.startswith("invalid label selector for here: matchLabels: values: Invalid value")


def test_a_cluster_scoped_instance_must_name_the_namespace() -> None:
    nowhere = config_map("c", "c")
    nowhere["template"]["metadata"]["namespace"] = "${schema.spec.text}"
    (found,) = resolve(compiled(nowhere, scope="Cluster"), instance(namespace="", text=""), Cluster())
    assert (
        found.error == 'node "c" is namespaced and must resolve metadata.namespace when the instance is cluster-scoped'
    )


def test_what_is_omitted_is_left_out_of_fields_lists_and_values() -> None:
    cfg = config_map("c", "c", {"a": "${omit()}", "b": "${schema.spec.on ? 'b' : omit()}", "k": "k"})
    cfg["template"]["metadata"] |= {"namespace": "${omit()}", "finalizers": ["a/b", "${omit()}", "${schema.spec.text}"]}
    cfg["template"]["metadata"]["labels"] = "${{'x': omit(), 'y': 'z'}}"
    (found,) = resolve(compiled(cfg), instance(on=False, text="c/d"), Cluster())
    (obj,) = found.desired or ()
    assert obj["data"] == {"k": "k"}
    assert obj["metadata"] == {"name": "c", "namespace": "n", "finalizers": ["a/b", "c/d"], "labels": {"y": "z"}}


def test_a_name_that_is_no_text_is_an_error() -> None:
    (found,) = resolve(compiled(config_map("c", "${schema.spec.text}")), instance(text=""), Cluster())
    assert (found.state, found.error) == ("ERROR", "node \"c\": metadata.name must be a text that is not empty, got ''")


NEW = "runtime.newCondition({type: %s, status: %s})"


def conditions(
    *entries: str, spec: JsonObject | None = None
) -> tuple[list[str], bool, frozenset[str], tuple[str, ...]]:
    graph = compiled(config_map("a", "a", {"k": "v"}), status={"conditions": ["${" + entry + "}" for entry in entries]})
    given = instance(**(spec or {}))
    cluster = Cluster()
    cluster.apply(resolve(graph, given, cluster))
    seen = bindings(given, resolve(graph, given, cluster))
    built_in = [{"type": "ResourcesReady", "status": "True", "reason": "AllResourcesReady", "message": "done"}]
    found = authored(graph.conditions or (), seen, built_in)
    texts = [f"{item['type']}={item['status']}" for item in found.conditions]
    return texts, found.complete, found.dropped, found.problems


def test_authors_make_conditions_from_the_graph_and_from_kros_own() -> None:
    entries = (
        NEW % ("'A'", "a.data.k == 'v' ? 'True' : 'False'"),
        "['x', 'y'].map(n, " + NEW % ("n", "'Unknown'") + ")",
        NEW % ("'Own'", "runtime.condition(schema, 'ResourcesReady').status"),
    )
    assert conditions(*entries) == (["A=True", "x=Unknown", "y=Unknown", "Own=True"], True, frozenset(), ())


def test_a_condition_that_waits_is_left_out_without_blame() -> None:
    assert conditions(NEW % ("'A'", "a.data.gone"), NEW % ("'B'", "'True'")) == (["B=True"], False, frozenset(), ())


def test_a_condition_that_can_never_work_is_dropped_and_degrades() -> None:
    texts, complete, dropped, problems = conditions(
        NEW % ("'A'", "a.data.k"), NEW % ("'B'", "'True'"), "dyn('no condition')"
    )
    assert (texts, complete, dropped) == (["B=True"], False, frozenset())
    assert problems[0].endswith('": runtime.newCondition: status must be one of True, False, Unknown (got "v")')
    assert problems[1] == "condition \"dyn('no condition')\": the result is not made with runtime.newCondition(...)"


def test_two_conditions_of_one_computed_type_are_both_dropped() -> None:
    same = NEW % ("schema.spec.text", "'True'")
    found = conditions(same, same, NEW % ("'B'", "'True'"), spec={"text": "T"})
    assert found == (["B=True"], False, frozenset({"T"}), ('condition type "T" is given more than once',))
