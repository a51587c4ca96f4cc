"""Which revision an instance runs: the active one, or the one it is pinned to; a pin that cannot be kept stops everything."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.conditions import rfc3339
from kro_es.api.objects import JsonObject, annotations_of
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
        found = _MARK.match(mark)
        return cls(int(found[1]) if found else 0, mark, row)

    def unknown(self, revision: Row | None) -> str:
        """Why the log's revision of that number is not the one that is meant; empty when it is."""
        if revision is not None and self.number and mark_of(self.number, str(revision["spec_hash"])) == self.mark:
            return ""
        return f"pinned to {self.mark}, which this log does not know"


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
    if trouble:
        return f"{trouble}: nothing is applied until kro-history unpin"
    by = ""
    if pin.row is not None:
        reason = f": {pin.row['reason']}" if pin.row["reason"] else ""
        by = f" since {rfc3339(int(str(pin.row['since'])))} by {pin.row['actor']}{reason}"
    return f"pinned to revision {pin.number}{by}; it follows no other revision until kro-history unpin"
