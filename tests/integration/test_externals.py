"""Objects of others on a real API server: watched where they are read, never written, and every change wakes the readers."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from kro_es.controller.single_watches import MOST
from kro_es.events.types import ObjectObserved, ReconcileDecided
from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, events, eventually, faults, instance, message, settled


def _external(node: str, metadata: dict[str, Any], kind: str = "ConfigMap", **more: Any) -> dict[str, Any]:
    return {"id": node, "externalRef": {"apiVersion": "v1", "kind": kind, "metadata": metadata}, **more}


def _plain(name: str, data: dict[str, str], **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data}


def _value(steps: Steps, name: str, key: str) -> str:
    value: str = steps.get("cm", name).get("data", {}).get(key, "")
    return value


def _becomes(steps: Steps, name: str, key: str, wanted: str) -> None:
    eventually(lambda: _value(steps, name, key), lambda value: value == wanted, f"{name}.{key} = {wanted}")


def _watches(steps: Steps, mark: int) -> set[tuple[str, str, str]]:
    """Namespace and query of the watches of configmaps that were opened after a mark."""
    found = set()
    for request in steps.cluster.plane.audit.requests("controller", mark):
        if request.verb == "watch" and request.resource == "configmaps":
            found.add((request.namespace, request.uri))
    return found


def test_an_object_of_others_is_waited_for_followed_and_left_alone(steps: Steps, operator: Operator) -> None:
    platform = _external("platform", {"name": "${schema.spec.from}"}, readyWhen=["${platform.data.?region.hasValue()}"])
    cfg = config_map("cfg", "${schema.metadata.name}", {"region": "${platform.data.region}"})
    spec = {"from": "string"}
    steps.apply(definition("readers", "Reader", spec, platform, cfg, status={"region": "${platform.data.region}"}))
    steps.active("readers")
    steps.apply(instance("Reader", "r", {"from": "shared"}))
    live = eventually(
        lambda: steps.get("reader", "r"), lambda obj: "not found" in message(obj, "ResourcesReady"), "waits"
    )
    assert 'waiting for external reference "platform": not found' in message(live, "ResourcesReady")
    assert live["status"]["state"] == "IN_PROGRESS"
    assert not steps.get("cm", "r")

    steps.apply(_plain("unrelated", {"region": "xx"}), _plain("shared", {}))
    eventually(lambda: steps.get("reader", "r"), lambda o: "readyWhen" in message(o, "ResourcesReady"), "not ready yet")
    steps.apply(_plain("shared", {"region": "eu"}))
    assert steps.ready("reader", "r")["status"]["region"] == "eu"
    assert _value(steps, "r", "region") == "eu"
    steps.apply(_plain("shared", {"region": "us"}))
    _becomes(steps, "r", "region", "us")
    assert steps.ready("reader", "r")["status"]["region"] == "us"

    steps.apply(_plain("other", {"region": "af"}), instance("Reader", "r", {"from": "other"}))
    _becomes(steps, "r", "region", "af")
    assert steps.ready("reader", "r")["status"]["region"] == "af"

    before = steps.get("cm", "r")["metadata"]["resourceVersion"]
    steps.delete("cm", "other")
    live = eventually(
        lambda: steps.get("reader", "r"), lambda obj: "not found" in message(obj, "ResourcesReady"), "waits again"
    )
    assert "region" not in live["status"]
    assert steps.get("cm", "r")["metadata"]["resourceVersion"] == before

    steps.delete("reader", "r")
    eventually(lambda: steps.get("reader", "r"), lambda obj: not obj, "instance gone")
    shared = steps.get("cm", "shared")
    assert not shared["metadata"].get("labels")
    assert {entry["manager"] for entry in json.loads(_raw(steps, "shared"))["metadata"]["managedFields"]} == {
        "kubectl-client-side-apply"
    }
    found = {event.position: event for event in events(operator.database)}
    recorded = {event.subject.name for event in found.values() if isinstance(event.body, ObjectObserved)}
    assert "unrelated" not in recorded
    caused = {found[event.cause].subject.name for event in found.values() if _writes_child(event.body, "r")}
    assert caused == {"shared", "other"}
    assert faults(operator.database) == []


def _writes_child(body: object, name: str) -> bool:
    return isinstance(body, ReconcileDecided) and any(
        w.name == name and w.verb == "apply" and w.node for w in body.writes
    )


def _raw(steps: Steps, name: str) -> str:
    text: str = steps.cluster.kubectl(
        "get", "cm", name, "-n", steps.cluster.namespace, "-o", "json", "--show-managed-fields"
    )
    return text


def test_readers_of_one_object_share_a_watch_that_ends_with_the_last(steps: Steps, operator: Operator) -> None:
    cfg = config_map("cfg", "${schema.metadata.name}", {"v": "${x.data.v}"})
    steps.apply(
        definition("sharers", "Sharer", {"from": "string"}, _external("x", {"name": "${schema.spec.from}"}), cfg)
    )
    steps.active("sharers")
    steps.apply(_plain("one", {"v": "1"}))
    mark = steps.cluster.plane.audit.mark()
    steps.apply(*(instance("Sharer", f"s{n}", {"from": "one"}) for n in range(5)))
    for n in range(5):
        steps.ready("sharer", f"s{n}")
    opened = eventually(lambda: _watches(steps, mark), lambda found: len(found) >= 1, "watched")
    assert [namespace for namespace, _ in opened] == [steps.cluster.namespace]
    assert "metadata.name%3Done" in next(uri for _, uri in opened)
    steps.apply(_plain("one", {"v": "2"}))
    for n in range(5):
        _becomes(steps, f"s{n}", "v", "2")
        steps.ready("sharer", f"s{n}")

    steps.rest()
    mark, length = steps.cluster.plane.audit.mark(), len(events(operator.database))
    for n in range(5):
        steps.cluster.kubectl("annotate", "sharer", f"s{n}", "touched=yes", "-n", steps.cluster.namespace)
    time.sleep(3)  # the passes these wake, which have nothing to do
    assert [r.uri for r in steps.cluster.plane.audit.requests("controller", mark) if r.verb != "watch"] == []
    assert len(events(operator.database)) == length + 5

    for n in range(5):
        steps.delete("sharer", f"s{n}")
    for n in range(5):
        eventually(lambda n=n: steps.get("sharer", f"s{n}"), lambda obj: not obj, "instance gone")
    length = len(events(operator.database))
    steps.apply(_plain("one", {"v": "3"}))
    time.sleep(1)  # nobody looks any more: there is nothing to wait for
    assert len(events(operator.database)) == length


def test_very_many_single_objects_are_followed_by_few_watches(steps: Steps, operator: Operator) -> None:
    count = 40
    cfg = config_map("cfg", "${schema.metadata.name}", {"v": "${x.data.v}"})
    own = _external("x", {"name": "${schema.metadata.name}-in"})
    steps.apply(definition("owners", "Owner", {"x": "string | default=y"}, own, cfg))
    steps.active("owners")
    steps.apply(*(_plain(f"o{n}-in", {"v": "1"}) for n in range(count)), _plain("stranger", {}))
    mark = steps.cluster.plane.audit.mark()
    steps.apply(*(instance("Owner", f"o{n}", {}) for n in range(count)))
    eventually(lambda: sum(map(settled, steps.items("owner"))), lambda ready: ready == count, "all ready")
    assert 0 < len(_watches(steps, mark)) <= MOST + 1
    steps.apply(*(_plain(f"o{n}-in", {"v": "2"}) for n in range(count)), _plain("stranger", {"v": "2"}))

    def values() -> list[str]:
        return [
            obj["data"]["v"] for obj in steps.items("cm") if obj["metadata"]["name"] in {f"o{n}" for n in range(count)}
        ]

    eventually(values, lambda found: found == ["2"] * count, "followed")
    operator.kill()
    steps.apply(*(_plain(f"o{n}-in", {"v": "3"}) for n in range(count)))
    operator.start()
    eventually(values, lambda found: found == ["3"] * count, "followed after a restart")
    recorded = {e.subject.name for e in events(operator.database) if isinstance(e.body, ObjectObserved)}
    assert "stranger" not in recorded
    assert faults(operator.database) == []


def test_objects_of_others_are_selected_by_label_wherever_they_are(steps: Steps, operator: Operator) -> None:
    tiers = _external("tiers", {"selector": {"matchLabels": {"tier": "${schema.spec.tier}"}}})
    cfg = config_map("cfg", "${schema.metadata.name}", {"names": "${tiers.map(t, t.data.n).join(',')}"})
    copies = config_map(
        "copies",
        "${schema.metadata.name}-${t.metadata.name}",
        {"n": "${t.data.n}"},
        forEach=[{"t": "${tiers}"}],
    )
    steps.apply(definition("selectors", "Selecting", {"tier": "string"}, tiers, cfg, copies))
    steps.active("selectors")
    steps.apply(instance("Selecting", "s", {"tier": "gold"}))
    steps.ready("selecting", "s")
    assert _value(steps, "s", "names") == ""
    steps.apply(_plain("a", {"n": "a"}, tier="gold"), _plain("b", {"n": "b"}, tier="iron"))
    _becomes(steps, "s", "names", "a")
    eventually(lambda: steps.get("cm", "s-a"), bool, "copied")
    elsewhere = f"zz-{steps.cluster.namespace}"
    steps.cluster.kubectl("create", "namespace", elsewhere)
    try:
        steps.cluster.kubectl(
            "apply", "-n", elsewhere, "-f", "-", input=json.dumps(_plain("z", {"n": "z"}, tier="gold"))
        )
        _becomes(steps, "s", "names", "a,z")
        steps.apply(_plain("b", {"n": "b"}, tier="gold"))
        _becomes(steps, "s", "names", "a,b,z")
        steps.apply(_plain("a", {"n": "a"}, tier="iron"))
        _becomes(steps, "s", "names", "b,z")
        eventually(lambda: steps.get("cm", "s-a"), lambda obj: not obj, "copy pruned")
        steps.apply(instance("Selecting", "s", {"tier": "iron"}))
        _becomes(steps, "s", "names", "a")
        steps.ready("selecting", "s")
        operator.kill()
        steps.apply(_plain("c", {"n": "c"}, tier="iron"))
        operator.start()
        _becomes(steps, "s", "names", "a,c")
    finally:
        steps.cluster.kubectl("delete", "namespace", elsewhere, "--wait=false")
    steps.ready("selecting", "s")
    assert faults(operator.database) == []


def test_a_secret_of_others_is_read_and_nowhere_in_clear(steps: Steps, operator: Operator) -> None:
    password = "correct-horse-battery-staple"
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "creds"}, "stringData": {"password": password},
    }  # fmt: skip
    steps.apply(secret)
    copied = {
        "id": "copied",
        "template": {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "${schema.metadata.name}"},
            "stringData": {"url": "db://app:${string(creds.data.password)}@host"},
        },
    }
    steps.apply(
        definition(
            "keepers", "Keeper", {"x": "string | default=y"}, _external("creds", {"name": "creds"}, "Secret"), copied
        )
    )
    steps.active("keepers")
    steps.apply(instance("Keeper", "k", {}))
    steps.ready("keeper", "k")
    url = base64.b64decode(steps.get("secret", "k")["data"]["url"]).decode()
    assert url == f"db://app:{password}@host"
    text = json.dumps([e.body.object for e in events(operator.database) if isinstance(e.body, ObjectObserved)])
    assert '"creds"' in text
    for clear in (password, base64.b64encode(password.encode()).decode(), url):
        assert clear not in text
        assert clear not in operator.text()


def _allow(steps: Steps, name: str, kind: str, rules: list[dict[str, Any]]) -> None:
    """A role of the service account ``reader`` of the test's namespace."""
    meta = {"name": name, "namespace": steps.cluster.namespace} if kind == "Role" else {"name": name}
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": steps.cluster.namespace}
    steps.apply(
        {"apiVersion": f"{group}/v1", "kind": kind, "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{kind}Binding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
            "subjects": [subject],
        },
    )


