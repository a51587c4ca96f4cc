"""From a definition to running resources on a real API server: recorded, healed, pruned, deleted."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from kro_es.events.types import (
    ObjectObserved,
    ReconcileDecided,
    RevisionActivated,
    RevisionIssued,
    RevisionRejected,
    WatchGap,
)
from tests.support.operator import Operator
from tests.support.steps import (
    Steps,
    condition,
    config_map,
    definition,
    events,
    eventually,
    faults,
    instance,
    message,
    settled,
)

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"


@pytest.mark.parametrize("example", ["application", "httpbin", "webapp", "wordpress"])
def test_an_example_becomes_active_and_ready(steps: Steps, operator: Operator, example: str) -> None:
    found = yaml.safe_load((EXAMPLES / example / "definition.yaml").read_text())
    instances = list(yaml.safe_load_all((EXAMPLES / example / "instances.yaml").read_text()))
    steps.apply(found)
    steps.active(found["metadata"]["name"])
    steps.apply(*instances)
    kind = found["spec"]["schema"]["kind"].lower()
    for item in instances:
        live = steps.ready(kind, item["metadata"]["name"])
        assert set(found["spec"]["schema"]["status"]) <= live["status"].keys() | {"host", "url"}
    columns = steps.cluster.kubectl("get", kind, "-n", steps.cluster.namespace)
    assert columns.splitlines()[0].split()[:3] == ["NAME", "STATE", "READY"]
    assert faults(operator.database) == []


def _color(name: str = "colors", **more: Any) -> dict[str, Any]:
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"color": "${schema.spec.color}"})
    return definition(name, "Color", {"color": "string | default=red"}, cfg, **more)


def test_an_edited_definition_is_a_revision_that_every_instance_follows(steps: Steps, operator: Operator) -> None:
    steps.apply(_color())
    steps.active("colors")
    steps.apply(*(instance("Color", f"c{n}", {"color": "blue"}) for n in range(3)))
    for n in range(3):
        steps.ready("color", f"c{n}")
    edited = _color()
    edited["spec"]["resources"][0]["template"]["data"]["extra"] = "new"
    steps.apply(edited)
    for n in range(3):
        eventually(lambda n=n: steps.get("cm", f"c{n}-cfg")["data"].get("extra"), lambda v: v == "new", "rolled")
    found = events(operator.database)
    issued = [event.body for event in found if isinstance(event.body, RevisionIssued)]
    assert [body.number for body in issued] == [1, 2]
    activated = next(e for e in found if isinstance(e.body, RevisionActivated) and e.body.number == 2)
    rolled = [
        e
        for e in found
        if isinstance(e.body, ReconcileDecided) and e.body.revision == 2 and e.position > activated.position
    ]
    assert {e.cause for e in rolled if e.body.writes and e.body.writes[0].node == "cfg"} == {activated.position}
    assert {e.correlation for e in rolled if e.body.writes and e.body.writes[0].node} == {"rollout/colors/2"}
    # those of an earlier test's definition go when the garbage collector gets to them
    mirrored = [gr["spec"] for gr in steps.items("graphrevisions") if gr["spec"]["snapshot"]["name"] == "colors"]
    assert [spec["revision"] for spec in mirrored] == [1, 2]


def test_a_hand_edit_is_healed_and_recorded_with_its_manager(steps: Steps, operator: Operator) -> None:
    steps.apply(_color())
    steps.active("colors")
    steps.apply(instance("Color", "c", {"color": "blue"}))
    steps.ready("color", "c")
    patch = '{"data":{"color":"green"}}'
    steps.cluster.kubectl(
        "patch", "cm", "c-cfg", "-n", steps.cluster.namespace, "--type=merge", "-p", patch, "--field-manager=mallory"
    )
    eventually(lambda: steps.get("cm", "c-cfg")["data"]["color"], lambda color: color == "blue", "healed")
    found = events(operator.database)
    drift = [e for e in found if isinstance(e.body, ReconcileDecided) and e.body.drift]
    assert drift[0].body.drift == (
        {"node": "cfg", "path": "data.color", "from": "blue", "to": "green", "manager": "mallory"},
    )
    cause = next(e for e in found if e.position == drift[0].cause)
    assert (cause.actor.name, cause.actor.source) == ("mallory", "manager")


def test_at_rest_nothing_is_asked_of_the_server_and_the_log_does_not_grow(steps: Steps, operator: Operator) -> None:
    steps.apply(_color())
    steps.active("colors")
    steps.apply(*(instance("Color", f"c{n}", {}) for n in range(5)))
    for n in range(5):
        steps.ready("color", f"c{n}")
    plane = steps.cluster.plane
    steps.rest()
    mark, length = plane.audit.mark(), len(events(operator.database))
    time.sleep(20)  # the time of rest itself
    assert [r.uri for r in plane.audit.requests("controller", mark) if r.verb != "watch"] == []
    assert len(events(operator.database)) == length


def test_a_fresh_instance_takes_four_requests(steps: Steps, operator: Operator) -> None:
    steps.apply(_color())
    steps.active("colors")
    steps.apply(instance("Color", "first", {}))
    steps.ready("color", "first")
    steps.rest()
    mark = steps.cluster.plane.audit.mark()
    steps.apply(instance("Color", "second", {}))
    steps.ready("color", "second")
    requests = [r for r in steps.cluster.plane.audit.requests("controller", mark) if r.verb != "watch"]
    assert [(r.verb, r.resource, r.subresource) for r in requests] == [
        ("patch", "colors", ""),
        ("patch", "colors", ""),
        ("patch", "configmaps", ""),
        ("update", "colors", "status"),
    ]


def test_children_go_in_reverse_order_and_then_the_instance(steps: Steps, operator: Operator) -> None:
    base = config_map("base", "${schema.metadata.name}-a", {"v": "1"})
    top = config_map("top", "${schema.metadata.name}-b", {"v": "${base.metadata.uid}"})
    steps.apply(definition("chains", "Chain", {"x": "string | default=y"}, base, top))
    steps.active("chains")
    steps.apply(instance("Chain", "c", {}))
    steps.ready("chain", "c")
    assert steps.get("cm", "c-b")["data"]["v"] == steps.get("cm", "c-a")["metadata"]["uid"]
    steps.delete("chain", "c")
    eventually(lambda: steps.get("chain", "c"), lambda obj: not obj, "instance gone")
    assert not steps.get("cm", "c-a")
    deleted = [
        write.name
        for event in events(operator.database)
        if isinstance(event.body, ReconcileDecided)
        for write in event.body.writes
        if write.verb == "delete"
    ]
    assert deleted == ["c-b", "c-a"]


def test_what_leaves_the_graph_is_pruned(steps: Steps, operator: Operator) -> None:
    one = config_map("one", "${schema.metadata.name}-1", {"v": "1"})
    two = config_map("two", "${schema.metadata.name}-2", {"v": "2"}, includeWhen=["${schema.spec.second}"])
    steps.apply(definition("pairs", "Pair", {"second": "boolean | default=true"}, one, two))
    steps.active("pairs")
    steps.apply(instance("Pair", "p", {"second": True}))
    steps.ready("pair", "p")
    assert steps.get("cm", "p-2")
    steps.apply(instance("Pair", "p", {"second": False}))
    eventually(lambda: steps.get("cm", "p-2"), lambda obj: not obj, "pruned")
    assert steps.ready("pair", "p")["status"]["state"] == "ACTIVE"
    assert steps.get("cm", "p-1")


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "unknown-field": (
        definition("unknown-field", "BadA", {}, {"id": "d", "template": {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replica": 2}}}),
        "spec.replica: schema not found for field replica",
    ),
    "unknown-id": (
        definition("unknown-id", "BadB", {}, config_map("a", "a", {"v": "${nope.data.x}"})),
        "references unknown identifiers: [nope]",
    ),
    "cycle": (
        definition("cycle", "BadC", {}, config_map("a", "a", {"v": "${b.data.v}"}), config_map("b", "b", {"v": "${a.data.v}"})),
        "graph contains a cycle: a -> b -> a",
    ),
    "duplicate-id": (
        definition("duplicate-id", "BadD", {}, config_map("a", "a", {}), config_map("a", "b", {})),
        "found duplicate resource IDs a",
    ),
    "no-such-kind": (
        definition("no-such-kind", "BadE", {}, {"id": "w", "template": {
            "apiVersion": "acme.io/v1", "kind": "Widget", "metadata": {"name": "w"}}}),
        'cannot resolve group version "acme.io/v1": schema not found',
    ),
    "syntax": (
        definition("syntax", "BadF", {}, config_map("a", "a", {"v": "${1 +}"})),
        "Syntax error",
    ),
    "wrong-shape": (
        definition("wrong-shape", "BadG", {"replicas": 3}, config_map("a", "a", {})),
        "unexpected type: int64",
    ),
}  # fmt: skip


def test_a_broken_definition_says_where_and_no_other_suffers(steps: Steps, operator: Operator) -> None:
    for found, _ in BROKEN.values():
        steps.apply(found)
    steps.apply(_color())
    steps.active("colors")
    steps.apply(instance("Color", "c", {}))
    steps.ready("color", "c")
    twin = _color("twin")
    steps.apply(twin)
    for name, (_, text) in BROKEN.items():
        live = eventually(
            lambda name=name: steps.get("rgd", name),
            lambda d: condition(d, "GraphAccepted") == "False",
            f"{name} refused",
        )
        assert text in message(live, "GraphAccepted"), name
        assert live["status"]["state"] == "Inactive"
    live = eventually(lambda: steps.get("rgd", "twin"), lambda d: condition(d, "KindReady") == "False", "twin refused")
    assert "owned by another ResourceGraphDefinition colors" in message(live, "KindReady")
    assert settled(steps.get("color", "c"))
    rejected = {e.body.definition for e in events(operator.database) if isinstance(e.body, RevisionRejected)}
    assert rejected == BROKEN.keys()


def test_a_secret_is_read_rotated_and_nowhere_in_clear(steps: Steps, operator: Operator) -> None:
    found = yaml.safe_load((EXAMPLES / "wordpress" / "definition.yaml").read_text())
    item = next(iter(yaml.safe_load_all((EXAMPLES / "wordpress" / "instances.yaml").read_text())))
    steps.apply(found)
    steps.active(found["metadata"]["name"])
    steps.apply(item)
    name = item["metadata"]["name"]
    steps.ready("wordpress", name)
    before = _secret_texts(steps)
    mysql = next(obj for obj in steps.items("statefulset"))["spec"]["template"]
    item["spec"].setdefault("database", {})["passwordVersion"] = 2
    steps.apply(item)
    eventually(
        lambda: next(obj for obj in steps.items("statefulset"))["spec"]["template"], lambda t: t != mysql, "rolled"
    )
    steps.ready("wordpress", name)
    after = _secret_texts(steps)
    assert len(before - after) >= 1
    assert len(after - before) >= 1  # the root password has a version of its own
    haystack = b"".join(file.read_bytes() for file in operator.directory.iterdir() if not file.name.endswith(".key"))
    for text in before | after:
        assert text.encode() not in haystack
        assert base64.b64encode(text.encode()) not in haystack
    # the search itself must be able to find: what is no secret is there, inside the compressed payloads
    recorded = [event.body.object for event in events(operator.database) if isinstance(event.body, ObjectObserved)]
    text = json.dumps(recorded)
    assert item["metadata"]["name"] in text
    assert not [secret for secret in before | after if secret in text]
    assert "kro-es/redacted" in text


def _secret_texts(steps: Steps) -> frozenset[str]:
    values = (value for obj in steps.items("secret") for value in (obj.get("data") or {}).values())
    decoded = (base64.b64decode(value).decode() for value in values)
    # user names and the like are derived from the instance's own, public fields
    return frozenset(text for text in decoded if len(text) >= 16)


@pytest.mark.parametrize("after", [1, 8, 20])
def test_killed_in_the_middle_of_a_rollout_it_converges(steps: Steps, operator: Operator, after: int) -> None:
    count = 30
    steps.apply(_color())
    steps.active("colors")
    steps.apply(*(instance("Color", f"c{n}", {"color": "blue"}) for n in range(count)))
    eventually(lambda: sum(map(settled, steps.items("color"))), lambda n: n == count, "all ready")
    mark = steps.cluster.plane.audit.mark()
    edited = _color()
    edited["spec"]["resources"][0]["template"]["data"]["extra"] = "new"
    steps.apply(edited)

    def rolled() -> int:
        return sum(
            obj["data"].get("extra") == "new" for obj in steps.items("cm") if obj["metadata"]["name"].endswith("-cfg")
        )

    eventually(rolled, lambda n: n >= after, "rollout under way")
    operator.kill()
    acknowledged = events(operator.database)
    operator.start()
    eventually(rolled, lambda n: n == count, "rollout finished")
    eventually(lambda: sum(map(settled, steps.items("color"))), lambda n: n == count, "all ready again")
    found = events(operator.database)
    assert [e.event_id for e in found[: len(acknowledged)]] == [e.event_id for e in acknowledged]
    assert len({e.event_id for e in found}) == len(found)
    assert any(isinstance(e.body, WatchGap) and e.body.reason == "restart" for e in found)
    assert faults(operator.database) == []
    intents = {
        (w.kind.lower(), w.namespace, w.name, w.subresource)
        for e in found
        if isinstance(e.body, ReconcileDecided)
        for w in e.body.writes
    }
    kinds = {"colors": "color", "configmaps": "configmap"}
    for request in steps.cluster.plane.audit.requests("controller", mark):
        if request.verb in ("create", "patch", "update", "delete") and request.resource in kinds:
            assert (kinds[request.resource], request.namespace, request.name, request.subresource) in intents
