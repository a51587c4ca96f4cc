"""kro-history rollback on a real API server: every kind of it, what it refuses, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kro_es.history import targets
from kro_es.history.compare import object_at
from kro_es.history.source import open_history
from kro_es.plan import owned
from tests.conftest import Cluster
from tests.support.incident import write_incident
from tests.support.operator import Operator
from tests.support.steps import Steps, condition, config_map, definition, eventually, faults, instance


@pytest.fixture
def steps(cluster: Cluster, operator: Operator) -> Iterator[Steps]:
    yield Steps(cluster)
    cluster.kubectl("delete", "tones", "--all", "-n", cluster.namespace, "--timeout=30s")
    cluster.kubectl("delete", "rgd", "--all", "--timeout=30s")
    cluster.kubectl("delete", "crd", "tones.kro.run", "--timeout=30s")


def _tone(value: str, *more: dict[str, Any], spec: dict[str, str] | None = None) -> dict[str, Any]:
    cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"tone": value, "x": "${schema.spec.x}"})
    return definition("tones", "Tone", {"x": "string | default=y", **(spec or {})}, cfg, *more)


def _extra() -> dict[str, Any]:
    return config_map("extra", "${schema.metadata.name}-extra", {"only": "here"})


def _history(operator: Operator, *args: str, database: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", database or operator.database, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=90)


def _rollback(steps: Steps, operator: Operator, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    config = str(steps.cluster.kubeconfig("admin"))
    return _history(operator, "rollback", *args, "--reason", "it was better", "--kubeconfig", config, **more)


def _rolled(steps: Steps, *edits: dict[str, Any], names: tuple[str, ...] = ("a", "b")) -> None:
    """Instances of the first definition, then every edit rolled out."""
    for number, edit in enumerate(edits, 1):
        steps.apply(edit)
        eventually(
            lambda: steps.active("tones")["status"].get("lastIssuedRevision"),
            lambda found, wanted=number: found == wanted,
            f"revision {number}",
        )
        if number == 1:
            steps.apply(*(instance("Tone", name, {}) for name in names))
        for name in names:
            steps.ready("tone", name)


def test_objects_the_old_revision_lacks_are_deleted_only_when_that_is_named(steps: Steps, operator: Operator) -> None:
    _rolled(steps, _tone("low"), _tone("low", _extra()))
    eventually(lambda: steps.get("cm", "b-extra"), bool, "extra object")

    refused = _rollback(steps, operator, "tones", "--to", "1", "--yes")
    assert refused.returncode == 1
    assert "2 instance(s): 0 created, 0 updated, 2 deleted" in refused.stdout
    assert "--accept deletes-objects" in refused.stderr
    assert steps.get("cm", "b-extra")

    done = _rollback(steps, operator, "tones", "--to", "1", "--yes", "--accept", "deletes-objects")
    assert done.returncode == 0, done.stderr
    assert "revision 3: 2 done, 0 failed, 0 to go" in done.stderr
    assert not steps.get("cm", "a-extra")
    assert not steps.get("cm", "b-extra")
    assert faults(operator.database) == []


def test_a_rollback_that_fails_says_for_whom_and_names_the_way_back(steps: Steps, operator: Operator) -> None:
    broken = config_map("extra", "${schema.metadata.name}-extra", {"not a key!": "x"})
    steps.apply(_tone("low", broken))
    steps.active("tones")
    steps.apply(instance("Tone", "a", {}))
    eventually(lambda: steps.get("tone", "a").get("status", {}).get("state"), lambda s: s == "ERROR", "refused")
    steps.apply(_tone("high"))
    eventually(lambda: steps.get("cm", "a-cfg").get("data", {}).get("tone"), lambda t: t == "high", "mended")
    steps.ready("tone", "a")

    done = _rollback(steps, operator, "tones", "--to", "1", "--yes")
    assert done.returncode == 2, done.stderr
    assert "1 failed" in done.stderr
    assert f"{steps.cluster.namespace}/a" in done.stderr
    assert "--to 2" in done.stderr
    back = _rollback(steps, operator, "tones", "--to", "2", "--yes", "--accept", "deletes-objects")
    assert back.returncode == 0, back.stderr


def test_one_instance_gets_its_old_spec_back_and_everyone_can_see_why(steps: Steps, operator: Operator) -> None:
    _rolled(steps, _tone("low"))
    before = json.loads(_history(operator, "sql", "SELECT max(position) AS p FROM v_events", "-o", "json").stdout)
    time.sleep(0.05)  # the next event has a later millisecond: a time names the state before it
    steps.apply(instance("Tone", "a", {"x": "loud"}))
    eventually(lambda: steps.get("cm", "a-cfg")["data"]["x"], lambda x: x == "loud", "edited")
    steps.ready("tone", "a")

    where = ("tone/a", "-n", steps.cluster.namespace, "--to", str(before[0]["p"]))
    plan = _rollback(steps, operator, *where, "--dry-run")
    assert plan.returncode == 2, plan.stderr
    assert '- x: "loud"' in plan.stdout
    assert "data.x: loud → y" in plan.stdout
    done = _rollback(steps, operator, *where, "--yes")
    assert done.returncode == 0, done.stderr
    assert steps.get("cm", "a-cfg")["data"]["x"] == "y"
    assert steps.get("cm", "b-cfg")["data"]["x"] == "y"

    asked = ("why", "cm/a-cfg", "data.x", "-n", steps.cluster.namespace, "-o", "json")
    chain = json.loads(_history(operator, *asked).stdout)["chain"]
    first = (chain[0]["type"], chain[0]["actor"], chain[0]["actor_source"])
    assert first == ("command.instance_rollback", "admin", "cli"), chain
    assert "it was better" in chain[0]["summary"]
    again = _rollback(steps, operator, *where, "--yes")
    assert (again.returncode, "no difference" in again.stdout) == (0, True)

    held = _rollback(steps, operator, *where, "--yes", "--hold")
    assert held.returncode == 0, held.stderr
    steps.apply(instance("Tone", "a", {"x": "loud"}))
    eventually(lambda: steps.get("tone", "a"), lambda obj: condition(obj, "Held") == "True", "seen and held")
    assert steps.get("cm", "a-cfg")["data"]["x"] == "y"
    (row,) = json.loads(_history(operator, "holds", "-o", "json").stdout)
    assert (row["object"], row["waiting"], row["actor"]) == ("tone/a", 1, "admin")
    config = str(steps.cluster.kubeconfig("admin"))
    flags = ("-n", steps.cluster.namespace, "--reason", "mended", "--yes", "--kubeconfig", config)
    done = _history(operator, "release", "tone/a", *flags)
    assert (done.returncode, '+ x: "loud"' in done.stdout) == (0, True), done.stderr
    eventually(lambda: steps.get("cm", "a-cfg")["data"]["x"], lambda x: x == "loud", "released")
    assert faults(operator.database) == []


def test_the_whole_graph_goes_back_and_is_on_the_server_what_it_was(steps: Steps, operator: Operator) -> None:
    names = ("a", "b", "c")
    _rolled(steps, _tone("low"), names=names)
    before = _owned(steps)
    position = json.loads(_history(operator, "sql", "SELECT max(position) AS p FROM v_events", "-o", "json").stdout)
    wide = _tone("high", _extra(), spec={"volume": "integer | default=3"})
    steps.apply(wide)
    eventually(lambda: len(_owned(steps)), lambda count: count == 6, "rolled out")
    steps.apply(instance("Tone", "a", {"x": "loud", "volume": 9}))
    steps.delete("tone", "c")
    eventually(lambda: len(_owned(steps)), lambda count: count == 4, "deleted")

    where = ("tones", "--to", str(position[0]["p"]), "--with-instances", "--yes")
    refused = _rollback(steps, operator, *where)
    assert refused.returncode == 1
    assert "--accept breaking-change --accept deletes-objects" in refused.stderr
    done = _rollback(steps, operator, *where, "--accept", "breaking-change", "--accept", "deletes-objects")
    assert done.returncode == 0, done.stderr
    assert "order: the instances, then the definition" in done.stderr
    assert "3 done, 0 failed, 0 to go" in done.stderr
    assert _owned(steps) == before
    assert _recorded(steps, operator, int(position[0]["p"])) == before
    # the API server goes on with the old schema for a moment
    eventually(lambda: [steps.get("tone", name)["spec"] for name in names], lambda s: s == [{"x": "y"}] * 3, "pruned")
    assert faults(operator.database) == []


def _owned(steps: Steps) -> dict[str, str]:
    """Of every child the digest of the fields we own, as the API server has them."""
    found = {}
    for obj in json.loads(
        steps.cluster.kubectl("get", "cm", "-n", steps.cluster.namespace, "-o", "json", "--show-managed-fields")
    )["items"]:
        fields = owned.own_fields(obj, "kro.run/applyset")
        if fields is not None:
            # one that is made again belongs to an instance with another uid
            obj["metadata"]["labels"].pop("kro.run/instance-id")
            found[obj["metadata"]["name"]] = owned.owned_digest(obj, fields)
    return found


def _recorded(steps: Steps, operator: Operator, position: int) -> dict[str, str]:
    """As ``_owned``, of the objects as the log has them at a position, in the fields we own on the server now."""
    history = open_history(operator.database, time.time_ns() // 1000)
    found = {}
    for target in targets.of_kind(history, "", "ConfigMap"):
        obj = object_at(history, target.ref, position)
        if obj is None or target.ref.namespace != steps.cluster.namespace:
            continue
        live = steps.cluster.kubectl(
            "get", "cm", target.ref.name, "-n", target.ref.namespace, "-o", "json", "--show-managed-fields"
        )
        fields = owned.own_fields(json.loads(live), "kro.run/applyset")
        assert fields is not None
        obj["metadata"]["labels"].pop("kro.run/instance-id")
        found[target.ref.name] = owned.owned_digest(obj, fields)
    history.close()
    return found


def test_a_pinned_instance_stays_until_it_is_unpinned(steps: Steps, operator: Operator) -> None:
    _rolled(steps, _tone("low"), _tone("high", spec={"volume": "integer | default=3"}))
    done = _pin(steps, operator, "pin", "--to", "1")
    assert (done.returncode, "done: each runs the revision it should" in done.stderr) == (0, True), done.stderr
    assert [steps.get("cm", f"{name}-cfg")["data"]["tone"] for name in ("a", "b")] == ["low", "high"]
    steps.apply(_tone("higher", spec={"volume": "integer | default=3"}))
    eventually(lambda: steps.get("cm", "b-cfg")["data"]["tone"], lambda tone: tone == "higher", "rolled out")
    assert steps.get("cm", "a-cfg")["data"]["tone"] == "low"
    assert [condition(steps.get("tone", "a"), name) for name in ("Pinned", "Ready")] == ["True", "True"]
    shown = steps.cluster.kubectl("get", "tones", "-n", steps.cluster.namespace, "-L", "kro.run/pinned-revision")
    assert shown.splitlines()[1].split()[-1] == "1"
    (row,) = json.loads(_history(operator, "pins", "-o", "json").stdout)
    assert (row["object"], row["pinned_to"], row["active"], row["actor"]) == ("tone/a", "tones@1", "tones@3", "admin")

    done = _pin(steps, operator, "unpin")
    assert done.returncode == 0, done.stderr
    assert steps.get("cm", "a-cfg")["data"]["tone"] == "higher"
    assert condition(steps.get("tone", "a"), "Pinned") == ""
    assert faults(operator.database) == []


def _pin(steps: Steps, operator: Operator, command: str, *args: str) -> subprocess.CompletedProcess[str]:
    config = str(steps.cluster.kubeconfig("admin"))
    flags = ("-n", steps.cluster.namespace, "--reason", "not yet", "--yes", "--kubeconfig", config)
    return _history(operator, command, "tone/a", *args, *flags)


def test_the_log_of_another_cluster_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    database = write_incident(f"sqlite:///{tmp_path}/log.db")
    config = str(cluster.kubeconfig("admin"))
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", database, "rollback", "webshop", "--to", "3"]
    flags = ["--reason", "r", "--yes", "--kubeconfig", config]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "this log is of cluster 11111111-2222-4333-8444-555555555555, the kubeconfig leads to" in done.stderr
