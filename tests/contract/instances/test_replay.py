"""Decisions made again from the log (every test of this folder ends with that): what cannot be, and is not guessed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kro_es.decisions import children
from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.support.inside import Inside, copied

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${schema.metadata.name}-key"}}


async def test_every_decision_of_a_life_is_made_again_and_is_the_same(inside: Inside) -> None:
    await inside.define(rgd(CFG, {"id": "key", "template": {**SECRET, "stringData": {"password": "a literal"}}}))
    await inside.create(shop(color="red"))
    await inside.edit("Secret", "shop-key", {"data": {"password": "aGFuZA=="}}, manager="mallory")
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    await inside.delete("WebShop", "shop")
    report = inside.replayed()
    assert (report.differences, report.unknown, report.notes) == ([], [], [])
    assert report.sorts["instances"].equal == 10


async def test_what_was_made_of_a_secret_value_is_told_apart_from_a_difference(inside: Inside) -> None:
    reader = cm("copy", {"password": "${string(key.data.password)}"})
    await inside.define(rgd({"id": "key", "template": {**SECRET, "stringData": {"password": "a literal"}}}, reader))
    await inside.create(shop())
    assert inside.data("shop-copy") == {"password": "a literal"}
    report = inside.replayed()
    assert report.differences == []
    assert {why for _, _, why in report.unknown} == {"it depends on a redacted value"}
    assert report.equal > 0


async def test_the_rules_that_redact_are_known_from_the_log(inside: Inside) -> None:
    await inside.end()
    inside.settings = replace(inside.settings, redact=("ConfigMap:data.token",))
    await inside.start()
    await inside.define(rgd(cm("cfg", {"token": "a literal", "color": "${schema.spec.color}"})))
    await inside.create(shop(color="red"))
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    report = inside.replayed()
    assert (report.differences, report.unknown) == ([], [])
    assert report.equal > 0


async def test_what_is_taken_over_with_an_empty_log_is_decided_again(
    inside: Inside, database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"id": "key", "template": {**SECRET, "stringData": {"password": "a literal"}}}
    await inside.define(rgd(CFG, key, cm("next", {"color": "${cfg.data.color}"})))
    await inside.create(shop(color="red"), shop("other", color="blue"))
    await inside.end()
    inside.url = f"sqlite:///{copied(database_template, tmp_path / 'other.db')}"
    await inside.start()
    report = inside.replayed()
    assert (report.differences, report.unknown) == ([], [])
    assert report.sorts["take-overs"].equal == 6
    with monkeypatch.context() as patched:
        patched.setattr(children, "_taken_over", lambda *_: None)
        found = inside.replayed().differences
    assert {item.type for item in found} == {"resource.taken_over"}
    assert {text for item in found for text in item.fields[""]} == {"resource.taken_over", "nothing"}
