"""``runtime``: what a definition's author makes conditions with, and reads the conditions of objects with (spec/02 §15.2)."""

from __future__ import annotations

from collections.abc import Iterable

from kro_es.api.objects import JsonObject
from kro_es.cel.errors import EvaluationError
from kro_es.cel.overloads import Overload, member
from kro_es.cel.types import DYN, STRING, MapType, StructType
from kro_es.cel.values import CelValue, type_of
from kro_es.schema.openapi import Schema

KEYS = ("type", "status", "reason", "message")
STATUSES = ("True", "False", "Unknown")
VALUE: JsonObject = {}
"""What the variable ``runtime`` is bound to: it has functions and no fields."""
RUNTIME = StructType("runtime", Schema({"type": "object"}))
CONDITION = StructType(
    "runtime.Condition", Schema({"type": "object", "properties": {key: {"type": "string"} for key in KEYS}})
)


class Condition(dict[str, CelValue]):
    """A condition, told from other maps where the checker knows no type."""

    __slots__ = ()


def fault(values: dict[str, CelValue], keys: Iterable[str] = KEYS) -> str | None:
    """What is wrong with the values that are given, in kro's words."""
    for key in keys:
        if key in values and not isinstance(values[key], str):
            return f"runtime.newCondition: {key} must be a string, got {type_of(values[key])}"
    if "status" in values and values["status"] not in STATUSES:
        return f'runtime.newCondition: status must be one of True, False, Unknown (got "{values["status"]}")'
    if "type" in values and not values["type"]:
        return "runtime.newCondition: type must not be empty"
    return None


def _new_condition(_: CelValue, given: dict[str, CelValue]) -> CelValue:
    problem = fault(given)
    if problem:
        raise EvaluationError(problem)
    return Condition(dict.fromkeys(KEYS, "") | given)


def _condition(_: CelValue, obj: CelValue, wanted: str) -> CelValue:
    """The first condition of the type; one with empty fields when the object has none."""
    if not isinstance(obj, dict):
        raise EvaluationError(f"runtime.condition: obj must be an object, got {type_of(obj)}")
    status = obj.get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    for item in conditions if isinstance(conditions, list) else ():
        if isinstance(item, dict) and item.get("type") == wanted:
            return Condition({key: text if isinstance(text := item.get(key), str) else "" for key in KEYS})
    return Condition(dict.fromkeys(KEYS, ""))


OVERLOADS: tuple[Overload, ...] = (
    member("newCondition", (RUNTIME, MapType(STRING, DYN)), CONDITION, _new_condition),
    member("condition", (RUNTIME, DYN, STRING), CONDITION, _condition),
)
