"""What one CRD makes of an object that another one was made for: the fields it drops, and those it takes for another type."""

from __future__ import annotations

from collections.abc import Iterator

from kro_es.api.objects import JsonObject


def unserved(wanted: JsonObject, served: JsonObject) -> tuple[str, ...]:
    """Fields of the objects of CRD ``wanted`` that CRD ``served`` has not, e.g. ``spec.size``; each CRD has one version."""
    old, new = wanted["spec"]["versions"][0], served["spec"]["versions"][0]
    if old["name"] != new["name"]:
        return (f"version {old['name']}",)
    return tuple(_missing("", old["schema"]["openAPIV3Schema"], new["schema"]["openAPIV3Schema"]))


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
