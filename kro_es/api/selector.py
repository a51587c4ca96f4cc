"""Label selectors as values: read from a reference, asked of labels, written as the API server's query takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kro_es.api.objects import JsonValue
from kro_es.errors import UserError

_PART = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_PART}\Z")
_VALUE = re.compile(rf"({_PART})?\Z")

_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^\s=!]+)\s*(?P<operator>==|=|!=)\s*(?P<values>[^\s=!,]*)")
_ALONE = re.compile(r"(?P<operator>!?)\s*(?P<key>[^\s=!(),]+)")


class SelectorError(UserError):
    """A label selector the API server would refuse."""


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        match self.operator, self.values:
            case "In", (value,):
                return f"{self.key}={value}"
            case "In", values:
                return f"{self.key} in ({','.join(values)})"
            case "NotIn", values:
                return f"{self.key} notin ({','.join(values)})"
            case "Exists", _:
                return self.key
            case _:
                return f"!{self.key}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """All requirements hold; none matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, given: JsonValue) -> Selector:
        """A LabelSelector; raises SelectorError naming the entry."""
        if given is None:
            return cls()
        if not isinstance(given, dict):
            raise SelectorError("a label selector is an object with matchLabels and matchExpressions")
        for name in given:
            if name not in ("matchLabels", "matchExpressions"):
                # a misspelt matchLabels must not become a selector of everything
                raise SelectorError(f'unknown field "{name}"')
        labels = given.get("matchLabels") or {}
        expressions = given.get("matchExpressions") or []
        if not isinstance(labels, dict):
            raise SelectorError("matchLabels: must be a map of strings")
        if not isinstance(expressions, list):
            raise SelectorError("matchExpressions: must be a list")
        found = [_requirement("matchLabels", key, "In", [value]) for key, value in labels.items()]
        for index, item in enumerate(expressions):
            at = f"matchExpressions[{index}]"
            if not isinstance(item, dict):
                raise SelectorError(f"{at}: must be an object")
            found.append(_requirement(at, item.get("key"), item.get("operator"), item.get("values") or []))
        return cls(tuple(sorted(found)))

    @classmethod
    def of_text(cls, text: str) -> Selector:
        """As kubectl takes it: ``a=b,c!=d,e in (f,g),h,!i``; raises SelectorError naming the part."""
        # a comma between parentheses separates values
        parts = re.split(r",(?![^()]*\))", text)
        return cls(tuple(sorted(_of_part(part) for part in parts)))

    @property
    def text(self) -> str:
        """Value of the ``labelSelector`` query parameter; equal selectors have equal texts."""
        return ",".join(requirement.text for requirement in self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)


def _of_part(text: str) -> Requirement:
    found = _SET.fullmatch(text.strip()) or _EQUAL.fullmatch(text.strip()) or _ALONE.fullmatch(text.strip())
    if found is None:
        raise SelectorError(f"{text.strip()!r} is no part of a label selector: write a=b, a!=b, a in (b,c), a or !a")
    given = found.groupdict()
    operator = {
        "in": "In", "notin": "NotIn", "=": "In", "==": "In", "!=": "NotIn", "": "Exists", "!": "DoesNotExist",
    }[given["operator"]]  # fmt: skip
    values = given.get("values")
    listed: list[JsonValue] = [] if values is None else [value.strip() for value in values.split(",")]
    return _requirement(text.strip(), given["key"], operator, listed)


def _requirement(at: str, key: JsonValue, operator: JsonValue, values: JsonValue) -> Requirement:
    if not isinstance(key, str) or not _KEY.match(key):
        raise SelectorError(f'{at}: key: Invalid value: "{key}": not a label name')
    if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
        raise SelectorError(f'{at}: "{operator}" is not a valid label selector operator')
    if not isinstance(values, list):
        raise SelectorError(f"{at}: values: must be a list")
    for value in values:
        if not isinstance(value, str) or not _VALUE.match(value):
            raise SelectorError(f'{at}: values: Invalid value: "{value}": not a label value')
    if (operator in ("In", "NotIn")) != bool(values):
        wanted = "must be set" if operator in ("In", "NotIn") else "must be empty"
        raise SelectorError(f"{at}: values: {wanted} when operator is {operator}")
    return Requirement(key, operator, tuple(sorted(set(values))))
