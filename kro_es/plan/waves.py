"""In which order members are deleted: reverse waves for an instance, dependents first for a prune (spec/03 §7.3, §10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, annotations_of, labels


def order_of(obj: JsonObject) -> int:
    """The recorded wave; missing, not a number or not positive counts as 0: such members go last, together."""
    text = annotations_of(obj).get(metadata.APPLY_ORDER, "")
    number = int(text) if text.isascii() and text.isdigit() else 0
    return max(number, 0)


def deletion_wave(members: Sequence[JsonObject]) -> list[JsonObject]:
    """The members that go next: those of the highest wave."""
    highest = max((order_of(obj) for obj in members), default=0)
    return [obj for obj in members if order_of(obj) == highest]


def prune_order(orphans: Sequence[JsonObject], positions: Mapping[str, int]) -> list[JsonObject]:
    """Descending topological position of the node they stood for; ids the graph no longer knows first."""
    unknown = len(positions)
    return sorted(orphans, key=lambda obj: -positions.get(labels(obj).get(metadata.NODE_ID, ""), unknown))
