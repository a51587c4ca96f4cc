"""A value that comes from a Secret is marked wherever it may end up, and nothing else is."""

from __future__ import annotations

import pytest
from test_compile import compiled, config_map, secret

SECRET = secret("s", password="${schema.spec.name}")


def _tainted(expression: str) -> bool:
    (field,) = compiled(SECRET, config_map("a", x=expression)).node("a").fields
    return field.tainted


@pytest.mark.parametrize(
    "expression",
    [
        "${string(s.data.password)}",
        "${s.stringData.password}",
        '${s.stringData["password"]}',
        "x-${s.?stringData.?password.orValue('')}-y",
        "${has(s.stringData.password) ? 'y' : 'n'}",
        "${string(size(s.data))}",
        "${schema.spec.on ? s.stringData.password : ''}",
        "${dyn(s).data.password}",
        "${[s].map(item, item.stringData.password)[0]}",
        "${cel.bind(copy, s, copy.stringData.password)}",
        "${s.metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']}",
    ],
)
def test_a_read_of_secret_values_taints(expression: str) -> None:
    assert _tainted(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "${s.metadata.name}",
        "${s.kind + s.apiVersion}",
        "${s.type}",
        "${s.metadata.labels['a']}",
        "${schema.spec.name}",
        "${['x'].map(s, s)[0]}",
    ],
)
def test_other_reads_do_not(expression: str) -> None:
    assert not _tainted(expression)


def test_a_secret_always_holds_its_values() -> None:
    graph = compiled(SECRET)
    assert graph.node("s").tainted_paths == (("data",), ("stringData",), ("stringData", "password"))
    assert graph.node("s").fields[0].tainted


def test_taint_follows_values_from_node_to_node_and_into_the_status() -> None:
    graph = compiled(
        config_map("c", x="${b.data.x}", y="${b.data.y}"),
        SECRET,
        config_map("b", x="${s.stringData.password}", y="${s.metadata.name}"),
        config_map("d", x="${string(size(b.data))}"),
        status={"x": "${c.data.x}", "all": "${b.data}", "whole": "${d}", "y": ["${c.data.y}"]},
    )
    paths = {node.id: node.tainted_paths for node in graph.nodes if node.id != "s"}
    assert paths == {"b": (("data", "x"),), "c": (("data", "x"),), "d": (("data", "x"),)}
    assert graph.tainted_status == (("x",), ("all",), ("whole",))


def test_an_item_of_a_list_taints_the_list() -> None:
    pod = {
        "id": "p",
        "template": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "a", "image": "i", "args": ["x", "${s.stringData.password}"]}]},
        },
    }
    graph = compiled(
        SECRET,
        pod,
        config_map("a", x="${p.spec.containers[0].args[1]}", y="${p.spec.nodeSelector['k']}"),
    )
    assert graph.node("p").tainted_paths == (("spec", "containers", 0, "args", 1),)
    assert [item.tainted for item in graph.node("a").fields] == [True, False]


CREDS = {"id": "creds", "externalRef": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "creds"}}}
ALL = {"id": "all", "externalRef": {"apiVersion": "v1", "kind": "Secret", "metadata": {"selector": {}}}}


def test_a_secret_of_others_taints_as_ones_own() -> None:
    graph = compiled(CREDS, config_map("a", x="${string(creds.data.p)}", y="${creds.metadata.name}"))
    assert [field.tainted for field in graph.node("a").fields] == [True, False]


@pytest.mark.parametrize(
    ("listed", "tainted"),
    [
        ("${all}", [False, False, True]),
        ("${all.filter(s, s.metadata.name != 'x')}", [False, False, True]),
        ("${[all[0]]}", [False, False, True]),
        (
            "${all.map(s, {'metadata': {'name': string(s.data.p)}, 'type': 'x', 'data': {'p': 'x'}})}",
            [True, True, True],
        ),
    ],
)
def test_an_item_is_tainted_where_its_list_is(listed: str, tainted: list[bool]) -> None:
    copy = config_map("c", t="${x.type}", p="${string(x.data.p)}")
    copy["template"]["metadata"] = {"name": "i-${x.metadata.name}"}
    graph = compiled(ALL, {**copy, "forEach": [{"x": listed}]})
    assert [field.tainted for field in graph.node("c").fields] == tainted


def test_a_name_is_never_redacted() -> None:
    named = config_map("a", x="${string(s.data.password)}")
    named["template"]["metadata"]["name"] = "${string(s.data.password)}"
    graph = compiled(SECRET, named, config_map("b", x="${a.metadata.name}"))
    assert graph.node("a").tainted_paths == (("data", "x"),)
    assert [field.tainted for field in graph.node("b").fields] == [True]


def test_the_texts_of_conditions_are_redacted_when_one_reads_a_secret() -> None:
    plain = "${runtime.newCondition({type: 'A', status: 'True'})}"
    secretive = "${runtime.newCondition({type: 'B', status: 'True', message: string(s.data.password)})}"
    assert compiled(SECRET, status={"conditions": [plain]}).tainted_status == ()
    graph = compiled(SECRET, status={"conditions": [plain, secretive]})
    assert graph.tainted_status == (("conditions", 0, "reason"), ("conditions", 0, "message"))
