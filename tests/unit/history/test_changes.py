"""Digests are compared under one key only."""

from __future__ import annotations

from kro_es.api.objects import JsonObject
from kro_es.events.redaction import Redactor
from kro_es.history.changes import changes

OLD, NEW = Redactor.of(b"a" * 32), Redactor.of(b"b" * 32)


def _secret(redactor: Redactor, value: str) -> JsonObject:
    return {"data": {"password": redactor.leaf(value), "other": "x"}}


def test_another_value_under_one_key_is_a_change() -> None:
    found = [change["path"] for change in changes(_secret(OLD, "one"), _secret(OLD, "two"))]
    assert found == ["data.password.kro-es/redacted"]
    assert list(changes(_secret(OLD, "one"), _secret(OLD, "one"))) == []


def test_a_new_key_or_a_new_rule_is_none() -> None:
    assert list(changes(_secret(OLD, "one"), _secret(NEW, "two"))) == []
    assert list(changes({"data": {"password": "one", "other": "x"}}, _secret(NEW, "one"))) == []
    assert [change["path"] for change in changes(_secret(OLD, "one"), {"data": {"other": "y"}})] == [
        "data.password",
        "data.other",
    ]
