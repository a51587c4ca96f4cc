"""A file is compared with what is live, by the log: what it would change, break, and leave waiting."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from kro_es.cli.operator import app, main
from kro_es.errors import KroEsError
from kro_es.events.types import ObjectDeleted
from kro_es.history import backtest
from kro_es.store.engine import open_engine
from tests.support import incident as incidents
from tests.support.incident import Incident, definition
from tests.support.recorder import Recorder, manager

Plan = Callable[..., Result]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four instances of one revision."""
    url = f"sqlite:///{tmp_path_factory.mktemp('live')}/log.db"
    recorder = Recorder(open_engine(url))
    Incident(recorder).roll_out(1, recorder.define(definition("1.0"), manager("alice"), 1), new=True)
    return url


@pytest.fixture
def plan(live: str, tmp_path: Path) -> Plan:
    def planned(obj: Any, *flags: str, database: str = live) -> Result:
        file = tmp_path / "file.yaml"
        file.write_text(yaml.safe_dump(obj))
        return CliRunner().invoke(app, ["plan", "-f", str(file), "--database", database, *flags])

    return planned


def test_what_is_live_already_changes_nothing(plan: Plan) -> None:
    said = plan(definition("1.0"))
    assert (said.exit_code, said.output) == (
        0,
        "definition webshop, compared with revision 1: 0 of 4 instance(s) change\n",
    )


def test_a_change_is_told_for_every_instance_field_by_field_and_counted_by_kind(plan: Plan) -> None:
    said = plan(definition("2.0"), "--limit", "1")
    assert said.exit_code == 2
    assert said.output.splitlines() == [
        "definition webshop, compared with revision 1: 4 of 4 instance(s) change",
        "webshop prod/blog",
        "  deployment prod/blog is updated",
        "    spec.template.spec.containers[app].image: registry.example/shop:1.0 → registry.example/shop:2.0",
        "… and 3 more; --limit shows them, -o json has all",
        "deployment: 4 updated",
    ]
    found = json.loads(plan(definition("2.0"), "-o", "json").output)
    assert (found["instances"], found["by_kind"], len(found["objects"])) == (4, {"deployment": {"changed": 4}}, 4)


def test_objects_that_come_and_go_are_counted(plan: Plan) -> None:
    other = definition("1.0")
    config = other["spec"]["resources"][0]["template"]
    config["metadata"]["name"] = "${schema.metadata.name}-settings"
    said = plan(other)
    assert said.exit_code == 2
    assert "configmap: 4 created, 4 deleted" in said.output


def test_a_schema_that_gets_narrower_breaks(plan: Plan) -> None:
    narrow = definition("1.0")
    narrow["spec"]["schema"]["spec"]["replicas"] = "integer | default=2 maximum=3"
    said = plan(narrow)
    assert said.exit_code == 1
    assert "breaking: .properties.spec.properties.replicas.maximum" in said.output


def test_an_instance_that_no_longer_fits_is_named_and_the_others_are_planned(plan: Plan) -> None:
    narrow = definition("2.0")
    narrow["spec"]["schema"]["spec"]["replicas"] = "integer | default=1 maximum=1"
    said = plan(narrow)
    assert said.exit_code == 1
    assert "waits or fails: webshop prod/shop: does not fit the schema: spec.replicas" in said.output
    assert "deployment: 3 updated" in said.output


def test_a_default_of_the_new_schema_is_what_the_server_would_give(plan: Plan) -> None:
    more = definition("1.0")
    more["spec"]["schema"]["spec"]["colour"] = "string | default=blue"
    more["spec"]["resources"][0]["template"]["data"]["colour"] = "${schema.spec.colour}"
    said = plan(more)
    assert said.exit_code == 2
    assert "data.colour: nothing → blue" in said.output


def test_what_newly_waits_is_told_and_what_waited_before_is_not(plan: Plan) -> None:
    waiting = definition("1.0")
    waiting["spec"]["schema"]["spec"]["note"] = "string"
    waiting["spec"]["resources"][0]["template"]["data"]["note"] = "${schema.spec.note}"
    said = plan(waiting)
    assert said.exit_code == 1
    assert "waits or fails: webshop prod/blog: config: " in said.output


def test_an_instance_is_planned_against_the_active_revision(plan: Plan) -> None:
    meta = {"name": "shop", "namespace": "prod"}
    shop = {"apiVersion": "kro.run/v1alpha1", "kind": "WebShop", "metadata": meta, "spec": {"replicas": 7}}
    said = plan(shop)
    assert said.exit_code == 2
    assert "spec.replicas: 2 → 7" in said.output
    assert "theme" not in said.output, "a default is no change"
    fresh = copy.deepcopy(shop) | {"metadata": {"name": "fresh", "namespace": "prod"}}
    said = plan(fresh)
    assert (said.exit_code, "configmap: 1 created" in said.output) == (2, True)


