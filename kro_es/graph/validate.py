"""Rules that need no types: names, shapes, namespaces and reserved labels (spec/04 §3.2, §3.4)."""

from __future__ import annotations

import re

from kro_es.api.definition import ResourceDefinition, ResourceGraphDefinition
from kro_es.api.metadata import RESERVED_PREFIXES
from kro_es.api.objects import Gvk, JsonObject, JsonValue, Resource
from kro_es.api.selector import Selector, SelectorError
from kro_es.errors import UserError
from kro_es.graph.faults import SCHEMA, Faults
from kro_es.graph.template import TemplateError, extract
from kro_es.graph.walk import Walk
from kro_es.schema.gotext import quote
from kro_es.schema.openapi import Schema

MAX_NAME = 63
"""Revisions, the CRD and every child carry the definition's name as a label value (spec/04 T10)."""
MAX_DIMENSIONS = 10
_RESERVED_WORDS = (
    "true false null in as break const continue else for function if import let loop package namespace return var void "
    "while apiVersion context dependency dependencies each externalRef externalReference externalRefs "
    "externalReferences graph instance item items kind kro metadata object resource resourcegraphdefinition "
    "resourceGraphDefinition resources root runtime schema self serviceAccountName spec status this variables vars "
    "version"
)
RESERVED = frozenset(_RESERVED_WORDS.split())
_KIND = re.compile(r"[A-Z][a-zA-Z0-9]*\Z")
_ID = re.compile(r"[a-z][a-zA-Z0-9]*\Z")
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_DNS_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


_NO_SELECTOR = "selector must be a Kubernetes LabelSelector object or a CEL expression that resolves to one"
_TEXT: JsonObject = {"type": "string"}
_REQUIREMENT: JsonObject = {
    "type": "object",
    "properties": {"key": _TEXT, "operator": _TEXT, "values": {"type": "array", "items": _TEXT}},
}
_LABEL_SELECTOR = Schema(
    {
        "type": "object",
        "properties": {
            "matchLabels": {"type": "object", "additionalProperties": _TEXT},
            "matchExpressions": {"type": "array", "items": _REQUIREMENT},
        },
    }
)


class ShapeError(UserError):
    """A template is not a Kubernetes object of a kind."""


# -- names


def naming(definition: ResourceGraphDefinition, faults: Faults) -> None:
    """Kind, ids and iterators, in kro's words; and the name's length, which kro finds out when it writes it as a label."""
    prefix = "failed to validate resourcegraphdefinition: "
    name = definition.name
    if len(name) > MAX_NAME:
        text = (
            f"metadata.name {quote(name)} has {len(name)} characters; it becomes a label value and may have {MAX_NAME}"
        )
        faults.add(SCHEMA, f"{prefix}{text}", path="metadata.name")
    kind = definition.schema.kind
    if not _KIND.match(kind):
        text = f"kind '{kind}' is not a valid KRO kind name: must be UpperCamelCase"
        faults.add(SCHEMA, f"{prefix}naming convention violation: {text}", path="spec.schema.kind")
    seen: set[str] = set()
    ids = {resource.id for resource in definition.resources}
    for index, resource in enumerate(definition.resources):
        at = f"spec.resources[{index}]"
        problem = _id_problem(resource.id, seen)
        seen.add(resource.id)
        if problem:
            text = f"{prefix}naming convention violation: {problem}"
            faults.add(index, text, resource=resource.id, path=f"{at}.id")
        for problem in _iterator_problems(resource, ids):
            text = f"{prefix}resource {quote(resource.id)}: {problem}"
            faults.add(index, text, resource=resource.id, path=f"{at}.forEach")


def _id_problem(node_id: str, seen: set[str]) -> str | None:
    if node_id in RESERVED:
        return f"id {node_id} is a reserved keyword in KRO"
    if not _ID.match(node_id):
        return f"id {node_id} is not a valid KRO resource id: must be lower camelCase"
    return f"found duplicate resource IDs {node_id}" if node_id in seen else None


def _iterator_problems(resource: ResourceDefinition, ids: set[str]) -> list[str]:
    count = len(resource.for_each)
    if count > MAX_DIMENSIONS:
        return [f"forEach cannot have more than {MAX_DIMENSIONS} dimensions, got {count}"]
    found: list[str] = []
    seen: set[str] = set()
    for name, _ in resource.for_each:
        iterator = f"forEach iterator name {quote(name)}"
        if not _ID.match(name):
            found.append(f"{iterator} is not valid: must be lowerCamelCase")
        elif name in RESERVED:
            found.append(f"{iterator} is a reserved keyword")
        elif name in ids:
            found.append(f"{iterator} conflicts with resource ID")
        elif name in seen:
            found.append(f"duplicate {iterator}")
        seen.add(name)
    return found


