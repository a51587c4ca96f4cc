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
