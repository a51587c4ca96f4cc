"""Edits of an instance schema that break somebody (spec/01 §7.5): vector, before, after, what is said, an old instance's spec."""

from __future__ import annotations

from tests.support.fake_server import Object

BREAKING: list[tuple[str, Object, Object, str, Object]] = [
    ("76c", {"a": "string"}, {"a": "string", "b": "string | required=true"}, "Optional property b was added", {"a": "x"}),
    ("77a", {"a": "string", "b": "string"}, {"a": "string"}, "Property b was removed", {"a": "x", "b": "y"}),
    ("78a", {"a": "integer"}, {"a": "float"}, "Type changed from integer to number", {"a": 1}),
    ("78b", {"a": "[]string"}, {"a": "[]integer"}, "Type changed from string to integer", {"a": ["x"]}),
    ("79a", {"a": "string | default=x"}, {"a": "string | default=x required=true"}, "Field a is newly required", {}),
    ("80a", {"a": "string | required=true default=x"}, {"a": "string | required=true"}, "Default value removed from", {}),
    ("81a", {"a": 'string | enum="x,y"'}, {"a": 'string | enum="x"'}, 'Enum value "y" was removed', {"a": "y"}),
    ("82b", {"a": "integer | minimum=1"}, {"a": "integer | minimum=2"}, "Minimum was increased from 1 to 2", {"a": 1}),
    ("82c", {"a": "integer | maximum=9"}, {"a": "integer | maximum=8"}, "Maximum was decreased from 9 to 8", {"a": 9}),
    ("min", {"a": "integer"}, {"a": "integer | minimum=0"}, "Minimum constraint 0 was added", {"a": -1}),
    ("max", {"a": "integer"}, {"a": "integer | maximum=9"}, "Maximum constraint 9 was added", {"a": 10}),
    ("len", {"a": "string"}, {"a": "string | minLength=1"}, "MinLength constraint 1 was added", {"a": ""}),
    ("lenb", {"a": "string | maxLength=2"}, {"a": "string | maxLength=1"}, "MaxLength was decreased from", {"a": "xy"}),
    ("items", {"a": "[]string"}, {"a": "[]string | minItems=1"}, "MinItems constraint 1 was added", {"a": []}),
    ("itemsb", {"a": "[]string | maxItems=1"}, {"a": "[]string | maxItems=0"}, "MaxItems was decreased", {"a": ["x"]}),
    ("pattern", {"a": "string"}, {"a": 'string | pattern="^x"'}, "Validation pattern ^x was added", {"a": "y"}),
    ("patternb", {"a": 'string | pattern="^x"'}, {"a": 'string | pattern="^y"'}, "Validation pattern changed", {"a": "x"}),
    ("86b", {"a": {"b": "string"}}, {"a": "object"}, "Property b was removed", {"a": {"b": "x"}}),
]  # fmt: skip
