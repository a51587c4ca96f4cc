"""What a replay showed: decisions counted by what they are about, and each that is not the same, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson

from kro_es.events.codec import encode
from kro_es.events.types import Body, Event, InstanceSettled, ResourceTakenOver

INSTANCE = "instance/"
"""What streams of instances begin with."""
_LONGEST = 300
INSTANCES, TAKEOVERS, DEFINITIONS = SORTS = ("instances", "take-overs", "definitions")
"""What decisions are about, as they are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One recorded decision that comes out otherwise today. ``fields``: name to recorded and recomputed value."""

    position: int
    instance: str
    type: str
    fields: Mapping[str, tuple[str, str]]


@dataclass(slots=True)
class Count:
    """Recorded decisions of one sort, by what came of them."""

    equal: int = 0
    different: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Report:
    """What a replay showed."""

    differences: list[Difference] = field(default_factory=list)
    unknown: list[tuple[int, str, str]] = field(default_factory=list)
    """Decisions that cannot be made again here: position, what it is about, and why."""
    notes: list[str] = field(default_factory=list)
    sorts: dict[str, Count] = field(default_factory=lambda: {sort: Count() for sort in SORTS})

    @property
    def equal(self) -> int:
        return sum(count.equal for count in self.sorts.values())

    def came_out(self, event: Event, fields: Mapping[str, tuple[str, str]]) -> None:
        """``fields``: what is not the same; empty when all is."""
        if fields:
            self.sorts[_sort(event)].different += 1
            self.differences.append(Difference(event.position, _name(event), event.type, fields))
        else:
            self.sorts[_sort(event)].equal += 1

    def cannot(self, event: Event, why: str) -> None:
        self.sorts[_sort(event)].unknown += 1
        self.unknown.append((event.position, _name(event), why))


def fields_of(before: Body, now: Body | None) -> dict[str, tuple[str, str]]:
    """Fields that are not the same, byte for byte, as they are stored."""
    if now is None:
        return {"": (before.TYPE, "nothing")}
    if isinstance(before, InstanceSettled) and isinstance(now, InstanceSettled):
        # a decision with writes is recorded with what was known before them
        now = replace(now, given=before.given)
    mine, theirs = encode(before)[2], encode(now)[2]
    texts = {name: (_text(mine.get(name)), _text(theirs.get(name))) for name in sorted(mine.keys() | theirs.keys())}
    return {name: (_short(old), _short(new)) for name, (old, new) in texts.items() if old != new}


def _text(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _sort(event: Event) -> str:
    if not event.stream.startswith(INSTANCE):
        return DEFINITIONS
    return TAKEOVERS if isinstance(event.body, ResourceTakenOver) else INSTANCES


def _name(event: Event) -> str:
    where = f"{event.subject.namespace}/" if event.subject.namespace else ""
    return f"{event.subject.kind.lower()} {where}{event.subject.name}"
