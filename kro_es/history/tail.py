"""Events that no projection has folded yet: what command lines append while no controller runs is seen all the same."""

from __future__ import annotations

from kro_es.events.types import Event
from kro_es.history.memory import Memory
from kro_es.history.source import History, Table
from kro_es.projections.projection import Projection
from kro_es.projections.timeline import Timeline

_MOST = 1000
"""Of a projector that is far behind only the newest are read: command lines append a handful."""


def events(history: History, projection: Projection) -> list[Event]:
    """Oldest first; none while the projection is at the end of the log, as it is whenever its controller runs."""
    sql = "SELECT position, version FROM projection_checkpoints WHERE name = ?"
    found = history.rows(sql, (projection.name,))
    head = history.log.head()
    if not found or found[0]["version"] != projection.version or found[0]["position"] == head:
        return []
    return history.log.read(max(int(str(found[0]["position"])) + 1, head - _MOST + 1), _MOST)


def reach(history: History, projection: Projection) -> int:
    """Position up to which nothing is missing from the projection's rows and :func:`events` together."""
    found = history.rows("SELECT position FROM projection_checkpoints WHERE name = ?", (projection.name,))
    folded = int(str(found[0]["position"])) if found else 0
    late = events(history, projection)
    return late[-1].position if late and late[0].position == folded + 1 else folded


def rows(history: History, projection: Projection) -> Table:
    """Rows of a small projection as they will be once everything is folded, with their keys."""
    late = events(history, projection)  # before the rows: what is folded in between is in both, and folds to the same
    found = {str(row["key"]): row for row in history.rows(f"SELECT * FROM p_{projection.name}")}  # noqa: S608 the name is ours
    memory = Memory([projection])
    for event in late:
        memory.fold(event)
        for key in projection.keys(event):
            row = memory.row(projection.name, key)
            if row is None:
                found.pop(key, None)
            else:
                found[key] = {"key": key, **row}
    return list(found.values())


def timeline_rows(history: History) -> Table:
    """Rows the timeline has not got yet: of commands that were given while no controller runs.

    To be asked before the rows it has: what is folded in between is in both then, and else in neither.
    """
    timeline = Timeline()
    return [
        dict(row)
        for event in events(history, timeline)
        for own in timeline.keys(event)
        if (row := timeline.fold(own, None, event)) is not None
    ]
