"""What a CRD drops of an object made for another one: fields, whole maps, other types; never what it has room for."""

from __future__ import annotations

from typing import Any

import pytest

from kro_es.schema.pruned import pruned, unserved

STRING = {"type": "string"}


def _crd(spec: dict[str, Any], version: str = "v1") -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": spec}}
    return {"spec": {"versions": [{"name": version, "schema": {"openAPIV3Schema": schema}}]}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


@pytest.mark.parametrize(
    ("wanted", "served", "lacking"),
    [
        (_object(a=STRING), _object(a=STRING, b=STRING), ()),
        (_object(a=STRING, b=STRING), _object(a=STRING), ("spec.b",)),
        (_object(a=_object(b=STRING)), _object(a=_object(c=STRING)), ("spec.a.b",)),
        (_object(a=STRING), _object(a={"type": "integer"}), ("spec.a (string)",)),
        (_object(a=_list(_object(b=STRING))), _object(a=_list(_object())), ("spec.a[].b",)),
        (_object(a=STRING), {"type": "object", "additionalProperties": STRING}, ()),
        (_object(a=STRING), {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, ()),
        ({"type": "object", "additionalProperties": STRING}, _object(a=STRING), ("spec.*",)),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, _object(a=STRING), ("spec.*",)),
        (
            {"type": "object", "additionalProperties": _object(b=STRING)},
            {"type": "object", "additionalProperties": _object()},
            ("spec.*.b",),
        ),
    ],
)  # fmt: skip
def test_what_is_lacking_is_named(wanted: dict[str, Any], served: dict[str, Any], lacking: tuple[str, ...]) -> None:
    assert unserved(_crd(wanted), _crd(served)) == lacking
    assert unserved(_crd(wanted), _crd(wanted)) == ()


def test_another_version_is_another_api() -> None:
    assert unserved(_crd(_object(), "v1"), _crd(_object(), "v2")) == ("version v1",)


def test_what_a_schema_has_not_is_pruned_at_any_depth() -> None:
    leaf = {"type": "string"}
    schema = {
        "properties": {
            "name": leaf,
            "items": {"items": {"properties": {"a": leaf}}},
            "tags": {"additionalProperties": leaf},
            "free": {"x-kubernetes-preserve-unknown-fields": True},
        }
    }
    value = {"name": "n", "team": "web", "items": [{"a": "1", "b": "2"}], "tags": {"x": "y"}, "free": {"any": 1}}
    assert pruned(value, schema) == {"name": "n", "items": [{"a": "1"}], "tags": {"x": "y"}, "free": {"any": 1}}
    assert pruned({"a": 1}, {"additionalProperties": True}) == {"a": 1}
