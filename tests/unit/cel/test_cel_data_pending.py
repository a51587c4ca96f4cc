"""Missing data is told apart from mistakes, with the path that is waited for."""

from __future__ import annotations

import pytest
from cel_site import bindings, on_site, value_of, variables

from kro_es.cel.errors import DataPending, EvaluationError


@pytest.mark.parametrize(
    ("text", "message", "path"),
    [
        ("dep.status.availableReplicas", "no such key: status", "dep.status"),
        ("has(dep.status.availableReplicas)", "no such key: status", "dep.status"),
        ("schema.spec.ports[3].number", "index out of bounds: 3", "schema.spec.ports[3]"),
        ("schema.spec.tags[-1]", "index out of bounds: -1", "schema.spec.tags[-1]"),
        ('schema.spec.labels["tier"]', "no such key: tier", "schema.spec.labels[tier]"),
        ("schema.spec.labels.tier", "no such key: tier", "schema.spec.labels.tier"),
        ("dyn(schema.spec).nope", "no such key: nope", "nope"),
        ("schema.spec.nested.gone", "no such key: gone", "schema.spec.nested.gone"),
        ("pods.map(p, p.status.podIP)", "no such key: podIP", "p.status.podIP"),
    ],
)
def test_missing_data_is_pending(text: str, message: str, path: str) -> None:
    with pytest.raises(DataPending) as caught:
        on_site(text)
    assert (str(caught.value), caught.value.path) == (message, path)


def test_an_unobserved_variable_is_pending() -> None:
    bound = bindings({})
    del bound["dep"]
    with pytest.raises(DataPending, match="no such attribute") as caught:
        value_of("dep.metadata.name", variables(), bound)
    assert caught.value.path == "dep"


@pytest.mark.parametrize(
    "text",
    ["1 / 0", "1 % 0", "9223372036854775807 + 1", 'int("x")', "dyn(1) + 1.5", "optional.none().value()", "[].max()"],
)
def test_mistakes_are_hard(text: str) -> None:
    with pytest.raises(EvaluationError):
        value_of(text)


def test_a_null_property_is_absent() -> None:
    dep = {"metadata": {"labels": None}, "status": None}
    assert on_site("has(dep.status)", dep=dep) is False
    assert on_site("dep.metadata.?labels.orValue({})", dep=dep) == {}
    with pytest.raises(DataPending):
        on_site("dep.metadata.labels", dep=dep)


def test_null_in_an_open_object_is_a_value() -> None:
    assert on_site("schema.spec.nested.n") is None
    assert on_site("has(schema.spec.nested.n)") is True


def test_an_error_is_absorbed_by_a_decision_on_either_side() -> None:
    assert on_site("schema.spec.enabled || dep.status.availableReplicas > 0") is True
    assert on_site("dep.status.availableReplicas > 0 || schema.spec.enabled") is True
    assert on_site("!schema.spec.enabled && 1 / 0 > 0") is False
    with pytest.raises(DataPending):
        on_site("dep.status.availableReplicas > 0 && schema.spec.enabled")


def test_what_contradicts_its_schema_is_hard() -> None:
    for broken in ("text", 3, ["x"]):
        with pytest.raises(EvaluationError):
            on_site("cm.data.a", cm={"data": broken})
    with pytest.raises(EvaluationError):
        on_site("cm.data.a", cm={"data": {"a": 3}})
