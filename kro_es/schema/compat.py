"""Two versions of a generated CRD: each difference kro looks at, and whether it breaks instances (spec/01 §6)."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.schema.gotext import fixed

_SHOWN = 3
_BOUNDS = (
    ("minimum", "MINIMUM", "Minimum"),
    ("maximum", "MAXIMUM", "Maximum"),
    ("minLength", "MIN_LENGTH", "MinLength"),
    ("maxLength", "MAX_LENGTH", "MaxLength"),
    ("minItems", "MIN_ITEMS", "MinItems"),
    ("maxItems", "MAX_ITEMS", "MaxItems"),
)
_TEXTS = {
    "PROPERTY_REMOVED": "Property {p} was removed",
    # kro says "optional" for a new required property too
    "PROPERTY_ADDED": "Optional property {p} was added",
    "TYPE_CHANGED": "Type changed from {o} to {n}",
    "REQUIRED_ADDED": "Field {n} is newly required",
    "REQUIRED_REMOVED": "Field {o} is no longer required",
    "REQUIRED_DEFAULT_REMOVED": "Default value removed from required field {o}",
    "ENUM_RESTRICTED": "Enum value {o} was removed",
    "ENUM_EXPANDED": "Enum value {n} was added",
    "PATTERN_CHANGED": "Validation pattern changed from {o} to {n}",
    "PATTERN_ADDED": "Validation pattern {n} was added",
    "PATTERN_REMOVED": "Validation pattern {o} was removed",
    "DESCRIPTION_CHANGED": "Description field was changed from {o} to {n}",
    "DEFAULT_CHANGED": "Default value was changed from {o} to {n}",
    **{f"{code}_ADDED": f"{name} constraint {{n}} was added" for _, code, name in _BOUNDS},
    **{f"{code}_REMOVED": f"{name} constraint {{o}} was removed" for _, code, name in _BOUNDS},
    **{f"{code}_INCREASED": f"{name} was increased from {{o}} to {{n}}" for _, code, name in _BOUNDS},
    **{f"{code}_DECREASED": f"{name} was decreased from {{o}} to {{n}}" for _, code, name in _BOUNDS},
}


class CompatibilityError(UserError):
    """The two cannot be compared."""


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One difference; ``path`` looks like ``.properties.spec.properties.size.minimum``."""

    path: str
    change: str
    old: str = ""
    new: str = ""

    def __str__(self) -> str:
        last = self.path.rpartition(".")[2]
        # field texts may hold braces themselves, so they are put in by one pass over the template
        return _TEXTS[self.change].format_map({"p": last, "o": self.old, "n": self.new})


@dataclass(frozen=True, slots=True)
class Report:
    """All differences, sorted by path."""

    breaking: tuple[Change, ...]
    non_breaking: tuple[Change, ...]

    @property
    def changed(self) -> bool:
        return bool(self.breaking or self.non_breaking)

    @property
    def summary(self) -> str:
        """As the condition prints it: three descriptions at most."""
        if not self.breaking:
            return "no breaking changes"
        texts = [str(change) for change in self.breaking[:_SHOWN]]
        more = len(self.breaking) - _SHOWN
        return "; ".join([*texts, *([f"and {more} more changes"] if more > 0 else [])])


def compare(old: JsonObject, new: JsonObject) -> Report:
    """Differences of two CRDs; raises CompatibilityError when either has not exactly one version with a schema."""
    before, after = old["spec"].get("versions") or [], new["spec"].get("versions") or []
    if len(before) != 1 or len(after) != 1:
        raise CompatibilityError(
            f"expected exactly one version in each CRD, got {len(before)} old and {len(after)} new versions"
        )
    comparison = _Comparison()
    if before[0]["name"] != after[0]["name"]:
        comparison.add("version", "TYPE_CHANGED", before[0]["name"], after[0]["name"], breaking=True)
    else:
        comparison.versions(before[0], after[0])
    return comparison.report()


def _json(value: JsonValue) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _strict_equal(left: JsonValue, right: JsonValue) -> bool:
    """JSON equality; Python alone would call ``True`` and ``1`` the same."""
    return _json(left) == _json(right)


