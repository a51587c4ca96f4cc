"""A pin by labels on a real API server, by the command line: later instances, labels that are taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, eventually, faults, instance


def _hues(value: str) -> dict[str, Any]:
    node = config_map("cfg", "${schema.metadata.name}-cfg", {"color": value, "key": "${schema.spec.key}"})
    return definition("hues", "Hue", {"key": "string | default=one"}, node)


def _hue(name: str, **labels: str) -> dict[str, Any]:
    found = instance("Hue", name, {})
    found["metadata"]["labels"] = labels
    return found


def _asked(operator: Operator, *question: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("KRO_ES")}
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", operator.database, *question]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _told(operator: Operator, steps: Steps, *order: str) -> None:
    """A command that writes, as an administrator."""
    config = str(steps.cluster.kubeconfig("admin"))
    _asked(operator, *order, "--reason", "a test", "--yes", "--timeout", "60", "--kubeconfig", config)


def _color(steps: Steps, name: str, wanted: str) -> None:
    eventually(
        lambda: steps.get("cm", f"{name}-cfg").get("data", {}).get("color"), lambda it: it == wanted, f"{name} {wanted}"
    )


def _pinned(operator: Operator) -> list[str]:
    return [row["object"] for row in json.loads(_asked(operator, "pins", "-o", "json"))]


def test_a_pin_by_labels_follows_whoever_has_them(steps: Steps, operator: Operator) -> None:
    steps.apply(_hues("red"))
    steps.active("hues")
    steps.apply(_hue("early", tier="gold"), _hue("other"))
    steps.ready("hue", "early")
    steps.apply(_hues("blue"))
    _color(steps, "early", "blue")
    _told(operator, steps, "pin", "hue", "-l", "tier=gold", "-n", steps.cluster.namespace, "--to", "1")
    assert steps.get("cm", "early-cfg")["data"]["color"] == "red"
    steps.apply(_hue("late", tier="gold"))
    _color(steps, "late", "red")
    steps.cluster.kubectl("label", "hue", "early", "tier-", "-n", steps.cluster.namespace)
    _color(steps, "early", "blue")
    eventually(
        lambda: steps.get("hue", "early")["metadata"]["labels"], lambda it: "kro.run/pinned-revision" not in it, "label"
    )
    assert steps.get("hue", "late")["metadata"]["labels"]["kro.run/pinned-revision"] == "1"
    assert _pinned(operator) == ["hue/late", "hue"]
    assert steps.get("cm", "other-cfg")["data"]["color"] == "blue"
    assert faults(operator.database) == []
    _told(operator, steps, "unpin", "hue", "-l", "tier=gold", "-n", steps.cluster.namespace)
    assert (steps.get("cm", "late-cfg")["data"]["color"], _pinned(operator)) == ("blue", [])
