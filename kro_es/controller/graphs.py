"""Compiled graphs by revision, in memory: an instance follows the active revision of the definition that serves its kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from kro_es.api.objects import ObjectRef
from kro_es.controller.ports import Reader
from kro_es.decisions.inputs import Followed
from kro_es.graph.node import ResourceGraph


@dataclass(slots=True)
class Graphs:
    """Filled by the definition reconciler, read by every pass."""

    _compiled: dict[tuple[str, int], ResourceGraph] = field(default_factory=dict)
    _serving: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def put(self, definition_uid: str, number: int, graph: ResourceGraph) -> None:
        """Keep the graph of a revision; the ones before the newest two are dropped."""
        self._compiled[(definition_uid, number)] = graph
        mine = sorted(key for key in self._compiled if key[0] == definition_uid)
        for key in mine[:-2]:
            del self._compiled[key]

    def get(self, definition_uid: str, number: int) -> ResourceGraph | None:
        return self._compiled.get((definition_uid, number))

    def serve(self, group: str, kind: str, definition: str, definition_uid: str) -> None:
        self._serving[(group, kind)] = (definition, definition_uid)

    def server(self, group: str, kind: str) -> str | None:
        """uid of the definition whose graph instances of this kind follow, if any."""
        owner = self._serving.get((group, kind))
        return owner[1] if owner else None

    def withdraw(self, definition_uid: str) -> None:
        """Instances of the definition follow nothing any more; deleting them still works."""
        self._serving = {kind: owner for kind, owner in self._serving.items() if owner[1] != definition_uid}
        self._compiled = {key: graph for key, graph in self._compiled.items() if key[0] != definition_uid}

    def followed(self, reader: Reader, instance: ObjectRef) -> Followed | None:
        """The active revision an instance follows at the reader's position."""
        owner = self._serving.get((instance.group, instance.kind))
        if owner is None:
            return None
        name, definition_uid = owner
        row = reader.row("definitions", definition_uid)
        if row is None or not row["active"]:
            return None
        number = int(str(row["active"]))
        graph = self._compiled.get((definition_uid, number))
        if graph is None:
            return None
        return Followed(name, definition_uid, number, graph, int(str(row["activated_position"])))
