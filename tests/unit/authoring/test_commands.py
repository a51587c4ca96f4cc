"""What the commands show of a definition: sample, drawing, difference, rendering."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from texts import EXAMPLES, FLEET, THING, compiled

from kro_es.api.objects import JsonObject
from kro_es.authoring import drawing
from kro_es.authoring.compare import Difference, as_text, difference
from kro_es.authoring.instances import problems, with_defaults
from kro_es.authoring.render import InstanceError, Rendering, as_yaml, completed, rendering
from kro_es.authoring.sample import sample
from kro_es.authoring.yaml_reader import Document, read
from kro_es.graph.node import ResourceGraph


def graph_of(text: str) -> ResourceGraph:
    graph = compiled(text).graph
    assert graph is not None
    return graph


THINGS = graph_of(THING)


def value(text: str) -> JsonObject:
    (document,) = read(text)
    assert isinstance(document, Document)
    found: JsonObject = document.root.value
    return found


# -- sample


def test_a_sample_tells_type_requirement_default_and_limits() -> None:
    assert sample(THINGS).splitlines()[5:] == [
        "spec:",
        "  name: xxx  # string, required, minLength 3",
        "  tier: small  # string, default small, one of small, big: how big",
        "  # size: 2  # integer, optional, minimum 2, maximum 9",
        "  # deep:  # object, optional",
        "  #   er:  # object, optional",
        '  #     text: ""  # string, optional',
        "  #     list: []  # list of integer, optional",
        "  # labels: {}  # map of string, optional",
        '  answer: "no"  # string, default "no"',
        "  ports: [{number: 1}]  # list of object, required, minItems 1",
        '  # host: ""  # string, optional, pattern ^[a-z]+$',
        '  motd: "a\\nb"  # string, default "a\\nb"',
    ]


RELYING = """
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: relying}
spec:
  schema:
    apiVersion: v1alpha1
    kind: Relying
    spec: {color: string, size: integer, tier: string, extra: string, deep: {er: {text: string, list: "[]string"}}}
  resources:
    - id: config
      template:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: "${schema.metadata.name}"}
        data:
          color: "${schema.spec.color}"
          size: "${has(schema.spec.size) ? string(schema.spec.size) : '1'}"
          tier: "${schema.spec.?tier.orValue('small')}"
          text: "is ${schema.spec.deep.er.text}"
    - id: more
      includeWhen: ["${has(schema.spec.extra)}"]
      template:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: "${schema.metadata.name}-more"}
        data: {extra: "${schema.spec.extra}"}
