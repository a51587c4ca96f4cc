"""The choice of the revision an instance runs, from rows and compiled graphs; the same in a pass and in its replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kro_es.decisions.inputs import Followed
from kro_es.decisions.pin import Pin, unkept
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row


@dataclass(frozen=True, slots=True)
class Graphs:
    """Compiled revisions of the definition that serves the kind of the instance."""

    definition_uid: str
    """Empty when no definition serves it."""
    compiled: Callable[[str, int], ResourceGraph | None]
    """By uid of the definition and number; None while it is not at hand."""
    uncompiled: Callable[[str, int], str]
    """Why that revision does not compile; empty when it does, or nobody tried."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Nothing but a number in ``lacking``: that revision has to be compiled before anything is decided."""

    followed: Followed | None = None
    unkept: str = ""
    """Why the instance cannot run the revision it is pinned to."""
    uncompiled: str = ""
    lacking: int = 0


def choose(head: Row | None, pin: Pin | None, revision: Row | None, graphs: Graphs) -> Choice:
    """``head``: the definition's row; ``revision``: that of the revision it is pinned to."""
    if head is None or not head["active"]:
        return Choice()
    name, uid, number = str(head["definition"]), graphs.definition_uid, int(str(head["active"]))
    active = graphs.compiled(uid, number)
    if active is None:
        return Choice()
    if pin is None:
        return Choice(Followed(name, uid, number, active, int(str(head["activated_position"]))))
    if text := pin.unknown(revision):
        return Choice(unkept=text)
    if text := graphs.uncompiled(uid, pin.number):
        return Choice(unkept=f"revision {pin.number} does not compile any more: {text}", uncompiled=text)
    graph = active if pin.number == number else graphs.compiled(uid, pin.number)
    if graph is None:
        return Choice(lacking=pin.number)
    if text := unkept(pin.number, graph, active):
        return Choice(unkept=text)
    assert revision is not None
    since = int(str(revision["activated_position"] or revision["position"]))
    return Choice(Followed(name, uid, pin.number, graph, since))
