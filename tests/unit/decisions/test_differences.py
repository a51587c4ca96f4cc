"""What people are told of a drift: the fields somebody changed, not those the server writes in its own way."""

from __future__ import annotations

from typing import Any

import pytest

from kro_es.decisions.differences import differences

PORT = {"f:port": {}, "f:name": {}}
FIELDS = {
    "f:spec": {
        "f:cpu": {},
        "f:on": {},
        "f:ports": {
            'k:{"port":53,"protocol":"TCP"}': PORT,
            'k:{"port":53,"protocol":"UDP"}': {**PORT, "f:protocol": {}},
        },
        "f:tags": {'v:"one"': {}, 'v:"two"': {}},
        "f:whole": {},
    }
}
WANTED: dict[str, Any] = {
    "spec": {
        "cpu": "1000m",
        "on": False,
        "ports": [{"port": 53, "name": "tcp"}, {"port": 53, "protocol": "UDP", "name": "udp"}],
        "tags": ["one", "two"],
        "whole": [1, 2],
    }
}
LIVE: dict[str, Any] = {
    "spec": {
        "cpu": "1",
        "ports": [
            {"port": 80, "protocol": "TCP", "name": "theirs"},
            {"port": 53, "protocol": "UDP", "name": "udp"},
            {"port": 53, "protocol": "TCP", "name": "tcp"},
        ],
        "tags": ["injected", "one", "two"],
        "whole": [1, 2],
    }
}


def spec(**changed: Any) -> dict[str, Any]:
    return {"spec": {**LIVE["spec"], **changed}}


@pytest.mark.parametrize(
    ("live", "path", "was", "became"),
    [
        (spec(whole=[1, 3]), "spec.whole[1]", 2, 3),
        (spec(whole=[1, 2, 3]), "spec.whole", [1, 2], [1, 2, 3]),
        (spec(tags=["injected", "two"]), "spec.tags[0]", "one", None),
        (spec(ports=LIVE["spec"]["ports"][:2]), "spec.ports[0]", {"port": 53, "name": "tcp"}, None),
        (spec(ports=[*LIVE["spec"]["ports"][:2], {"port": 53, "protocol": "TCP", "name": "x"}]), "spec.ports[0].name", "tcp", "x"),
        (spec(cpu="1500m"), "spec.cpu", "1000m", "1500m"),
        (spec(on=True), "spec.on", False, True),
    ],
)  # fmt: skip
def test_one_change_is_told_alone(live: dict[str, Any], path: str, was: Any, became: Any) -> None:
    assert differences(WANTED, live, FIELDS) == [{"path": path, "from": was, "to": became}]


def test_what_reads_differently_counts_when_there_is_nothing_else() -> None:
    assert [change["path"] for change in differences(WANTED, LIVE, FIELDS)] == ["spec.cpu", "spec.on"]


def test_a_number_in_a_text_is_compared_as_it_is_written_where_it_is_the_change() -> None:
    wanted, live = {"data": {"n": "1000m", "m": "x"}}, {"data": {"n": "1", "m": "x"}}
    assert differences(wanted, live, {}) == [{"path": "data.n", "from": "1000m", "to": "1"}]
