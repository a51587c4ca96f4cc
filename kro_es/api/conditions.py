"""Conditions as kro writes them: stamps, transition times, order, and the roll-up to Ready (spec/03 §9.2, spec/04 §2.7)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from kro_es.api.objects import JsonObject

READY = "Ready"
HELD = "Held"
PINNED = "Pinned"


@dataclass(frozen=True, slots=True)
class Condition:
    """``last_transition_time`` is RFC 3339 with whole seconds."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int

    @classmethod
    def parse(cls, found: JsonObject) -> Condition:
        return cls(
            found.get("type", ""),
            found.get("status", "Unknown"),
            found.get("reason", ""),
            found.get("message", ""),
            found.get("lastTransitionTime", ""),
            found.get("observedGeneration", 0),
        )

    def to_json(self) -> JsonObject:
        return {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": self.last_transition_time,
            "observedGeneration": self.observed_generation,
        }


def rfc3339(micros: int) -> str:
    """Microseconds since the epoch as the API server writes times: UTC, whole seconds."""
    return _written(micros // 1_000_000)


@lru_cache(maxsize=64)
def _written(seconds: int) -> str:
    """Every condition of every pass within a second has the same."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Conditions:
    """The conditions of one object while a pass sets them; ``dependents`` roll up to Ready."""

    def __init__(
        self, found: dict[str, Condition], dependents: tuple[str, ...], generation: int, *, going: bool
    ) -> None:
        self._found = found
        self._dependents = dependents
        self._generation = generation
        self._going = going
        """True while the object is being deleted: setting one condition then bumps the generation of all."""

    @classmethod
    def load(cls, obj: JsonObject, dependents: tuple[str, ...]) -> Conditions:
        """From the object's status; a type never set before starts as Unknown, since the object's creation."""
        meta = obj["metadata"]
        stored = [Condition.parse(item) for item in (obj.get("status") or {}).get("conditions") or ()]
        found = {item.type: item for item in stored if item.type in (*dependents, READY)}
        for name in (READY, *dependents):
            found.setdefault(
                name,
                Condition(
                    name,
                    "Unknown",
                    "AwaitingReconciliation",
                    f'condition "{name}" is awaiting reconciliation',
                    meta.get("creationTimestamp", ""),
                    meta.get("generation", 0),
                ),
            )
        return cls(found, dependents, meta.get("generation", 0), going=bool(meta.get("deletionTimestamp")))

    def set(self, name: str, status: str, reason: str, message: str, now: int) -> None:
        """``now`` in microseconds; the transition time moves only when the status does."""
        before = self._found[name]
        moved = rfc3339(now) if before.status != status else before.last_transition_time
        after = Condition(name, status, reason, message, moved, self._generation)
        if after == before:
            return
        self._found.pop(name)
        self._found[name] = after
        if self._going:
            self._found = {
                key: replace(item, observed_generation=self._generation) for key, item in self._found.items()
            }
        if name != READY:
            self._roll_up(now)

    def status_of(self, name: str) -> str:
        return self._found[name].status

    def get(self, name: str) -> Condition:
        return self._found[name]

    def _roll_up(self, now: int) -> None:
        offenders = [
            item
            for item in (self._found[name] for name in self._dependents)
            if item.status != "True" or item.observed_generation != self._generation
        ]
        if not offenders:
            self.set(READY, "True", "Ready", "", now)
            return
        newest = sorted(offenders, key=lambda item: item.last_transition_time, reverse=True)
        worst = next((item for item in newest if item.status == "False"), None) or next(
            (item for item in newest if item.status == "Unknown"), None
        )
        if worst is not None:
            self.set(READY, worst.status, worst.reason, worst.message, now)

    def to_json(self) -> list[JsonObject]:
        """Ascending transition time, a re-set type last among equals, ``Ready`` always at the end."""
        others = [item for item in self._found.values() if item.type != READY]
        ordered = sorted(others, key=lambda item: item.last_transition_time)
        return [item.to_json() for item in (*ordered, self._found[READY])]


def with_word(
    shown: Sequence[JsonObject], before: Sequence[JsonObject], word: tuple[str, str], generation: int, now: int
) -> list[JsonObject]:
    """The conditions with that one in front, as True, while its message says by whom; without it when that is empty.

    ``word``: HELD or PINNED, and the message.
    """
    name, message = word
    others = [item for item in shown if item.get("type") != name]
    if not message:
        return others
    found = next((item for item in before if item.get("type") == name), {})
    moved = found.get("lastTransitionTime") or rfc3339(now)
    return [Condition(name, "True", f"{name}ByHistory", message, moved, generation).to_json(), *others]


def author_conditions(
    given: Sequence[JsonObject], before: Sequence[JsonObject], generation: int, now: int, *, dropped: Collection[str]
) -> list[JsonObject]:
    """The definition's own conditions as they are shown, in the order declared, then those that stay from before.

    ``before`` holds only what may stay; ``dropped`` types do not. The transition time moves with the status.
    """
    stored = {str(item.get("type")): item for item in before}
    found = []
    for item in given:
        old = stored.pop(item["type"], {})
        same = old.get("status") == item["status"] and old.get("lastTransitionTime")
        texts = {name: item[name] for name in ("reason", "message") if item[name]}
        found.append(
            {
                "type": item["type"],
                "status": item["status"],
                **texts,
                "lastTransitionTime": old["lastTransitionTime"] if same else rfc3339(now),
                "observedGeneration": generation,
            }
        )
    return [*found, *(item for name, item in stored.items() if name not in dropped)]
