"""What a watch of one kind delivers, in order: a list, then changes; a break says since when nobody looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from kro_es.api.objects import JsonObject


@dataclass(frozen=True, slots=True)
class Listed:
    """Every object there is at ``resource_version``: what is not in it is gone."""

    objects: tuple[JsonObject, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Changed:
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: JsonObject


@dataclass(frozen=True, slots=True)
class Broken:
    """Changes may have been missed from here on; a ``Listed`` follows when the server answers again."""

    reason: str


WatchItem: TypeAlias = Listed | Changed | Broken
