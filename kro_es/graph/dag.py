"""Which resource waits for which: the order they are worked on, the waves they are deleted in, and cycles."""

from __future__ import annotations

import graphlib
import heapq
from collections import deque
from collections.abc import Mapping, Sequence

from kro_es.errors import UserError


class CycleError(UserError):
    """Resources that wait for each other."""

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(f"graph contains a cycle: {' -> '.join(cycle)}")
        self.cycle = cycle
        """Starts and ends at the resource listed first; each waits for the next."""


def topological_order(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Every resource after those it depends on, else in the order listed; raises CycleError (spec/04 §3.11)."""
    names = list(dependencies)
    index = {name: position for position, name in enumerate(names)}
    sorter = _prepared(dependencies)
    ready: list[int] = []
    order: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, index[name])
        order.append(names[heapq.heappop(ready)])
        sorter.done(order[-1])
    return tuple(order)


def waves(dependencies: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Apply order of each resource: what nothing depends on has the highest number (spec/03 §2.4).

    There must be no cycle: :func:`topological_order` tells of one.
    """
    dependents: dict[str, list[str]] = {name: [] for name in dependencies}
    for name, needed in dependencies.items():
        for other in needed:
            dependents[other].append(name)
    sorter = _prepared(dependents)
    layers: list[tuple[str, ...]] = []
    while sorter.is_active():
        layers.append(sorter.get_ready())
        sorter.done(*layers[-1])
    return {name: len(layers) - depth for depth, layer in enumerate(layers) for name in layer}


def _prepared(edges: Mapping[str, Sequence[str]]) -> graphlib.TopologicalSorter[str]:
    sorter = graphlib.TopologicalSorter(edges)
    try:
        sorter.prepare()
    except graphlib.CycleError:
        raise CycleError(_cycle(edges)) from None
    return sorter


def _cycle(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Shortest cycle through the first resource that is on one."""
    import networkx as nx  # noqa: PLC0415 - a fifth of a second that only a definition with a cycle has to wait for

    index = {name: position for position, name in enumerate(dependencies)}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((name, needed) for name, all_needed in dependencies.items() for needed in all_needed)
    knots = [names for names in nx.strongly_connected_components(graph) if len(names) > 1]
    knots += [{name} for name in nx.nodes_with_selfloops(graph)]
    start = min((name for names in knots for name in names), key=index.__getitem__)
    before: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for needed in sorted(graph.successors(name), key=index.__getitem__):
            if needed == start:
                path = [name]
                while path[-1] != start:
                    path.append(before[path[-1]])
                return (*reversed(path), start)
            if needed not in before:
                before[needed] = name
                queue.append(needed)
    raise AssertionError("a strongly connected component without a cycle")
