"""Label selectors match as the API server's do, and what it would refuse is refused with the entry's name."""

from __future__ import annotations

import pytest

from kro_es.api.objects import Gvk, JsonValue, ObjectRef, Resource
from kro_es.api.selector import Selector, SelectorError
from kro_es.api.watch import Watched

GOLD = {"tier": "gold", "env": "prod"}


@pytest.mark.parametrize(
    ("given", "text", "gold", "bare"),
    [
        ({}, "", True, True),
        (None, "", True, True),
        ({"matchLabels": {"tier": "gold", "env": "prod"}}, "env=prod,tier=gold", True, False),
        (
            {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["silver", "gold"]}]},
            "tier in (gold,silver)",
            True,
            False,
        ),
        (
            {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]},
            "tier notin (gold)",
            False,
            True,
        ),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, "tier", True, False),
        ({"matchExpressions": [{"key": "a.b/tier", "operator": "DoesNotExist"}]}, "!a.b/tier", True, True),
    ],
)
def test_a_selector_is_asked_and_written(given: JsonValue, text: str, gold: bool, bare: bool) -> None:
    selector = Selector.parse(given)
    assert (selector.text, selector.matches(GOLD), selector.matches({})) == (text, gold, bare)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"matchExpressions": [{"key": "a", "operator": "Like"}]},
            'matchExpressions[0]: "Like" is not a valid label sel',
        ),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "values: must be set when operator is In"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "values: must be empty"),
        ({"matchLabels": {"a b": "c"}}, "matchLabels: key"),
        ({"matchLabels": {"a": "c,d"}}, 'matchLabels: values: Invalid value: "c,d"'),
        ({"matchLabels": {"a": 1}}, "not a label value"),
        ({"matchLabels": ["a"]}, "matchLabels: must be a map of strings"),
        ("a=b", "a label selector is an object"),
    ],
)
def test_a_wrong_selector_says_where(given: JsonValue, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        Selector.parse(given)
    assert message in str(caught.value)


def test_a_watch_covers_what_it_was_narrowed_to() -> None:
    resource = Resource(Gvk("", "v1", "ConfigMap"), "configmaps", namespaced=True)
    ref = ObjectRef("", "ConfigMap", "n", "x")
    assert Watched(resource).covers(ref, {})
    assert Watched(resource, None, "n", "x").covers(ref, {})
    assert not Watched(resource, None, "n", "y").covers(ref, {})
    assert not Watched(resource, None, "m", "x").covers(ref, {})
    assert not Watched(resource, Selector.parse({"matchLabels": {"a": "b"}})).covers(ref, {})
    assert not Watched(resource).covers(ObjectRef("apps", "ConfigMap", "n", "x"), {})
    assert Watched(resource, Selector.parse({"matchLabels": {"a": "b"}}), "n").text == "namespace=n,a=b"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("tier=gold", "tier=gold"),
        ("tier==gold , env!=dev", "env notin (dev),tier=gold"),
        ("tier in (silver, gold),env", "env,tier in (gold,silver)"),
        ("tier notin (gold),!env", "!env,tier notin (gold)"),
        ("example.com/tier=", "example.com/tier="),
    ],
)
def test_a_selector_is_taken_as_kubectl_takes_it(given: str, text: str) -> None:
    assert Selector.of_text(given).text == text


@pytest.mark.parametrize("given", ["", "a b", "a=b=c", "a in gold", "a in (b", "=b", "a,,b", "!a=b", "-a", "a=$"])
def test_what_is_no_selector_is_told_and_never_selects_everything(given: str) -> None:
    with pytest.raises(SelectorError):
        Selector.of_text(given)