@dataclass(slots=True)
class _Comparison:
    breaking: list[Change] = field(default_factory=list)
    harmless: list[Change] = field(default_factory=list)

    def add(self, path: str, change: str, old: str = "", new: str = "", *, breaking: bool) -> None:
        (self.breaking if breaking else self.harmless).append(Change(path, change, old, new))

    def report(self) -> Report:
        return Report(tuple(sorted(self.breaking)), tuple(sorted(self.harmless)))

    def versions(self, old: JsonObject, new: JsonObject) -> None:
        schemas = []
        for version, which in ((old, "old"), (new, "new")):
            schema = (version.get("schema") or {}).get("openAPIV3Schema")
            if schema is None:
                raise CompatibilityError(f"{which} version {version['name']} has no schema")
            schemas.append(schema)
        if old.get("served") and not new.get("served"):
            self.add("version.served", "TYPE_CHANGED", "true", "false", breaking=True)
        if _status(old) and not _status(new):
            self.add("version.subresources.status", "PROPERTY_REMOVED", breaking=True)
        self.node("", schemas[0], schemas[1])

    def node(self, path: str, old: JsonObject, new: JsonObject) -> None:
        if old.get("type", "") != new.get("type", ""):
            self.add(f"{path}.type", "TYPE_CHANGED", old.get("type", ""), new.get("type", ""), breaking=True)
            return
        self._texts(path, old, new)
        self._enum(path, old.get("enum") or [], new.get("enum") or [])
        for name, code, _ in _BOUNDS:
            self._bound(f"{path}.{name}", code, old.get(name), new.get(name))
        self._properties(path, old, new)
        self._required(path, old, new)
        self._items(path, old.get("items"), new.get("items"))

    def _texts(self, path: str, old: JsonObject, new: JsonObject) -> None:
        before, after = old.get("description", ""), new.get("description", "")
        if before != after:
            self.add(f"{path}.description", "DESCRIPTION_CHANGED", before, after, breaking=False)
        if ("default" in old) != ("default" in new) or not _strict_equal(old.get("default"), new.get("default")):
            texts = [_json(node["default"]) if "default" in node else "" for node in (old, new)]
            self.add(f"{path}.default", "DEFAULT_CHANGED", *texts, breaking=False)
        before, after = old.get("pattern", ""), new.get("pattern", "")
        if before != after:
            change = "PATTERN_CHANGED" if before and after else "PATTERN_ADDED" if after else "PATTERN_REMOVED"
            self.add(f"{path}.pattern", change, before, after, breaking=bool(after))

    def _enum(self, path: str, old: list[JsonValue], new: list[JsonValue]) -> None:
        if not old or not new:
            return
        before, after = [_json(item) for item in old], [_json(item) for item in new]
        for item in before:
            if item not in after:
                self.add(f"{path}.enum", "ENUM_RESTRICTED", item, breaking=True)
        for item in after:
            if item not in before:
                self.add(f"{path}.enum", "ENUM_EXPANDED", "", item, breaking=False)

    def _bound(self, path: str, code: str, old: float | None, new: float | None) -> None:
        if old == new:
            return
        lower = code.startswith("MIN")
        before, after = ("" if value is None else fixed(value) for value in (old, new))
        if old is None or new is None:
            change = "ADDED" if old is None else "REMOVED"
            self.add(path, f"{code}_{change}", before, after, breaking=old is None)
            return
        raised = new > old
        self.add(path, f"{code}_{'INCREASED' if raised else 'DECREASED'}", before, after, breaking=raised == lower)

    def _properties(self, path: str, old: JsonObject, new: JsonObject) -> None:
        before, after = old.get("properties") or {}, new.get("properties") or {}
        required = new.get("required") or ()
        for name, schema in before.items():
            if name in after:
                self.node(f"{path}.properties.{name}", schema, after[name])
            else:
                self.add(f"{path}.properties.{name}", "PROPERTY_REMOVED", breaking=True)
        for name, schema in after.items():
            if name in before:
                continue
            at = f"{path}.properties.{name}"
            if name in required and "default" not in schema:
                self.add(at, "PROPERTY_ADDED", "required=false", "required=true", breaking=True)
            else:
                self.add(at, "PROPERTY_ADDED", breaking=False)

    def _required(self, path: str, old: JsonObject, new: JsonObject) -> None:
        before, after = set(old.get("required") or ()), set(new.get("required") or ())
        at = f"{path}.required"
        olds, news = old.get("properties") or {}, new.get("properties") or {}
        for name in sorted(after - before):
            if name in olds and name in news:
                self.add(at, "REQUIRED_ADDED", "", name, breaking=True)
        for name in sorted(before - after):
            if name in news:
                self.add(at, "REQUIRED_REMOVED", name, breaking=False)
        for name in sorted(before & after):
            if "default" in olds.get(name, ()) and name in news and "default" not in news[name]:
                self.add(at, "REQUIRED_DEFAULT_REMOVED", name, breaking=True)

    def _items(self, path: str, old: JsonObject | None, new: JsonObject | None) -> None:
        at = f"{path}.items"
        if old is not None and new is not None:
            self.node(at, old, new)
        elif old is not None:
            self.add(at, "PROPERTY_REMOVED", breaking=True)
        elif new is not None:
            self.add(at, "PROPERTY_ADDED", breaking=False)


def _status(version: JsonObject) -> bool:
    return (version.get("subresources") or {}).get("status") is not None
