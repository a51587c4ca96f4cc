"""Compiled graphs by revision, in memory: what instances run, whether it is the active revision or the one they are pinned to."""

from __future__ import annotations

from dataclasses import dataclass, field

from kro_es.graph.node import ResourceGraph


@dataclass(slots=True)
class Graphs:
    """Filled by the definition reconciler, and for pins on demand; read by every pass."""

    _compiled: dict[tuple[str, int], ResourceGraph] = field(default_factory=dict)
    _pinned: dict[tuple[str, int], ResourceGraph | str] = field(default_factory=dict)
    _serving: dict[tuple[str, str], str] = field(default_factory=dict)

    def put(self, definition_uid: str, number: int, graph: ResourceGraph) -> None:
        """Keep the graph of a revision; the ones before the newest two are dropped."""
        self._compiled[(definition_uid, number)] = graph
        mine = sorted(key for key in self._compiled if key[0] == definition_uid)
        for key in mine[:-2]:
            del self._compiled[key]

    def put_pinned(self, definition_uid: str, number: int, graph: ResourceGraph | str) -> None:
        """Keep the graph of a revision somebody is pinned to, whatever becomes active, or why it does not compile."""
        self._pinned[(definition_uid, number)] = graph

    def get(self, definition_uid: str, number: int) -> ResourceGraph | None:
        found = self._compiled.get((definition_uid, number)) or self._pinned.get((definition_uid, number))
        return None if isinstance(found, str) else found

    def uncompiled(self, definition_uid: str, number: int) -> str:
        """Why the revision does not compile; empty when it does, or nobody tried."""
        found = self._pinned.get((definition_uid, number))
        return found if isinstance(found, str) else ""

    def serve(self, group: str, kind: str, definition_uid: str) -> None:
        self._serving[(group, kind)] = definition_uid

    def server(self, group: str, kind: str) -> str:
        """uid of the definition whose graph instances of this kind follow; empty when none does."""
        return self._serving.get((group, kind), "")

    def withdraw(self, definition_uid: str) -> None:
        """Instances of the definition follow nothing any more; deleting them still works."""
        self._serving = {kind: owner for kind, owner in self._serving.items() if owner != definition_uid}
        self._compiled = {key: graph for key, graph in self._compiled.items() if key[0] != definition_uid}
        self._pinned = {key: graph for key, graph in self._pinned.items() if key[0] != definition_uid}
