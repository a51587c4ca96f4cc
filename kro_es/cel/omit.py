"""The value of ``omit()``: it stands where a field or a list element is to be left out (spec/02 §12.2)."""

from __future__ import annotations

from enum import Enum
from typing import Final

from kro_es.api.objects import JsonValue


class Omit(Enum):
    """One member, so that copies of a result still hold the very same marker."""

    OMIT = "omit"


OMIT: Final = Omit.OMIT


def is_omit(value: JsonValue) -> bool:
    return value is OMIT


def without_omitted(value: JsonValue) -> JsonValue:
    """A copy of a written object without the marked fields and elements; what gets empty by that stays.

    Run it once after every expression of the object has been written, so that list indices stay valid until then.
    """
    if isinstance(value, dict):
        return {key: without_omitted(item) for key, item in value.items() if item is not OMIT}
    if isinstance(value, list):
        return [without_omitted(item) for item in value if item is not OMIT]
    return value
