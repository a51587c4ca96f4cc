"""Who changed an object, by its managedFields."""

from __future__ import annotations

from typing import Any

from kro_es.events.from_watch import UNKNOWN, changed_by, managers
from kro_es.events.types import Actor

OURS = "kro.run/applyset"


def entry(manager: str, time: str, *fields: str, operation: str = "Update") -> dict[str, Any]:
    names = {f"f:{name}": {} for name in fields}
    return {"manager": manager, "operation": operation, "time": time, "fieldsV1": {"f:data": names}}


def seen(*entries: dict[str, Any]) -> dict[str, tuple[str, bytes]]:
    return managers({"metadata": {"managedFields": list(entries)}})


BEFORE = seen(entry(OURS, "10:00", "a", "b", operation="Apply"))


def test_who_takes_a_field_is_told_by_the_new_entry() -> None:
    after = seen(entry(OURS, "10:00", "a", operation="Apply"), entry("mallory", "10:00", "b"))
    assert changed_by(BEFORE, after) == Actor("mallory", "manager")


def test_who_only_removes_fields_of_ours_is_unknown() -> None:
    assert changed_by(BEFORE, seen(entry(OURS, "10:00", "a", operation="Apply"))) == UNKNOWN


def test_a_write_of_ours_that_is_under_way_explains_it() -> None:
    after = seen(entry(OURS, "10:00", "a", operation="Apply"))
    assert changed_by(BEFORE, after, OURS) == Actor(OURS, "manager")


def test_a_write_of_ours_at_another_time_is_ours() -> None:
    after = seen(entry(OURS, "10:01", "a", operation="Apply"))
    assert changed_by(BEFORE, after) == Actor(OURS, "manager")
