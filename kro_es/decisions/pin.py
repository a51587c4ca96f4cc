"""Which revision an instance runs: the active one, or the one it is pinned to; a pin that cannot be kept stops everything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from kro_es.api import metadata
from kro_es.api.conditions import rfc3339
from kro_es.api.objects import JsonObject, annotations_of, labels
from kro_es.api.selector import Selector
from kro_es.events.types import InstancePinned, InstanceUnpinned
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row
from kro_es.schema.pruned import unserved

_MARK = re.compile(r"revision (\d{1,9})@([0-9a-f]{16})\Z")


@dataclass(frozen=True, slots=True)
class Pin:
    """What an instance is pinned to: by the log's word, else by the annotation it carries."""

    number: int
    """0: the annotation names no revision."""
    mark: str
    row: Row | None
    """Its row in ``pins``; None when only the object knows of it, as after the loss of a log."""

    @classmethod
    def of(cls, instance: JsonObject, row: Row | None) -> Pin | None:
        """None when it is not pinned."""
        mark = str(row["mark"]) if row else annotations_of(instance).get(metadata.PINNED, "")
        if not mark:
            return None
        return cls(number_of(mark), mark, row)

    def unknown(self, revision: Row | None) -> str:
        """Why the log's revision of that number is not the one that is meant; empty when it is."""
        if revision is not None and self.number and mark_of(self.number, str(revision["spec_hash"])) == self.mark:
            return ""
        return f"pinned to {self.mark}, which this log does not know"


Moved: TypeAlias = InstancePinned | InstanceUnpinned


@dataclass(frozen=True, slots=True)
class SelectorPin:
    """Instances of one definition that are pinned by their labels, whoever has them and whenever."""

    namespace: str
    """Empty: every namespace."""
    selector: str
    number: int
    mark: str
    position: int
    """Of the command."""
    actor: str
    reason: str
    since: int

    @classmethod
    def all_of(cls, definition: Row | None) -> tuple[SelectorPin, ...]:
        """Those of a row of ``definitions``, the oldest command first."""
        known = definition["pins"] if definition else None
        assert known is None or isinstance(known, list)
        return tuple(cls(**one) for one in known or ())

    def selects(self, instance: JsonObject) -> bool:
        here = self.namespace in ("", instance["metadata"].get("namespace", ""))
        return here and _selector(self.selector).matches(labels(instance))


@lru_cache(maxsize=256)
def _selector(text: str) -> Selector:
    return Selector.of_text(text)


def selecting(instance: JsonObject, definition: Row | None) -> SelectorPin | None:
    """What pins the instance by its labels: of several the newest command counts."""
    found = [one for one in SelectorPin.all_of(definition) if one.selects(instance)]
    return found[-1] if found else None


def moved(instance: JsonObject, row: Row | None, definition_uid: str, definition: Row | None) -> Moved | None:
    """What has to be recorded about it before anything is decided; None when its row is as its labels say.

    A pin of its own counts more than one by labels.
    """
    if of_its_own(instance, row):
        return None
    found = selecting(instance, definition)
    if found is not None and (row is None or row["by"] != found.position):
        assert definition is not None
        return InstancePinned(
            definition_uid, str(definition["definition"]), found.number, found.mark, found.selector, found.position,
            found.actor, found.reason,
        )  # fmt: skip
    if found is None and row is not None:
        return InstanceUnpinned(str(row["definition_uid"]), str(row["selector"]))
    return None


def of_its_own(instance: JsonObject, row: Row | None) -> bool:
    """Whether it is pinned by its own name, by the log's word or else by the annotation it carries."""
    return row["by"] == 0 if row else metadata.PINNED in annotations_of(instance)


def number_of(mark: str) -> int:
    """The revision a mark names; 0 when it names none."""
    found = _MARK.match(mark)
    return int(found[1]) if found else 0


def mark_of(number: int, spec_hash: str) -> str:
    """What the annotation says: ``revision 2@<first of the hash>``."""
    return f"revision {number}@{spec_hash[:16]}"


def unkept(number: int, graph: ResourceGraph, active: ResourceGraph) -> str:
    """Why the pin cannot be kept with the API that is installed for the active revision; empty when it can."""
    lacking = unserved(graph.crd, active.crd)
    return f"the CRD lacks what revision {number} needs: {', '.join(lacking)}" if lacking else ""


def told(pin: Pin | None, trouble: str) -> str:
    """The message of the condition Pinned; empty when it is not pinned."""
    if pin is None:
        return ""
    end = "kro-history unpin"
    if pin.row is not None and pin.row["by"]:
        end += f" {str(pin.row['kind']).lower()} -l '{pin.row['selector']}'"
    if trouble:
        return f"{trouble}: nothing is applied until {end}"
    by = ""
    if pin.row is not None:
        reason = f": {pin.row['reason']}" if pin.row["reason"] else ""
        chosen = f" by its labels ({pin.row['selector']})" if pin.row["by"] else ""
        by = f"{chosen} since {rfc3339(int(str(pin.row['since'])))} by {pin.row['actor']}{reason}"
    return f"pinned to revision {pin.number}{by}; it follows no other revision until {end}"