def test_a_definition_nobody_follows_yet_changes_nothing(plan: Plan) -> None:
    new = definition("1.0")
    new["metadata"]["name"] = "other"
    new["spec"]["schema"]["kind"] = "Other"
    said = plan(new)
    assert (said.exit_code, said.output) == (0, "definition other: new to this log, no instance follows it yet\n")


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        (
            {"apiVersion": "x.test/v1", "kind": "Nope", "metadata": {"name": "thing"}},
            "no active definition in this log makes Nope.x.test",
        ),
        ({"kind": "WebShop"}, "file.yaml: apiVersion is missing"),
        ({**definition(), "spec": {"schema": {}}}, "is not valid"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(obj: Any, text: str, plan: Plan) -> None:
    said = plan(obj)
    assert isinstance(said.exception, KroEsError)
    assert text in str(said.exception)


def _past(plan: Plan, obj: Any, since: str, incident: str) -> Any:
    said = plan(obj, "--since", since, "-o", "json", database=incident)
    return said.exit_code, json.loads(said.output)


def test_a_back_test_goes_over_every_state_of_every_instance_those_gone_by_now_too(plan: Plan, incident: str) -> None:
    said = plan(definition("1.1"), "--since", "1", database=incident)
    assert said.exit_code == 2
    assert said.output.startswith("back-test over ")
    _, found = _past(plan, definition("1.1"), "1", incident)
    states = {row["instance"] for row in found["objects"]}
    assert any("webshop prod/docs at position" in state for state in states), "docs is gone by now"
    changed = {(row["path"], row["old"], row["new"]) for row in found["objects"]}
    image = "spec.template.spec.containers[app].image"
    shop = "registry.example/shop"
    assert changed == {(image, f"{shop}:1.0", f"{shop}:1.1"), (image, f"{shop}:2.0", f"{shop}:1.1")}


def test_a_back_test_begins_where_it_is_told_to_with_what_was_live_then(plan: Plan, incident: str) -> None:
    code, found = _past(plan, definition("1.1"), "2026-03-02T11:30:00Z", incident)
    assert (code, found["objects"], found["instances"]) == (0, [], 4)


def test_a_back_test_finds_past_specs_that_would_not_have_fitted(plan: Plan, incident: str) -> None:
    narrow = definition("1.1")
    narrow["spec"]["schema"]["spec"]["replicas"] = "integer | default=1 maximum=1"
    code, found = _past(plan, narrow, "1", incident)
    assert code == 1
    assert {text.split(" at ")[0] for text in found["problems"]} == {"webshop prod/shop"}


def test_of_many_states_the_first_are_told_and_all_are_counted(
    plan: Plan, incident: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, every = _past(plan, definition("1.1"), "1", incident)
    monkeypatch.setattr(backtest, "_KEPT", 2)
    fewer = _past(plan, definition("1.1"), "1", incident)
    assert fewer[0] == code
    assert (fewer[1]["only_counted"], every["only_counted"]) == (every["instances"] - 2, 0)
    assert {row["instance"] for row in fewer[1]["objects"]} < {row["instance"] for row in every["objects"]}
    assert all(fewer[1][name] == every[name] for name in ("instances", "changed", "by_kind"))


def test_a_definition_that_was_deleted_and_made_again_has_the_past_of_both(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    recorder = Recorder(open_engine(url))
    first = Incident(recorder)
    first.instances = first.instances[:1]
    alice = manager("alice")
    first.roll_out(1, recorder.define(definition("1.0"), alice, 1), new=True)
    recorder.gone(recorder.last(definition("1.0")), ObjectDeleted())
    monkeypatch.setattr(incidents, "DEFINITION_UID", "another-uid")
    again = recorder.define(definition("2.0"), alice, 1)
    first.roll_out(1, again)

    _, found = _past(plan, definition("3.0"), "1", url)
    shop = "registry.example/shop"
    assert {(row["old"], row["new"]) for row in found["objects"]} == {
        (f"{shop}:1.0", f"{shop}:3.0"),
        (f"{shop}:2.0", f"{shop}:3.0"),
    }


def test_what_waits_or_fails_is_told_up_to_the_limit_and_counted(plan: Plan) -> None:
    other = definition("1.0")
    other["spec"]["schema"]["kind"] = "Other"
    said = plan(other, "--limit", "1")
    assert said.exit_code == 1
    told = [line for line in said.output.splitlines() if line.startswith("waits or fails")]
    assert len(told) == 2
    assert "the instance must be a Other of kro.run/v1alpha1" in told[0]
    assert told[1] == "waits or fails: 3 more; --limit shows them"
    assert said.output.count("the instance must be a Other") == 1
    assert plan(other, "--limit", "4").output.count("the instance must be a Other") == 4


def test_a_back_test_needs_a_past(plan: Plan, incident: str) -> None:
    other = definition("1.0")
    other["metadata"]["name"] = "other"
    assert "there is no past to test with" in str(plan(other, "--since", "1", database=incident).exception)
    shop = {"apiVersion": "kro.run/v1alpha1", "kind": "WebShop", "metadata": {"name": "shop"}, "spec": {}}
    assert "a back-test is of a definition" in str(plan(shop, "--since", "1", database=incident).exception)


def test_an_instance_whose_file_names_no_namespace_is_the_one_kubectl_would_apply(plan: Plan) -> None:
    file = {"apiVersion": "kro.run/v1alpha1", "kind": "WebShop", "metadata": {"name": "blog"}, "spec": {"replicas": 3}}
    said = plan(file)
    assert said.output.startswith("instance webshop default/blog, compared with revision 1: 1 of 1 instance(s) change")
    assert "deployment default/blog is created" in said.output
    said = plan(file, "-n", "prod")
    assert said.output.startswith("instance webshop prod/blog, compared with revision 1")
    assert "created" not in said.output
    assert "spec.replicas: 1 → 3" in said.output


def test_a_command_that_is_typed_wrong_is_no_plan_that_changes_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["kro-es", "plan"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "kro-es plan --help tells more" in capsys.readouterr().err