# -- shape


def combination(resource: ResourceDefinition) -> str | None:
    """What is wrong with the fields a resource has, if anything."""
    if resource.template is None and resource.external_ref is None:
        return "exactly one of template or externalRef must be provided"
    if resource.external_ref is not None and resource.template is not None:
        return "cannot use externalRef with template"
    if resource.external_ref is not None and resource.for_each:
        return "cannot use externalRef with forEach"
    return None


def reference(resource: ResourceDefinition) -> str | None:
    """What is wrong with the name or the selector of a reference, if anything."""
    meta = (resource.external_ref or {}).get("metadata") or {}
    if bool(str(meta.get("name") or "").strip()) == (meta.get("selector") is not None):
        return "exactly one of name or selector must be provided"
    return None if meta.get("selector") is None else _selector(meta["selector"])


def _selector(given: JsonValue) -> str | None:
    """A LabelSelector, with expressions in it or as one."""
    try:
        if isinstance(given, str):
            found = extract(given)
            return None if found is not None and found.standalone else _NO_SELECTOR
    except TemplateError as error:
        return f"invalid selector expression: {error}"
    if not isinstance(given, dict):
        return _NO_SELECTOR
    walk = Walk()
    walk.template(given, _LABEL_SELECTOR, ("metadata", "selector"))
    if walk.faults:
        return walk.faults[0].message
    if walk.fields:
        return None  # what it selects is known when the instance is
    try:
        Selector.parse(given)
    except SelectorError as error:
        return f"invalid label selector: metadata.selector.{error}"
    return None


def kind_of(node_id: str, template: JsonObject) -> Gvk:
    """The kind of a template; raises ShapeError with kro's text."""
    for name, wanted, text in (("apiVersion", str, "string"), ("kind", str, "string"), ("metadata", dict, "map")):
        prefix = f"resource {node_id} is not a valid Kubernetes object: {name} field"
        if name not in template:
            raise ShapeError(f"{prefix} not found")
        if not isinstance(template[name], wanted):
            raise ShapeError(f"{prefix} is not a {text}")
    api_version, kind = template["apiVersion"], template["kind"]
    failed = f"failed to extract GVK from resource {node_id}: "
    try:
        gvk = Gvk.parse(api_version, kind)
    except ValueError as error:
        raise ShapeError(f"{failed}invalid apiVersion format {quote(api_version)}: {error}") from None
    problems = _dns_1035_problems(kind.lower())
    if problems:
        text = f"{failed}invalid kind {quote(kind)}: {problems} (must be a valid DNS-1035 label when lowercased)"
        raise ShapeError(text)
    return gvk


def _dns_1035_problems(label: str) -> str:
    problems = [] if len(label) <= 63 else ["must be no more than 63 characters"]
    if not _DNS_1035.match(label):
        problems.append(_DNS_1035_TEXT)
    return "; ".join(problems)


# -- namespace and labels


def placement(node_id: str, template: JsonObject, resource: Resource, *, namespaced_instance: bool) -> list[str]:
    """What is wrong with ``metadata.namespace`` and with reserved labels and annotations."""
    meta = template["metadata"]
    found: list[str] = []
    namespace = meta.get("namespace")
    if not resource.namespaced and "namespace" in meta:
        found.append(f"resource {quote(node_id)} is cluster-scoped and must not set metadata.namespace")
    elif resource.namespaced and not namespaced_instance and not _filled(namespace):
        found.append(
            f"resource {quote(node_id)} is namespaced and must set metadata.namespace "
            "when the instance CRD is cluster-scoped"
        )
    for name, single in (("labels", "label"), ("annotations", "annotation")):
        found += _reserved(node_id, meta.get(name), name, single)
    return found


def _filled(namespace: JsonValue) -> bool:
    return isinstance(namespace, str) and bool(namespace.strip())


def _reserved(node_id: str, found: JsonValue, name: str, single: str) -> list[str]:
    keys = sorted(found) if isinstance(found, dict) else []
    prefixes = [prefix for prefix in RESERVED_PREFIXES if any(key.startswith(prefix) for key in keys)]
    return [
        f'invalid {single} for resource {quote(node_id)}. {name} with prefix "{prefix}" are reserved for internal use'
        for prefix in prefixes
    ]
