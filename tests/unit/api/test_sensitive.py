"""A rule reaches exactly the fields it names, in a hundred letters or fewer."""

from __future__ import annotations

import pytest

from kro_es.api.objects import Gvk
from kro_es.api.sensitive import own_paths, parse, parse_all, reached
from kro_es.errors import UserError
from kro_es.events.redaction import MARK, Redactor, secret_texts

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "annotations": {"vault/a": "one", "other": "two"}},
    "spec": {
        "containers": [
            {"name": "app", "env": [{"name": "DB_PASSWORD", "value": "three"}, {"name": "URL", "value": "four"}]},
            {"name": "side", "env": [{"name": "MY_PASSWORD", "value": "five"}]},
        ]
    },
    "data": {"A_TOKEN": "six", "TOKEN": "seven", "nested": {"B_TOKEN": "eight"}},
}


def _values(text: str) -> list[object]:
    return [value for rule in parse(text) for value in reached(POD, rule.path)]


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("Pod:data.*_TOKEN", ["six"]),
        ("Pod:data.TOKEN", ["seven"]),
        ("Pod:data.*.B_TOKEN", ["eight"]),
        ('*:metadata.annotations["vault/a"]', ["one"]),
        ("*:metadata.annotations[vault/*]", ["one"]),
        ("Pod:spec.containers[app].env[*_PASSWORD].value", ["three"]),
        ("Pod:spec.containers[*].env[*_PASSWORD].value", ["three", "five"]),
        ("Pod:spec.missing.here", []),
    ],
)
def test_a_rule_reaches_what_it_names(rule: str, values: list[object]) -> None:
    assert _values(rule) == values


def test_environment_variables_are_found_in_every_workload() -> None:
    rules = parse("env:*_PASSWORD")
    kinds = [Gvk("apps", "v1", "Deployment"), Gvk("batch", "v1", "CronJob"), Gvk("", "v1", "Pod")]
    assert all(len(own_paths(rules, kind)) == 3 for kind in kinds)
    assert _values("env:*_PASSWORD")[:2] == ["three", "five"]


@pytest.mark.parametrize(
    ("rule", "covered"),
    [("ConfigMap:data.a", True), ("Config*:data.a", True), ("Secret:data.a", False), ("ConfigMap.apps:data.a", False)],
)
def test_a_rule_is_of_kinds_and_groups(rule: str, covered: bool) -> None:
    assert parse(rule)[0].covers("", "ConfigMap") is covered


@pytest.mark.parametrize(
    "text",
    ["", "ConfigMap", ":data.a", "ConfigMap:", "ConfigMap:data.", "ConfigMap:data[", 'ConfigMap:data["a"',
     "ConfigMap:metadata.name", "ConfigMap:kind", "ConfigMap:metadata.labels.a", "ResourceGraphDefinition:spec.schema"],
)  # fmt: skip
def test_a_text_that_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--redact"):
        parse(text)


def test_definitions_are_kept_as_written() -> None:
    assert own_paths(parse("*:spec.schema"), Gvk("kro.run", "v1alpha1", "ResourceGraphDefinition")) == ()


def test_only_what_is_named_is_redacted_and_scrubbed() -> None:
    paths = [rule.path for rule in parse_all(["Pod:data.*_TOKEN", "env:*_PASSWORD"])]
    redacted = Redactor.of(b"k" * 32).redact(POD, paths)
    assert MARK in redacted["data"]["A_TOKEN"]
    assert redacted["data"]["TOKEN"] == "seven"
    assert redacted["spec"]["containers"][0]["env"][1] == {"name": "URL", "value": "four"}
    assert secret_texts(POD, paths) == {"three", "five"}
    assert secret_texts(redacted, paths) == set()


def test_a_secret_is_scrubbed_decoded_and_quoted_too() -> None:
    secret = {"kind": "Secret", "data": {"a": "c2F5ICJoaSI="}}
    assert {"c2F5ICJoaSI=", 'say "hi"', 'say \\"hi\\"'} <= secret_texts(secret, [("data",)])
