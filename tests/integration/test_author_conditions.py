"""An author's own conditions on a real API server: shown instead of kro's, stable, kept while they wait."""

from __future__ import annotations

import json
import time

from tests.support.operator import Operator
from tests.support.steps import Steps, config_map, definition, events, eventually, instance

READY = (
    "${runtime.newCondition({type: 'Ready', status: runtime.condition(schema, 'ResourcesReady').status, "
    "reason: 'Resources', message: 'color ' + cfg.data.color})}"
)
KEYED = "${runtime.newCondition({type: 'Keyed', status: cfg.data[schema.spec.key] == 'yes' ? 'True' : 'False'})}"


def _conditions(steps: Steps) -> dict[str, tuple[str, str]]:
    found = steps.get("painted", "p").get("status", {}).get("conditions", [])
    return {item["type"]: (item["status"], item.get("message", "")) for item in found}


def test_an_authors_conditions_are_shown_and_nothing_else(steps: Steps, operator: Operator) -> None:
    spec = {"color": "string | default=red", "key": "string | default=flag"}
    cfg = config_map("cfg", "${schema.metadata.name}", {"color": "${schema.spec.color}", "flag": "yes"})
    found = definition("painters", "Painted", spec, cfg, status={"conditions": [READY, KEYED]})
    steps.apply(found)
    steps.active("painters")
    steps.apply(instance("Painted", "p", {}))
    wanted = {"Ready": ("True", "color red"), "Keyed": ("True", "")}
    eventually(lambda: _conditions(steps), lambda seen: seen == wanted, "conditions")
    live = steps.get("painted", "p")
    assert live["status"]["state"] == "ACTIVE"
    assert [item["type"] for item in live["status"]["conditions"]] == ["Ready", "Keyed"]
    times = [item["lastTransitionTime"] for item in live["status"]["conditions"]]

    time.sleep(2)  # a transition time that moved would show in whole seconds; and what is measured next is the rest
    length = len(events(operator.database))
    time.sleep(2)  # the time of rest itself
    assert len(events(operator.database)) == length

    steps.apply(instance("Painted", "p", {"color": "blue", "key": "gone"}))
    wanted = {"Ready": ("True", "color blue"), "Keyed": ("True", "")}
    eventually(lambda: _conditions(steps), lambda seen: seen == wanted, "kept")
    live = steps.get("painted", "p")
    assert live["status"]["state"] == "ACTIVE"
    assert [item["lastTransitionTime"] for item in live["status"]["conditions"]] == times
    assert [item["observedGeneration"] for item in live["status"]["conditions"]] == [2, 1]

    del found["spec"]["schema"]["status"]
    steps.apply(found)
    live = steps.ready("painted", "p")
    assert {item["type"] for item in live["status"]["conditions"]} == {
        "InstanceManaged", "GraphResolved", "ResourcesReady", "Ready",
    }  # fmt: skip
    assert "Keyed" not in json.dumps(live["status"])
