"""What one CRD makes of an object that another one was made for: the fields it drops, and those it takes for another type."""

from __future__ import annotations

from collections.abc import Iterator

from kro_es.api.objects import JsonObject, JsonValue


def unserved(wanted: JsonObject, served: JsonObject) -> tuple[str, ...]:
    """Fields of the objects of CRD ``wanted`` that CRD ``served`` has not, e.g. ``spec.size``; each CRD has one version."""
    old, new = wanted["spec"]["versions"][0], served["spec"]["versions"][0]
    if old["name"] != new["name"]:
        return (f"version {old['name']}",)
    return tuple(_missing("", old["schema"]["openAPIV3Schema"], new["schema"]["openAPIV3Schema"]))


def pruned(value: JsonValue, schema: JsonObject) -> JsonValue:
    """A value as the API server shows it: without what the schema has not."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    if isinstance(value, list):
        return [pruned(item, schema.get("items") or {}) for item in value]
    if not isinstance(value, dict):
        return value
    known, rest = schema.get("properties") or {}, schema.get("additionalProperties")
    found = {name: pruned(item, known[name]) for name, item in value.items() if name in known}
    if rest:
        found |= {
            name: pruned(item, rest) if isinstance(rest, dict) else item
            for name, item in value.items()
            if name not in known
        }
    return {name: found[name] for name in value if name in found}


def _missing(path: str, old: JsonObject, new: JsonObject) -> Iterator[str]:
    if new.get("x-kubernetes-preserve-unknown-fields"):
        return
    if old.get("x-kubernetes-preserve-unknown-fields"):
        yield f"{path}.*".lstrip(".")
    elif old.get("type", "") != new.get("type", ""):
        yield f"{path} ({old.get('type') or 'of any type'})"
    else:
        yield from _properties(path, old, new)
        if "items" in old and "items" in new:
            yield from _missing(f"{path}[]", old["items"], new["items"])


def _properties(path: str, old: JsonObject, new: JsonObject) -> Iterator[str]:
    known, rest = new.get("properties") or {}, new.get("additionalProperties")
    for name, schema in (old.get("properties") or {}).items():
        at = f"{path}.{name}".lstrip(".")
        if name in known:
            yield from _missing(at, schema, known[name])
        elif isinstance(rest, dict):
            yield from _missing(at, schema, rest)
        elif not rest:
            yield at
    values = old.get("additionalProperties")
    if not values or rest is True:
        return
    if isinstance(values, dict) and isinstance(rest, dict):
        yield from _missing(f"{path}.*", values, rest)
    else:
        yield f"{path}.*"
