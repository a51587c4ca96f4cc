"""Types follow from schemas, decide what goes where, and become schemas again."""

from __future__ import annotations

import pytest
from cel_site import kind, value_of, variables

from kro_es.cel.checker import check
from kro_es.cel.errors import CelError
from kro_es.cel.parser import parse
from kro_es.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    CelType,
    ListType,
    MapType,
    OptionalType,
    StructType,
    assignable,
    escape,
    from_openapi,
    to_openapi,
    type_name,
)
from kro_es.schema.openapi import Schema


def type_of(text: str) -> CelType:
    return check(parse(text), variables()).result_type


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "format": "int64"}, INT),
        ({"type": "number"}, DOUBLE),
        ({"type": "string", "format": "byte"}, BYTES),
        ({"type": "string", "format": "date"}, TIMESTAMP),
        ({"type": "string", "format": "duration"}, DURATION),
        ({"type": "string", "format": "hostname"}, STRING),
        ({"x-kubernetes-int-or-string": True}, DYN),
        ({"type": "array", "items": {"type": "boolean"}}, ListType(BOOL)),
        ({"type": "array"}, None),
        ({"type": "array", "items": {}}, None),
        ({"type": "object", "additionalProperties": {"type": "string"}}, MapType(STRING, STRING)),
        ({"type": "object", "additionalProperties": {}}, MapType(STRING, DYN)),
        ({"oneOf": [{"type": "string"}, {"type": "number"}]}, None),
        ({"x-kubernetes-preserve-unknown-fields": True}, None),
    ],
)
def test_schemas_give_types(schema: dict[str, object], expected: CelType | None) -> None:
    assert from_openapi(Schema(schema), "__type_x") == expected


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("plain", "plain"),
        ("namespace", "__namespace__"),
        ("my-key", "my__dash__key"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
        ("1x", None),
        ("é", None),
        ("a b", None),
    ],
)
def test_property_names_are_escaped(key: str, name: str | None) -> None:
    assert escape(key) == name


def test_reserved_words_may_follow_a_dot() -> None:
    assert type_of("schema.metadata.namespace") == STRING
    assert type_of("schema.metadata.__namespace__") == STRING


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("schema.spec", "__type_schema.spec"),
        ("schema.spec.ports[0]", "__type_schema.spec.ports.@idx"),
        ("pods", "list(__type_pods)"),
        ("schema.spec.nested.anything", "dyn"),
        ("schema.spec.?replicas", "optional_type(int)"),
        ("dep.metadata.?labels.a", "optional_type(string)"),
        ("dep.metadata.creationTimestamp", "google.protobuf.Timestamp"),
        ("[]", "list(dyn)"),
        ('[1, "a"]', "list(dyn)"),
        ("[[], [1]]", "list(list(int))"),
        ("true ? 1 : dyn('x')", "dyn"),
        ("schema.spec.ports.map(p, p.number)", "list(int)"),
    ],
)
def test_expressions_have_printable_types(text: str, name: str) -> None:
    assert type_name(type_of(text)) == name


@pytest.mark.parametrize(
    ("output", "expected", "why"),
    [
        (STRING, STRING, None),
        (DYN, STRING, None),
        (STRING, DYN, None),
        (OptionalType(INT), INT, None),
        (INT, STRING, 'type kind mismatch: got "int", expected "string"'),
        (INT, DOUBLE, 'type kind mismatch: got "int", expected "double"'),
        (TIMESTAMP, STRING, 'type kind mismatch: got "google.protobuf.Timestamp", expected "string"'),
        (NULL, ListType(STRING), "list parameter count mismatch: got 0, expected 1"),
        (MapType(STRING, INT), ListType(STRING), None),
        (ListType(DYN), ListType(STRING), None),
        (
            MapType(STRING, INT),
            MapType(STRING, STRING),
            'map value type incompatible: type kind mismatch: got "int", expected "string"',
        ),
        (
            MapType(INT, INT),
            MapType(STRING, INT),
            'map key type incompatible: type kind mismatch: got "int", expected "string"',
        ),
    ],
)
def test_assignment_says_why_not(output: CelType, expected: CelType, why: str | None) -> None:
    assert assignable(output, expected) == why


def test_a_literal_is_no_struct_unless_its_values_are_mixed() -> None:
    spec = kind("Deployment", "dep").fields()["spec"].type
    assert isinstance(spec, StructType)
    template = spec.fields()["template"].type
    assert assignable(MapType(STRING, DYN), template) is None
    assert assignable(STRING, template) is None
    why = assignable(MapType(STRING, MapType(STRING, ListType(DYN))), template)
    assert why is not None
    assert why.startswith('map value incompatible with struct field "')


def test_types_become_schemas() -> None:
    assert to_openapi(ListType(TIMESTAMP))["items"]["format"] == "date-time"
    assert to_openapi(OptionalType(INT)) == {
        "description": "unknown CEL type: optional_type(int)",
        "x-kubernetes-preserve-unknown-fields": True,
    }
    metadata = to_openapi(type_of("dep.metadata"))["properties"]
    assert metadata["creationTimestamp"] == {"x-kubernetes-preserve-unknown-fields": True}
    assert metadata["__namespace__"] == {"type": "string"}
    assert to_openapi(type_of("schema.spec.nested")) == {"type": "object"}


def test_a_schema_that_contains_itself_is_cut_and_has_no_status_schema() -> None:
    node = {"$ref": "#/components/schemas/Node"}
    components = {"Node": {"type": "object", "properties": {"name": {"type": "string"}, "next": node}}}
    of = from_openapi(Schema(node, components), "__type_n")
    assert of is not None
    assert value_of("has(n.next)", {"n": of}, {"n": {"next": {}}}) is True
    with pytest.raises(CelError, match=r"cyclic type reference detected: __type_n\.next"):
        to_openapi(of)


def test_null_is_an_entry_or_item_where_the_schema_allows_it() -> None:
    text = {"type": "string", "nullable": True}
    schema = {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": text}}}
    schema["properties"] |= {"l": {"type": "array", "items": text}, "s": {"type": "array", "items": {"type": "string"}}}
    of = from_openapi(Schema(schema), "__type_x")
    assert of is not None
    bound = {"x": {"m": {"a": None, "b": "c"}, "l": ["d", None], "s": [None]}}
    assert value_of("[x.m.a, x.m['b']] + x.l.map(i, dyn(i))", {"x": of}, bound) == [None, "c", "d", None]
    assert type_name(check(parse("x.m.a + x.l[0]"), {"x": of}).result_type) == "string"
    with pytest.raises(CelError, match="nullable=false"):
        value_of("x.s[0]", {"x": of}, bound)
