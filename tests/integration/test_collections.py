"""Collections on a real API server: numbered items that come, change, go and wait one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kro_es.events.types import ReconcileDecided, ResourceTakenOver
from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, events, eventually, faults, instance, message

INDEX, SIZE = "kro.run/collection-index", "kro.run/collection-size"


def _items(steps: Steps) -> dict[str, tuple[str, str]]:
    """Name to index and size, of the items that are not on their way out."""
    return {
        obj["metadata"]["name"]: (obj["metadata"]["labels"][INDEX], obj["metadata"]["labels"][SIZE])
        for obj in steps.items("cm")
        if INDEX in (obj["metadata"].get("labels") or {}) and "deletionTimestamp" not in obj["metadata"]
    }


def _writes(operator: Operator, since: int) -> list[tuple[str, str]]:
    """Verb and name of every child write decided after a position."""
    return [
        (write.verb, write.name)
        for event in events(operator.database)
        if isinstance(event.body, ReconcileDecided) and event.position > since
        for write in event.body.writes
        if write.node
    ]


def _head(operator: Operator) -> int:
    return events(operator.database)[-1].position


def _fleet() -> dict[str, Any]:
    items = config_map(
        "pieces",
        "${schema.metadata.name}-${n}",
        {"n": "${n}", "color": "${schema.spec.colors[?n].orValue('none')}"},
        forEach=[{"n": "${schema.spec.names}"}],
    )
    total = config_map("total", "${schema.metadata.name}-total", {"count": "${string(size(pieces))}"})
    return definition(
        "fleets",
        "Fleet",
        {"names": "[]string", "colors": "map[string]string"},
        items,
        total,
        status={"count": "${size(pieces)}", "names": "${pieces.map(i, i.data.n)}"},
    )


def _fleet_of(*names: str, **colors: str) -> dict[str, Any]:
    return instance("Fleet", "f", {"names": list(names), "colors": colors})


def test_items_come_and_go_and_what_did_not_change_is_left_alone(steps: Steps, operator: Operator) -> None:
    steps.apply(_fleet())
    steps.active("fleets")
    steps.apply(_fleet_of("a", "b", "c"))
    live = steps.ready("fleet", "f")
    assert _items(steps) == {"f-a": ("0", "3"), "f-b": ("1", "3"), "f-c": ("2", "3")}
    assert live["status"]["count"] == 3
    assert live["status"]["names"] == ["a", "b", "c"]

    mark = _head(operator)
    steps.apply(_fleet_of("a", "b", "c", b="red"))
    eventually(lambda: steps.get("cm", "f-b")["data"]["color"], lambda color: color == "red", "repainted")
    steps.ready("fleet", "f")
    assert _writes(operator, mark) == [("apply", "f-b")]

    mark = _head(operator)
    uids = {obj["metadata"]["name"]: obj["metadata"]["uid"] for obj in steps.items("cm")}
    steps.apply(_fleet_of("c", "b", "a", b="red"))
    eventually(lambda: _items(steps).get("f-c"), lambda found: found == ("0", "3"), "reordered")
    steps.ready("fleet", "f")
    assert _writes(operator, mark) == [("apply", "f-c"), ("apply", "f-a")]
    assert uids == {obj["metadata"]["name"]: obj["metadata"]["uid"] for obj in steps.items("cm")}

    mark = _head(operator)
    steps.apply(_fleet_of("c", "a"))
    eventually(lambda: _items(steps), lambda found: found == {"f-c": ("0", "2"), "f-a": ("1", "2")}, "shrunk")
    eventually(lambda: steps.get("cm", "f-total")["data"]["count"], lambda count: count == "2", "counted")
    assert steps.ready("fleet", "f")["status"]["count"] == 2
    assert ("delete", "f-b") in _writes(operator, mark)

    steps.apply(_fleet_of())
    eventually(lambda: _items(steps), lambda found: found == {}, "emptied")
    eventually(lambda: steps.get("cm", "f-total")["data"]["count"], lambda count: count == "0", "counted")
    assert steps.ready("fleet", "f")["status"]["count"] == 0

    steps.apply(_fleet_of("z"))
    eventually(lambda: steps.get("cm", "f-total")["data"]["count"], lambda count: count == "1", "regrown")
    steps.ready("fleet", "f")
    steps.delete("fleet", "f")
    eventually(lambda: steps.get("fleet", "f"), lambda obj: not obj, "instance gone")
    assert _items(steps) == {}
    assert faults(operator.database) == []


def test_an_item_edited_or_deleted_by_hand_is_healed_alone(steps: Steps, operator: Operator) -> None:
    steps.apply(_fleet())
    steps.active("fleets")
    steps.apply(_fleet_of("a", "b"))
    steps.ready("fleet", "f")
    mark = _head(operator)
    patch = '{"data":{"color":"green"}}'
    steps.cluster.kubectl("patch", "cm", "f-b", "-n", steps.cluster.namespace, "--type=merge", "-p", patch)
    eventually(lambda: steps.get("cm", "f-b")["data"]["color"], lambda color: color == "none", "healed")
    drift = [
        event.body.drift
        for event in events(operator.database)
        if isinstance(event.body, ReconcileDecided) and event.body.drift
    ]
    node = f"pieces/{steps.cluster.namespace}/f-b"
    change = {"node": node, "path": "data.color", "from": "none", "to": "green", "manager": "kubectl-patch"}
    assert drift == [(change,)]
    before = steps.get("cm", "f-a")["metadata"]["uid"]
    steps.delete("cm", "f-a")
    eventually(
        lambda: steps.get("cm", "f-a").get("metadata", {}).get("uid"), lambda uid: uid not in (None, before), "replaced"
    )
    steps.ready("fleet", "f")
    assert _writes(operator, mark) == [("apply", "f-b"), ("apply", "f-a")]


def test_items_wait_for_their_own_readiness_and_collections_feed_each_other(steps: Steps, operator: Operator) -> None:
    gates = config_map(
        "gates",
        "${schema.metadata.name}-g-${n}",
        {"n": "${n}"},
        forEach=[{"n": "${schema.spec.names}"}],
        readyWhen=["${each.metadata.?annotations[?'open'].orValue('no') == 'yes'}"],
    )
    copies = config_map(
        "copies",
        "${schema.metadata.name}-${g.data.n}-${zone}",
        {"of": "${g.metadata.uid}"},
        forEach=[{"g": "${gates}"}, {"zone": "${['x', 'y']}"}],
    )
    steps.apply(definition("gated", "Gated", {"names": "[]string"}, gates, copies))
    steps.active("gated")
    steps.apply(instance("Gated", "g", {"names": ["a", "b"]}))
    for name, other in (("a", "b"), ("b", "a")):
        live = eventually(
            lambda: steps.get("gated", "g"),
            lambda obj: 'waiting for node "gates"' in message(obj, "ResourcesReady"),
            "waits",
        )
        assert "each.metadata" in message(live, "ResourcesReady"), other
        assert not steps.get("cm", "g-a-x")
        steps.cluster.kubectl("annotate", "cm", f"g-g-{name}", "open=yes", "-n", steps.cluster.namespace)
    steps.ready("gated", "g")
    found = {name: place[0] for name, place in _items(steps).items() if not name.startswith("g-g-")}
    assert found == {"g-a-x": "0", "g-a-y": "1", "g-b-x": "2", "g-b-y": "3"}
    assert steps.get("cm", "g-b-y")["data"]["of"] == steps.get("cm", "g-g-b")["metadata"]["uid"]


def test_an_excluded_source_excludes_what_reads_it(steps: Steps, operator: Operator) -> None:
    on = {"includeWhen": ["${schema.spec.on}"]}
    items = config_map("pieces", "${schema.metadata.name}-${n}", {}, forEach=[{"n": "${schema.spec.names}"}], **on)
    sums = config_map("sums", "${schema.metadata.name}-sum", {"v": "${string(size(pieces))}"})
    top = config_map("top", "${schema.metadata.name}-top", {"v": "${sums.data.v}"})
    spec = {"names": "[]string", "on": "boolean | default=true"}
    steps.apply(definition("optional", "Optional", spec, items, sums, top))
    steps.active("optional")
    steps.apply(instance("Optional", "o", {"names": ["a", "b"]}))
    steps.ready("optional", "o")
    assert steps.get("cm", "o-top")["data"]["v"] == "2"
    steps.apply(instance("Optional", "o", {"names": ["a", "b"], "on": False}))
    names = {"o-a", "o-b", "o-sum", "o-top"}
    eventually(lambda: names & {obj["metadata"]["name"] for obj in steps.items("cm")}, lambda left: not left, "pruned")
    assert steps.ready("optional", "o")["status"]["state"] == "ACTIVE"


def test_two_items_of_one_name_or_too_many_are_errors_and_nothing_is_applied(steps: Steps, operator: Operator) -> None:
    steps.apply(_fleet())
    steps.active("fleets")
    steps.apply(_fleet_of("a", "a"))
    live = eventually(
        lambda: steps.get("fleet", "f"), lambda obj: obj.get("status", {}).get("state") == "ERROR", "refused"
    )
    assert "identity collision: duplicate identity: /v1/ConfigMap//f-a" in message(live, "ResourcesReady")
    steps.apply(_fleet_of(*(f"n{i}" for i in range(1001))))
    live = eventually(
        lambda: steps.get("fleet", "f"), lambda obj: "collection size" in message(obj, "ResourcesReady"), "refused"
    )
    assert "collection size of 1001 is over the maximum collection size of 1000" in message(live, "ResourcesReady")
    assert _items(steps) == {}
    steps.apply(_fleet_of("a"))
    steps.ready("fleet", "f")
    assert _items(steps) == {"f-a": ("0", "1")}


def test_what_is_omitted_is_not_written(steps: Steps, operator: Operator) -> None:
    cfg = config_map(
        "cfg", "${schema.metadata.name}", {"a": "${has(schema.spec.a) ? schema.spec.a : omit()}", "b": "b"}
    )
    steps.apply(definition("omitting", "Omitting", {"a": "string"}, cfg))
    steps.active("omitting")
    steps.apply(instance("Omitting", "o", {"a": "x"}))
    steps.ready("omitting", "o")
    assert steps.get("cm", "o")["data"] == {"a": "x", "b": "b"}
    steps.apply(instance("Omitting", "o", {}))
    eventually(lambda: steps.get("cm", "o")["data"], lambda data: data == {"b": "b"}, "left out")


def test_with_its_log_lost_a_converged_collection_is_taken_over_without_a_write(
    steps: Steps, operator: Operator, tmp_path: Path
) -> None:
    steps.apply(_fleet())
    steps.active("fleets")
    steps.apply(_fleet_of("a", "b"))
    steps.ready("fleet", "f")
    operator.stop()
    (tmp_path / "fresh").mkdir()
    fresh = Operator(steps.cluster.kubeconfig("controller"), tmp_path / "fresh")
    mark = steps.cluster.plane.audit.mark()
    fresh.start()
    try:
        taken = {f"pieces/{steps.cluster.namespace}/f-{name}" for name in ("a", "b")} | {"total"}

        def recorded() -> set[str]:
            return {e.body.node for e in events(fresh.database) if isinstance(e.body, ResourceTakenOver)}

        eventually(recorded, lambda found: found == taken, "taken over")
        steps.apply(_fleet_of("b", "c"))
        eventually(lambda: _items(steps), lambda found: found == {"f-b": ("0", "2"), "f-c": ("1", "2")}, "goes on")
        written = [r for r in steps.cluster.plane.audit.requests("controller", mark) if r.resource == "configmaps"]
        assert {(r.verb, r.name) for r in written if r.verb not in ("list", "watch")} <= {
            ("patch", "f-b"), ("patch", "f-c"), ("patch", "f-total"), ("delete", "f-a"),
        }  # fmt: skip
        steps.ready("fleet", "f")
        assert faults(fresh.database) == []
    finally:
        fresh.stop()
        operator.start()
