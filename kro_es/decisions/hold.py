"""A held object follows the log; one that says it is held while the log does not know at what follows nothing."""

from __future__ import annotations

from kro_es.api import metadata
from kro_es.api.conditions import rfc3339
from kro_es.api.objects import JsonObject, annotations_of
from kro_es.projections.projection import Row


def effective(obj: JsonObject, hold: Row | None) -> JsonObject:
    """The object with the spec that counts."""
    return obj if hold is None else {**obj, "spec": hold["spec"]}


def lost(obj: JsonObject, hold: Row | None) -> str:
    """Why nothing may be done with the object; empty when the log knows what it is held at, or it is not held.

    So it is with another log than the one it was held by: doing nothing is what surely undoes nothing.
    """
    mark = annotations_of(obj).get(metadata.HELD, "")
    if not mark or hold is not None:
        return ""
    return f"held at {mark}, which this log does not know: nothing is applied until kro-history release"


def told(obj: JsonObject, hold: Row | None) -> str:
    """The message of the condition Held; empty when it is not held."""
    if hold is None:
        return lost(obj, hold)
    since = rfc3339(int(str(hold["since"])))
    reason = f": {hold['reason']}" if hold["reason"] else ""
    return (
        f"held at {hold['mark']} since {since} by {hold['actor']}{reason}; later edits are recorded and not applied"
        " until kro-history release"
    )
