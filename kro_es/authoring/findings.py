"""What there is to say about a text: one finding each, with a code that stays and the place it is written at."""

from __future__ import annotations

import re
from dataclasses import dataclass

ERROR = "error"
WARNING = "warning"
"""Nothing is refused for it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The members of one entry of ``-o json``, in its order."""

    file: str
    document: int | None
    """Of the file, from 1; None when the file has no readable documents."""
    severity: str
    code: str
    message: str
    resource: str | None = None
    path: str | None = None
    """From the root of the document, in the form of messages."""
    expression: str | None = None
    line: int | None = None
    column: int | None = None


FILE = "file"
YAML = "yaml"
NO_DEFINITION = "no-definition"
UNREADABLE = frozenset({FILE, YAML, NO_DEFINITION})
"""Codes of what could not be read at all."""
FIELD_UNKNOWN = "field-unknown"
KIND_UNKNOWN = "kind-unknown"
NAME_UNKNOWN = "name-unknown"
FUNCTION_UNKNOWN = "function-unknown"
BEYOND_KRO = "beyond-kro"

CODES = {
    FILE: "The file cannot be read.",
    YAML: "The text is not YAML that has a JSON form.",
    "yaml-key": "A key reads as something else than what is written.",
    NO_DEFINITION: "There is no ResourceGraphDefinition in what was given.",
    "field-required": "A field that must be there is missing.",
    "field-type": "A field has a value of the wrong type.",
    "field-value": "A value is outside the limits of its field.",
    FIELD_UNKNOWN: "There is no field of this name.",
    "instance": "An instance does not fit the schema of its definition.",
    "duplicate-definition": "Another definition has the same name or the same kind.",
    "name-kind": "The kind is not a valid name.",
    "name-id": "A resource id is not a valid name.",
    "name-reserved": "A name is reserved.",
    "name-duplicate": "Two resources have the same id.",
    "name-definition": "The name of the definition is not one an object can have.",
    "name-length": "The name of the definition is too long.",
    "name-group": "The group is not one a CRD can have.",
    "schema-default": "A default does not fit its own field.",
    "schema-list": "The kind of list does not fit its items.",
    "schema": "The SimpleSchema cannot be translated.",
    "schema-type": "A SimpleSchema field has an unknown type.",
    "schema-cycle": "Custom types contain each other.",
    "resource-form": "A resource is neither a template nor an external reference, or both.",
    "template-object": "The template is not a Kubernetes object of a kind.",
    KIND_UNKNOWN: "The kind is not known; give its CRD with --crds.",
    "kind-schema": "The schema of the kind does not say what may be here.",
    "namespace": "metadata.namespace is missing or must not be there.",
    "reserved-label": "A label or annotation belongs to kro.",
    "crd-template": "An expression in a CustomResourceDefinition outside its metadata.",
    "for-each": "A forEach is wrong.",
    "expression-nested": "An expression inside an expression, or one that is not closed.",
    "expression-standalone": "The value must be exactly one expression.",
    "expression-syntax": "The expression cannot be parsed.",
    "expression-type": "The expression does not type-check.",
    NAME_UNKNOWN: "The expression names something that does not exist here.",
    FUNCTION_UNKNOWN: "The expression calls a function that does not exist.",
    "self-reference": "A resource refers to itself.",
    "cycle": "Resources wait for each other.",
    "type-mismatch": "The expression has not the type of its place.",
    "condition-type": "A condition is not a boolean.",
    "status-constant": "A status field without an expression.",
    "status-reference": "A status expression refers to nothing.",
    "conditions": "The conditions block is wrong.",
    "omit": "omit() cannot be used here.",
    BEYOND_KRO: "kro has not this function, kro-es has.",
    "unsupported": "This version of kro-es does not support it yet.",
    "definition": "The definition is wrong in another way.",
}
"""Every code, and what it stands for; a code keeps its meaning."""

_TEXTS = (
    ("it becomes a label value and may have", "name-length"),
    ("not supported by this version of kro-es", "unsupported"),
    ("naming convention violation: kind", "name-kind"),
    ("is a reserved keyword", "name-reserved"),
    ("is not a valid KRO resource id", "name-id"),
    ("found duplicate resource IDs", "name-duplicate"),
    ("failed to build OpenAPI schema for instance: .*unknown type: ", "schema-type"),
    ("failed to build OpenAPI schema for instance: .*(cyclic dependency|self references)", "schema-cycle"),
    ("failed to build OpenAPI schema for instance: ", "schema"),
    ("invalid combination of resource fields|invalid external ref metadata", "resource-form"),
    ("is not a valid Kubernetes object|failed to extract GVK", "template-object"),
    ("cannot resolve group version|failed to get REST mapping", KIND_UNKNOWN),
    ("set metadata.namespace", "namespace"),
    ("are reserved for internal use", "reserved-label"),
    ("CEL expressions in CRDs are only supported", "crd-template"),
    ("omit\\(\\)", "omit"),
    ("nested expressions are not allowed|expressions are not closed", "expression-nested"),
    ("only standalone expressions", "expression-standalone"),
    ("parse error:", "expression-syntax"),
    ("references unknown identifiers|node \\S+ does not exist|runtime is only available", NAME_UNKNOWN),
    ("uses unknown functions", FUNCTION_UNKNOWN),
    ("forEach (iterator|dimensions|cannot|expression)", "for-each"),
    ("schema not found for field", FIELD_UNKNOWN),
    ("type for path", "field-type"),
    ("schema at path|invalid array schema", "kind-schema"),
    ("self references are not allowed", "self-reference"),
    ("graph contains a cycle", "cycle"),
    ("type mismatch in resource", "type-mismatch"),
    ("must return bool", "condition-type"),
    ("status fields without expressions", "status-constant"),
    ("must refer to a resource or schema", "status-reference"),
    ("conditions block|status.conditions|runtime.(newC|c)ondition|condition ", "conditions"),
    ("failed to (compile|type-check)|cannot be read|failed to generate status schema", "expression-type"),
)
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), code) for pattern, code in _TEXTS)


def code_of(message: str) -> str:
    """The code of a fault of the compile; its texts are a contract with kro, so they can be told apart by them."""
    return next((code for pattern, code in _PATTERNS if pattern.search(message)), "definition")