"""


def test_a_field_that_is_read_as_if_it_were_there_is_no_comment() -> None:
    assert sample(graph_of(RELYING)).splitlines()[5:] == [
        "spec:",
        '  color: ""  # string, optional, but resources rely on it',
        "  # size: 0  # integer, optional",
        '  # tier: ""  # string, optional',
        '  # extra: ""  # string, optional',
        "  deep:  # object, optional, but resources rely on it",
        "    er:  # object, optional, but resources rely on it",
        '      text: ""  # string, optional, but resources rely on it',
        "      # list: []  # list of string, optional",
    ]


@pytest.mark.parametrize("text", [THING, *(file.read_text() for file in EXAMPLES)], ids=range(len(EXAMPLES) + 1))
def test_a_sample_is_an_instance_also_with_its_comments_taken_in(text: str) -> None:
    graph = graph_of(text)
    assert completed(graph, value(sample(graph)))["metadata"]["name"]
    everything = "\n".join(
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in sample(graph).splitlines()
    )
    obj = value(everything)
    if text is THING:
        del obj["spec"]["host"]  # a value for a pattern is left to the reader
    assert completed(graph, obj)["spec"].keys() >= value(sample(graph)).get("spec", {}).keys()


# -- instances

SCHEMA: JsonObject = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "j": {"type": "array", "items": {}, "x-kubernetes-list-type": "set"},
        "a": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^x"},
        "b": {"type": "integer", "minimum": 1, "maximum": 3, "enum": [1, 2]},
        "c": {"type": "array", "items": {"type": "boolean"}, "maxItems": 1},
        "d": {"type": "object", "default": {}, "properties": {"e": {"type": "number", "default": 1.5}}},
        "f": {"type": "object", "additionalProperties": {"type": "object", "properties": {"g": {"default": 1}}}},
        "h": {"type": "string", "nullable": True},
        "i": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def test_defaults_come_in_as_the_server_puts_them() -> None:
    assert with_defaults({"f": {"x": {}}, "a": "xx"}, SCHEMA) == {"f": {"x": {"g": 1}}, "a": "xx", "d": {"e": 1.5}}


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        ({"a": "xy", "b": 2, "c": [True], "h": None, "i": {"any": 1}, "d": {"e": 2}}, []),
        ({}, ["a is required"]),
        ({"a": "y"}, ["a length must be at least 2, got 1", 'a must match ^x, got "y"']),
        ({"a": "xxxx"}, ["a length must be at most 3, got 4"]),
        ({"a": 1}, ["a must be of type string, got 1"]),
        ({"a": "xx", "b": 3}, ["b must be one of 1, 2, got 3"]),
        ({"a": "xx", "b": True}, ["b must be of type integer, got true"]),
        ({"a": "xx", "c": [1, True]}, ["c number of items must be at most 1, got 2", "c[0] must be of type boolean, got 1"]),
        ({"a": "xx", "z": 1}, ["z is no field of this kind"]),
        ({"a": "xx", "j": [1, "1", 1, 2]}, ["j must not have 1 twice"]),
        ({"a": "xx", "j": [1, True, "1"]}, []),
        (3, ["it must be of type object, got 3"]),
        ({"a": None}, ["a must be of type string, got null"]),
        ({"a": "xx", "f": {"x": []}}, ["f.x must be of type object, got []"]),
    ],
)  # fmt: skip
def test_an_instance_is_held_against_its_schema(obj: JsonObject, found: list[str]) -> None:
    assert [str(problem) for problem in problems(obj, SCHEMA)] == found


# -- drawing


def test_the_text_names_steps_kinds_needs_and_conditions() -> None:
    assert drawing.as_text(THINGS).splitlines() == [
        "1  config  v1 ConfigMap",
        "2  secret  v1 Secret     needs config; only if schema.spec.tier == 'big'",
    ]


def test_arrows_go_from_what_is_needed() -> None:
    assert '  "config" -> "secret";' in drawing.as_dot(THINGS).splitlines()
    assert "  n_config --> n_secret" in drawing.as_mermaid(THINGS).splitlines()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_the_picture_is_xml_with_every_resource_in_it(file: Path) -> None:
    graph = graph_of(file.read_text())
    root = ElementTree.fromstring(drawing.as_svg(graph))
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    arrows = [node for node in root if node.tag.endswith("path")]
    assert set(texts) >= {node.id for node in graph.nodes}
    assert len(arrows) == sum(len(node.dependencies) for node in graph.nodes)
    boxes = [(float(box.attrib["x"]), float(box.attrib["y"])) for box in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(set(boxes)) == len(graph.nodes)


# -- difference


def differ(old: str, new: str) -> Difference:
    before, after = compiled(old), compiled(new)
    assert before.graph is not None
    assert after.graph is not None
    return difference((before.definition, before.graph), (after.definition, after.graph))


@pytest.mark.parametrize(
    ("old", "new", "impact", "text"),
    [
        ("maximum=9", "maximum=5", "breaking", ".properties.spec.properties.size.maximum: Maximum was decreased from 9 to 5"),
        ("maximum=9", "maximum=12", "compatible", "Maximum was increased from 9 to 12"),
        ('"^[a-z]+$"', '"^[A-Z]+$"', "breaking", "Validation pattern changed"),
        ("kind: Thing", "kind: Other", "breaking", ".names.kind: changed from Thing to Other"),
        ("kind: Thing", "kind: Thing\n    scope: Cluster", "breaking", ".scope: changed from Namespaced to Cluster"),
        ("kind: Thing", "kind: Thing\n    shortNames: [t]", "unclassified", '.names.shortNames: ["t"] was added'),
        ("maximum=9", 'maximum=9 validation="self != 4"', "unclassified", "x-kubernetes-validations"),
    ],
)  # fmt: skip
def test_a_change_of_the_api_is_classed(old: str, new: str, impact: str, text: str) -> None:
    cluster = THING.replace('"${config.metadata.name}"', '"${config.metadata.name}", namespace: x').replace(
        '{name: "${schema.spec.name}"}', '{name: "${schema.spec.name}", namespace: x}'
    )
    found = differ(cluster, cluster.replace(old, new))
    assert [change.impact for change in found.api] == [impact]
    assert found.breaking == (impact == "breaking")
    assert text in as_text(found)


def test_resources_are_told_apart_by_their_ids() -> None:
    new = THING.replace("id: secret", "id: hidden").replace('answer: "${', 'answer: "v${').replace("labels:", "label:")
    found = differ(THING, new)
    assert [(item.id, item.change) for item in found.resources] == [
        ("config", "changed"), ("secret", "removed"), ("hidden", "added"),
    ]  # fmt: skip
    (field,) = found.resources[0].fields
    assert (field.path, field.new) == ("template.data.answer", "v${schema.spec.answer}")
    assert differ(THING, THING + "# a comment\n") == Difference((), ())
    assert as_text(Difference((), ())) == "no difference"


# -- rendering

INSTANCE = value(
    "{apiVersion: kro.run/v1alpha1, kind: Thing, metadata: {name: t}, spec: {name: abc, ports: [{number: 1}]}}"
)
BIG = {**INSTANCE, "spec": {**INSTANCE["spec"], "tier": "big"}}
LIVE = value("{apiVersion: v1, kind: ConfigMap, metadata: {name: abc, namespace: default, uid: u7}}")


def rendered(instance: JsonObject, *live: JsonObject) -> Rendering:
    return rendering(THINGS, completed(THINGS, instance), live)


@pytest.mark.parametrize(
    ("instance", "live", "states"),
    [
        (INSTANCE, (), [("config", 1, "apply"), ("secret", 2, "skipped")]),
        (BIG, (), [("config", 1, "apply"), ("secret", 2, "pending")]),
        (BIG, (LIVE,), [("config", 1, "apply"), ("secret", 2, "apply")]),
        (BIG, ({**LIVE, "metadata": {**LIVE["metadata"], "namespace": "x"}},), [("config", 1, "apply"), ("secret", 2, "pending")]),
        (BIG, ({"kind": "nothing"}, LIVE), [("config", 1, "apply"), ("secret", 2, "apply")]),
    ],
)  # fmt: skip
def test_each_step_waits_for_what_it_reads(
    instance: JsonObject, live: tuple[JsonObject, ...], states: list[tuple[str, int, str]]
) -> None:
    found = rendered(instance, *live)
    assert [(item.id, item.step, item.state) for item in found.resources] == states
    assert found.failed is False


def test_the_objects_are_a_stream_and_the_rest_is_comment() -> None:
    documents = [item.root.value for item in read(as_yaml(rendered(BIG, LIVE))) if isinstance(item, Document)]
    assert [(obj["kind"], obj["metadata"]["namespace"]) for obj in documents] == [
        ("ConfigMap", "default"),
        ("Secret", "default"),
    ]
    assert documents[0]["data"] == {"answer": "no"}
    assert documents[1]["stringData"] == {"uid": "u7"}
    assert as_yaml(rendered(BIG, LIVE)).endswith("# status\n# uid: u7\n")
    assert '# secret: pending: node "secret": dependent node "config" not ready' in as_yaml(rendered(BIG))


def test_collections_are_expanded_and_what_is_read_is_not_written() -> None:
    graph = graph_of(FLEET)
    instance = completed(
        graph, value("{apiVersion: kro.run/v1alpha1, kind: Fleet, metadata: {name: f}, spec: {zones: [a, b]}}")
    )
    empty = rendering(graph, instance, ())
    assert [(item.id, item.state) for item in empty.resources] == [
        ("settings", "external"), ("nodes", "external"), ("agents", "pending"),
    ]  # fmt: skip
    assert empty.resources[0].why == 'waiting for external reference "settings": not found'
    live = value(
        "items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: default}, data: {level: high}},"
        " {apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default, labels: {app: x}}},"
        " {apiVersion: v1, kind: Pod, metadata: {name: q, namespace: other, labels: {app: x}}},"
        " {apiVersion: v1, kind: Pod, metadata: {name: r, namespace: default}}]"
    )["items"]
    found = rendering(graph, instance, live)
    assert [(item.id, item.state) for item in found.resources] == [
        ("settings", "external"), ("nodes", "external"), ("agents", "apply"), ("agents", "apply"),
    ]  # fmt: skip
    documents = [item.root.value for item in read(as_yaml(found)) if isinstance(item, Document)]
    assert [(obj["metadata"]["name"], obj["data"]) for obj in documents] == [
        ("agent-a", {"level": "high", "pods": "2"}), ("agent-b", {"level": "high", "pods": "2"}),
    ]  # fmt: skip
    assert drawing.as_text(graph).splitlines() == [
        "1  settings  v1 ConfigMap  read only",
        "1  nodes     v1 Pod        read only",
        "2  agents    v1 ConfigMap  needs settings, nodes; for each zone in schema.spec.zones",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Other"}, "must be a Thing of kro.run/v1alpha1"),
        ({"metadata": {}}, "has no metadata.name"),
        (
            {"spec": {"name": "x", "ports": []}},
            "spec.name length must be at least 3, got 1; spec.ports number of items",
        ),
        ({"spec": None}, "spec must be of type object"),
    ],
)
def test_what_is_no_instance_is_refused(change: JsonObject, message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        completed(THINGS, {**INSTANCE, **change})
