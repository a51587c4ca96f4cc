"""Definitions whose fate only an API server can tell: vectors 54, 58 and 73, and the safety of instances (spec/01 §7.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.contract.definitions.rows import BREAKING
from tests.support.api import Api, Object, vectors
from tests.support.steps import Steps, condition, config_map, definition, eventually, instance, message, settled

VECTORS = Path(__file__).parents[1] / "unit" / "schema" / "vectors.json"


def test_what_the_server_refuses_of_a_generated_kind(steps: Steps) -> None:
    """Vector 54 and those of spec/01 §1.9, in the server's words; a default that is no JSON is told before it is sent."""
    found = vectors(VECTORS, "apply-rgd")
    steps.apply(*(vector["input"] for vector in found))
    objects = _definitions(steps, len(found), lambda obj: condition(obj, "Ready") in ("True", "False"))
    for vector in found:
        name, expected = vector["input"]["metadata"]["name"], vector["expected"]
        accepted, kind = (message(objects[name], type_) for type_ in ("GraphAccepted", "KindReady"))
        assert objects[name]["status"]["state"] == expected["state"], name
        if "cannot be handled" in expected.get("KindReadyMessage", "") or "unsupported value" in str(expected):
            assert "default value is not valid JSON" in accepted or "must be a finite number" in accepted, name
            continue
        assert condition(objects[name], "GraphAccepted") == expected["GraphAccepted"], name
        assert expected.get("GraphAcceptedMessage", "") in accepted, name
        assert expected.get("KindReadyMessageContains", "") in kind, name
        assert expected.get("KindReadyMessage", "") in kind, name


def _definitions(steps: Steps, count: int, good: Callable[[Object], bool]) -> dict[str, Object]:
    """By name, once that many are good; all of them with each question, since kubectl takes its time."""

    def look() -> dict[str, Object]:
        return {obj["metadata"]["name"]: obj for obj in steps.items("rgd")}

    return eventually(look, lambda found: sum(map(good, found.values())) == count, f"{count} definitions")


def test_instances_get_the_defaults_of_their_kind(steps: Steps) -> None:
    """Vector 58"""
    found = vectors(VECTORS, "instance-admission")
    definitions = {vector["input"]["rgd"]["metadata"]["name"]: vector["input"]["rgd"] for vector in found}
    steps.apply(*definitions.values())
    for name in definitions:
        steps.active(name)
    with Api(steps.cluster.kubeconfig()) as api:
        for vector in found:
            obj, expected = vector["input"]["instance"], vector["expected"]
            path = f"/apis/kro.run/v1alpha1/namespaces/default/{obj['kind'].lower()}s"
            if expected["accepted"]:
                assert api.try_out(path, obj).get("spec") == expected["spec"]
            else:
                assert expected["message"] in api.refusal(path, obj)


def test_status_fields_as_the_generated_kind_lets_them_through(steps: Steps) -> None:
    """Vector 73: what the schema does not name is pruned, an untyped field is kept."""
    extra = {"e": "${schema.spec.extra}", "f": "${schema.spec.extra.foo}"}
    steps.apply(definition("extras", "Extra", {"extra": "object"}, status=extra))
    steps.active("extras")
    steps.apply(instance("Extra", "x", {"extra": {"foo": {"a": 1}, "bar": 2}}))
    status = steps.ready("extra", "x")["status"]
    assert (status["e"], status["f"]) == ({}, {"a": 1})


def test_an_instance_outlives_every_edit_that_would_break_it(steps: Steps) -> None:
    """Each row of §7.5: refused, and what was written before is read, edited and reconciled as before."""
    child = config_map("c", "${schema.metadata.name}", {"note": "${schema.metadata.?labels['note'].orValue('none')}"})
    rows = [(f"row{number}", f"Row{number}", *row[1:]) for number, row in enumerate(BREAKING)]
    kinds = ",".join(f"{name}s" for name, *_ in rows)
    steps.apply(*(definition(name, kind, old, child) for name, kind, old, *_ in rows))
    _definitions(steps, len(rows), lambda obj: condition(obj, "Ready") == "True")
    steps.apply(*(instance(kind, name, spec) for name, kind, *_, spec in rows))
    before = _specs(eventually(lambda: steps.items(kinds), lambda found: _all_settled(found, rows), "ready"))
    steps.apply(*(definition(name, kind, new, child) for name, kind, _, new, *_ in rows))
    refused = _definitions(steps, len(rows), lambda obj: condition(obj, "KindReady") == "False")
    for name, _, _, _, text, _ in rows:
        assert text in message(refused[name], "KindReady")
    steps.apply(*(_labelled(instance(kind, name, spec)) for name, kind, *_, spec in rows))
    eventually(
        lambda: [obj for obj in steps.items("configmap") if obj["data"] == {"note": "after"}],
        lambda found: len(found) == len(rows),
        "reconciled after the refusal",
    )
    after = eventually(lambda: steps.items(kinds), lambda found: _all_settled(found, rows), "ready again")
    assert _specs(after) == before


def _all_settled(found: list[Object], rows: Sequence[object]) -> bool:
    return len(found) == len(rows) and all(settled(obj) for obj in found)


def _specs(found: list[Object]) -> dict[str, Object]:
    return {obj["metadata"]["name"]: obj["spec"] for obj in found}


def _labelled(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "labels": {"note": "after"}}}
