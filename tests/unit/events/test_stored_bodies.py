"""Stored payloads are read strictly: known types, known fields, every older version."""

from __future__ import annotations

import pytest

from kro_es.api.objects import JsonObject
from kro_es.events import codec
from kro_es.events.codec import CodecError, decode, encode
from kro_es.events.types import InstanceGone, NodeReport, ReconcileDecided, WatchGap, Write


def test_nested_values_come_back_as_their_types() -> None:
    write = Write(0, "apply", "apps", "v1", "Deployment", "default", "web")
    body = ReconcileDecided(at=1, position=2, inputs=(), writes=(write,), nodes=(NodeReport("web", "SYNCED"),))
    name, version, payload = encode(body)
    assert (name, version) == ("reconcile.decided", 1)
    assert payload["writes"][0]["verb"] == "apply"
    assert decode(name, version, payload) == body


def test_a_field_added_later_has_its_default() -> None:
    payload = encode(ReconcileDecided(at=1, position=2, inputs=(), writes=()))[2]
    del payload["why"]
    assert decode("reconcile.decided", 1, payload) == ReconcileDecided(at=1, position=2, inputs=(), writes=())


@pytest.mark.parametrize(
    ("name", "version", "payload"),
    [
        ("instance.vanished", 1, {}),
        ("instance.gone", 2, {"definition_uid": "d"}),
        ("instance.gone", 1, {}),
        ("instance.gone", 1, {"definition_uid": "d", "unknown": 1}),
    ],
    ids=["type", "version", "missing field", "unknown field"],
)
def test_what_is_not_known_is_refused(name: str, version: int, payload: JsonObject) -> None:
    with pytest.raises(CodecError):
        decode(name, version, payload)


def test_older_versions_are_lifted_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codec.VERSIONS, "instance.gone", 3)
    upcasters = {
        ("instance.gone", 1): lambda payload: {"definition": payload["rgd"]},
        ("instance.gone", 2): lambda payload: {"definition_uid": payload["definition"]},
    }
    assert decode("instance.gone", 1, {"rgd": "d"}, upcasters) == InstanceGone("d")
    assert decode("instance.gone", 2, {"definition": "d"}, upcasters) == InstanceGone("d")
    assert encode(InstanceGone("d"))[1] == 3


def test_every_type_has_a_name_of_its_own() -> None:
    assert len(codec.TYPES) == len({cls.__name__ for cls in codec.TYPES.values()})
    assert codec.TYPES["watch.gap"] is WatchGap