def test_what_must_not_be_read_is_named_and_read_once_it_may(steps: Steps, operator: Operator, tmp_path: Path) -> None:
    operator.stop()
    namespace = steps.cluster.namespace
    steps.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    groups = ["kro.run", "internal.kro.run", "apiextensions.k8s.io"]
    everything = {"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}
    maps = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}
    cluster_name = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}
    _allow(steps, namespace, "ClusterRole", [everything, maps, cluster_name])
    restricted = Operator(steps.cluster.plane.service_account_kubeconfig(namespace, "reader"), tmp_path / "own")
    restricted.directory.mkdir()
    restricted.start()
    try:
        steps.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "creds"}, "stringData": {"user": "app"}},
            definition(
                "limited", "Limited", {"x": "string | default=y"}, _external("creds", {"name": "creds"}, "Secret"),
                config_map("cfg", "${schema.metadata.name}", {"n": "${string(size(creds.data))}"}),
            ),
        )  # fmt: skip
        steps.active("limited")
        steps.apply(instance("Limited", "l", {}))
        live = eventually(
            lambda: steps.get("limited", "l"), lambda o: "no list within" in message(o, "ResourcesReady"), "named"
        )
        assert f"external ref get /v1, Kind=Secret namespace={namespace},name=creds" in message(live, "ResourcesReady")
        assert live["status"]["state"] == "ERROR"
        one = {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["creds"],
            "verbs": ["get", "list", "watch"],
        }
        _allow(steps, "one-secret", "Role", [one])
        steps.ready("limited", "l")
        assert _value(steps, "l", "n") == "1"
    finally:
        restricted.stop()
        operator.start()
        steps.cluster.kubectl("delete", "clusterrole,clusterrolebinding", namespace)
