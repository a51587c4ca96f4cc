"""What a rollback would do, foretold from the log alone: objects, fields, risks, and what cannot be put back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kro_es.api.objects import Gvk, Resource
from kro_es.errors import UserError
from kro_es.history import plan, targets, whole
from kro_es.history.source import History, open_history
from kro_es.history.whole import Rollback
from kro_es.store.engine import open_engine
from tests.support.incident import END, Incident, definition
from tests.support.recorder import Recorder, manager
from tests.unit.graph.kinds import KINDS
from tests.unit.history.conftest import Ask

ALICE = manager("alice")


def _history(tmp_path: Path, *edits: dict[str, object]) -> History:
    """Two instances of revision 1, then one revision an edit; nothing follows those yet."""
    url = f"sqlite:///{tmp_path}/log.db"
    engine = open_engine(url)
    recorder = Recorder(engine)
    incident = Incident(recorder)
    incident.instances = incident.instances[:2]
    incident.roll_out(1, recorder.define(definition("1.0"), ALICE, 1), new=True)
    for number, edit in enumerate(edits, 2):
        recorder.define(edit, ALICE, number)
    engine.dispose()
    return open_history(url, END)


def _planned(history: History, to: int) -> Rollback:
    return whole.of(history, targets.find(history, "webshop"), whole.Wanted(str(to)), KINDS)


def test_every_object_of_every_instance_is_foretold_field_by_field(tmp_path: Path) -> None:
    made = _planned(_history(tmp_path, definition("1.1"), definition("1.0"), definition("2.0")), 2)
    assert made.counts() == {"created": 0, "updated": 2, "deleted": 0}
    (difference,) = made.forecasts[0].differences
    assert difference.object == "deployment prod/blog"
    assert [(one["path"], one["old"], one["new"]) for one in difference.fields] == [
        ("spec.template.spec.containers[app].image", "registry.example/shop:2.0", "registry.example/shop:1.1")
    ]
    assert made.risks == ()


def test_a_node_the_old_revision_lacks_is_a_deletion_and_a_risk(tmp_path: Path) -> None:
    without = definition("1.0")
    without["spec"]["resources"] = without["spec"]["resources"][1:]
    made = _planned(_history(tmp_path, without, definition("1.0")), 2)
    assert made.counts() == {"created": 0, "updated": 0, "deleted": 2}
    (risk,) = made.risks
    assert risk.name == "deletes-objects"
    assert risk.details[0] == "configmap prod/blog-config of webshop prod/blog"
    assert made.refused(set()) == (risk,)
    assert made.refused({"deletes-objects"}) == ()


def test_a_node_only_the_old_revision_has_is_created(tmp_path: Path) -> None:
    more = definition("1.0")
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${schema.metadata.name}-more"}}
    more["spec"]["resources"].append({"id": "more", "template": extra})
    made = _planned(_history(tmp_path, more, definition("1.0")), 2)
    assert made.counts() == {"created": 2, "updated": 0, "deleted": 0}


def test_a_field_the_instances_lose_is_a_breaking_change(tmp_path: Path) -> None:
    narrow = definition("1.0")
    del narrow["spec"]["schema"]["spec"]["theme"]
    narrow["spec"]["resources"][0]["template"]["data"] = {"theme": "fixed"}
    made = _planned(_history(tmp_path, narrow, definition("1.0")), 2)
    assert [risk.name for risk in made.risks] == ["breaking-change"]
    assert made.risks[0].details == (".properties.spec.properties.theme: Property theme was removed",)


def test_without_schemas_the_plan_says_what_it_does_not_know(tmp_path: Path) -> None:
    history = _history(tmp_path, definition("1.1"))
    made = plan.of_definition(history, targets.find(history, "webshop"), 1, None)
    assert [change["path"] for change in made.changes]
    assert made.forecasts == ()
    assert made.notes == ("no cluster was asked: what becomes of the objects is not foreseen",)


def test_a_revision_that_no_longer_compiles_is_refused_with_its_faults(tmp_path: Path) -> None:
    history = _history(tmp_path, definition("1.1"))
    kinds = {gvk: schema for gvk, schema in KINDS.items() if gvk.kind != "Deployment"}
    with pytest.raises(UserError, match="revision 1 of webshop does not compile against this cluster"):
        plan.of_definition(history, targets.find(history, "webshop"), 1, kinds)


def test_the_plan_of_one_instance_is_its_spec_and_its_children(history: History) -> None:
    target = targets.find(history, "webshop/shop", "prod")
    made = plan.of_instance(history, target, "10", KINDS)
    assert made.changes == ()
    assert made.base == 155


def test_an_instance_goes_back_to_what_it_was_at_a_time_a_position_or_a_revision(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    engine = open_engine(url)
    recorder = Recorder(engine)
    incident = Incident(recorder)
    shop = incident.instances[0]
    incident.instances = [shop]
    incident.roll_out(1, recorder.define(definition("1.0"), ALICE, 1), new=True)
    before = recorder.log.head()
    recorder.wait(60)
    recorder.see({**recorder.last(shop), "spec": {"replicas": 9, "theme": "light"}}, ALICE)
    engine.dispose()
    history = open_history(url, END)
    target = targets.find(history, "webshop/shop", "prod")
    for moment in (str(before), "2026-03-02T09:00:30Z", "webshop@1"):
        made = plan.of_instance(history, target, moment, KINDS)
        assert made.changes == ({"path": "replicas", "change": "changed", "old": 9, "new": 2},)
        assert [one.object for one in made.forecasts[0].differences] == ["deployment prod/shop"]
        assert made.risks == ()


def test_going_back_into_a_gap_is_a_risk(history: History) -> None:
    target = targets.find(history, "webshop/shop", "prod")
    made = plan.of_instance(history, target, "2026-03-02T11:12:00Z", KINDS)
    assert [risk.name for risk in made.risks] == ["blind-spot"]
    assert plan.of_instance(history, target, "2026-03-02T11:17:00Z", KINDS).risks == ()


def test_an_instance_that_is_gone_is_made_again_as_a_person_would_apply_it(history: History) -> None:
    target = targets.find(history, "webshop/docs", "prod")
    made = plan.of_instance(history, target, "20", KINDS, spec_only=True)
    assert made.again == {
        "apiVersion": "kro.run/v1alpha1",
        "kind": "WebShop",
        "metadata": {"name": "docs", "namespace": "prod"},
        "spec": {"replicas": 1, "theme": "light"},
    }
    assert sorted(one.object for one in made.forecasts[0].differences) == [
        "configmap prod/docs-config", "deployment prod/docs",
    ]  # fmt: skip
    assert {one.change for one in made.forecasts[0].differences} == {"created"}
    assert made.notes[0] == "webshop prod/docs is gone: it is made again, with another uid"
    pinned = plan.of_instance(history, target, "20", KINDS).again
    assert pinned is not None
    assert pinned["metadata"]["labels"] == {"kro.run/pinned-revision": "1"}
    assert pinned["metadata"]["annotations"]["kro.run/pinned"].startswith("revision 1@")


def test_a_volume_that_is_made_again_is_empty_and_a_risk(tmp_path: Path) -> None:
    more = definition("1.0")
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "${schema.metadata.name}-data"}}
    more["spec"]["resources"].append({"id": "data", "template": claim})
    history = _history(tmp_path, more, definition("1.0"))
    claims = Gvk("", "v1", "PersistentVolumeClaim")
    kinds = {**KINDS, claims: replace(KINDS[Gvk("", "v1", "ConfigMap")], resource=Resource(claims, "pvcs", True))}
    (risk,) = whole.of(history, targets.find(history, "webshop"), whole.Wanted("2"), kinds).risks
    assert risk.name == "lost-data"
    assert risk.details[0] == "persistentvolumeclaim prod/blog-data of webshop prod/blog"


def test_a_definition_goes_back_to_the_revision_of_a_time(history: History) -> None:
    target = targets.find(history, "webshop")
    made = whole.of(history, target, whole.Wanted("2026-03-02T11:10:00Z"), KINDS)
    assert [(step.to, step.base) for step in made.steps] == [(3, 4)]
    with pytest.raises(UserError, match="webshop had no active revision at position 3"):
        whole.of(history, target, whole.Wanted("2026-03-02T09:00:10.1Z"), KINDS)


def test_a_dry_run_without_a_cluster_ends_with_two_and_prints_the_plan(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    said = ask("rollback", "webshop", "--to", "3", "--reason", "again", "--dry-run")
    assert said.code == 2
    assert "resourcegraphdefinition webshop: revision 4 → content of revision 3" in said.out
    assert "no cluster was asked" in said.err
    assert ask("rollback", "webshop", "--to", "2", "--reason", "again", "--dry-run").code == 0
    assert ask("rollback", "webshop", "--to", "3", "--reason", "again", "--yes").code == 1
