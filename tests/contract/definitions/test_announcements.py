"""Kubernetes Events about definitions: one per change, none at rest; the cluster's refusal of one stops nothing."""

from __future__ import annotations

from kro_es.errors import ApiError
from tests.contract.definitions.steps import CM, condition, put, state, things
from tests.support.fake_cluster import Fault
from tests.support.inside import Inside
from tests.support.steps import config_map

WRONG = config_map("a", "x", {"v": "${schema.spec.nope}"})


def _said(inside: Inside) -> list[tuple[str, str, str]]:
    found = [obj for ref, obj in inside.server.objects.items() if ref.kind == "Event"]
    ordered = sorted(found, key=lambda obj: int(obj["metadata"]["resourceVersion"]))
    return [(obj["type"], obj["reason"], obj["message"]) for obj in ordered]


async def test_each_change_is_said_once(inside: Inside) -> None:
    await put(inside, things(CM, spec={"a": "string", "b": "string"}))
    assert _said(inside) == [
        ("Normal", "RevisionIssued", "revision 1 issued"),
        ("Normal", "RevisionActivated", "revision 1 is active, 0 instances follow it"),
    ]
    await put(inside, things(WRONG))
    await put(inside, things(CM))
    refused = "cannot update CRD things.kro.run: breaking changes detected: Property b was removed"
    assert [reason for _, reason, _ in _said(inside)[2:]] == ["InvalidResourceGraph", "RevisionIssued", "KindNotReady"]
    assert _said(inside)[2][2] == "" or "undefined field 'nope'" in _said(inside)[2][2]
    assert _said(inside)[-1] == ("Warning", "KindNotReady", refused)
    before = _said(inside)
    await inside.pass_time()
    await inside.restart()
    assert _said(inside) == before


async def test_an_event_names_its_definition(inside: Inside) -> None:
    await put(inside, things(CM))
    live = inside.get("ResourceGraphDefinition", "things")
    event = next(obj for ref, obj in inside.server.objects.items() if ref.kind == "Event")
    about = event["involvedObject"]
    assert (about["kind"], about["name"], about["uid"]) == (
        "ResourceGraphDefinition",
        "things",
        live["metadata"]["uid"],
    )
    assert (event["metadata"]["namespace"], event["source"]["component"]) == ("default", "kro-es")


async def test_a_long_message_is_cut(inside: Inside) -> None:
    many = [config_map(f"r{number}", "x", {"v": "${schema.spec.nopé}"}) for number in range(60)]
    await put(inside, things(*many))
    ((_, _, message),) = _said(inside)
    assert len(message.encode()) <= 1024
    assert message.endswith(" ...")
    assert len(condition(inside, "GraphAccepted")[2]) > 1024


async def test_an_event_that_is_refused_stops_nothing(inside: Inside) -> None:
    assert inside.controller is not None
    denied = Fault("before", ApiError(403, "Forbidden", "denied"))
    inside.controller.connection.fault = lambda call: denied if call.ref.kind == "Event" else None
    await put(inside, things(CM))
    assert (state(inside), _said(inside)) == ("Active", [])
