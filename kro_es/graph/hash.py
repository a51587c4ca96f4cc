"""The spec hash: equal for two specs that mean the same, and byte for byte the one kro uses (spec/04 §4)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kro_es.api.definition import NAMESPACED, ResourceGraphDefinition
from kro_es.api.metadata import GROUP
from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cel.text import double_json

_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_SHORT = {
    '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
}  # fmt: skip
_ESCAPED = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029]')
_COLUMN = ("name", "type", "format", "description", "priority", "jsonPath")


def spec_hash(definition: ResourceGraphDefinition) -> str:
    """16 hex digits; does not depend on key order, resource order or the order of conditions."""
    return fnv1a(canonical(definition.spec).encode("utf-8", "surrogatepass"))


def fnv1a(data: bytes) -> str:
    """FNV-1a, 64 bits, in hex."""
    value = _OFFSET
    for byte in data:
        value = ((value ^ byte) * _PRIME) & _MASK
    return f"{value:016x}"


def canonical(spec: JsonObject) -> str:
    """The JSON that is hashed."""
    members = [("schema", _schema(spec.get("schema") or {}))]
    resources = sorted(spec.get("resources") or (), key=lambda item: str(item.get("id", "")))
    if resources:
        members.append(("resources", _array(map(_resource, resources))))
    return _object(members)


def _schema(node: JsonObject) -> str:
    members = [
        ("kind", _json(node.get("kind", ""))),
        ("apiVersion", _json(node.get("apiVersion", ""))),
        ("group", _json(node.get("group") or GROUP)),
        *((name, _json(node.get(name))) for name in ("spec", "types", "status")),
        ("scope", _json(node.get("scope") or NAMESPACED)),
    ]
    columns = node.get("additionalPrinterColumns")
    if columns:
        members.append(("additionalPrinterColumns", _array(_given(column, _COLUMN) for column in columns)))
    members += [(name, _json(node[name])) for name in ("shortNames", "categories") if node.get(name)]
    if node.get("metadata") is not None:
        members.append(("metadata", _given(node["metadata"], ("labels", "annotations"))))
    return _object(members)


def _resource(node: JsonObject) -> str:
    members = [("id", _json(node.get("id", ""))), ("template", _json(node.get("template")))]
    external = node.get("externalRef")
    if external is not None:
        members.append(("externalRef", _external(external)))
    members += [(name, _json(sorted(node[name]))) for name in ("readyWhen", "includeWhen") if node.get(name)]
    if node.get("forEach"):
        members.append(("forEach", _json(node["forEach"])))
    return _object(members)


def _external(node: JsonObject) -> str:
    meta = node.get("metadata") or {}
    members = [(name, _json(meta[name])) for name in ("name", "namespace") if meta.get(name)]
    members.append(("selector", _json(meta.get("selector"))))
    return _object(
        [
            ("apiVersion", _json(node.get("apiVersion", ""))),
            ("kind", _json(node.get("kind", ""))),
            ("metadata", _object(members)),
        ]
    )


def _given(node: JsonObject, names: tuple[str, ...]) -> str:
    """The members that are set, in declaration order."""
    return _object([(name, _json(node[name])) for name in names if node.get(name)])


def _object(members: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{_text(name)}:{value}" for name, value in members) + "}"


def _array(items: Iterable[str]) -> str:
    return "[" + ",".join(items) + "]"


def _json(value: JsonValue) -> str:
    """Free-form JSON: keys sorted, numbers as the doubles Go reads them into."""
    if isinstance(value, dict):
        return _object((name, _json(value[name])) for name in sorted(value))
    if isinstance(value, list):
        return _array(map(_json, value))
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return "null"
    return ("true" if value else "false") if isinstance(value, bool) else double_json(float(value))


def _text(value: str) -> str:
    return '"' + _ESCAPED.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}", value) + '"'
