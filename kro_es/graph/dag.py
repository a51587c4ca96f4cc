"""Which resource waits for which: the order they are worked on, the waves they are deleted in, and cycles."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import networkx as nx

from kro_es.errors import UserError


class CycleError(UserError):
    """Resources that wait for each other."""

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(f"graph contains a cycle: {' -> '.join(cycle)}")
        self.cycle = cycle
        """Starts and ends at the resource listed first; each waits for the next."""


def topological_order(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Every resource after those it depends on, else in the order listed; raises CycleError (spec/04 §3.11)."""
    index = {name: position for position, name in enumerate(dependencies)}
    graph = _graph(dependencies)
    try:
        return tuple(nx.lexicographical_topological_sort(graph, key=index.__getitem__))
    except nx.NetworkXUnfeasible:
        raise CycleError(_cycle(graph, index)) from None


def waves(dependencies: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Apply order of each resource: what nothing depends on has the highest number (spec/03 §2.4)."""
    layers = list(nx.topological_generations(_graph(dependencies).reverse(copy=False)))
    return {name: len(layers) - depth for depth, layer in enumerate(layers) for name in layer}


def _graph(dependencies: Mapping[str, Sequence[str]]) -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(dependencies)
    graph.add_edges_from((needed, name) for name, all_needed in dependencies.items() for needed in all_needed)
    return graph


def _cycle(graph: nx.DiGraph[str], index: Mapping[str, int]) -> tuple[str, ...]:
    """Shortest cycle through the first resource that is on one."""
    knots = [names for names in nx.strongly_connected_components(graph) if len(names) > 1]
    start = min((name for names in knots for name in names), key=index.__getitem__)
    before: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for needed in sorted(graph.predecessors(name), key=index.__getitem__):
            if needed == start:
                path = [name]
                while path[-1] != start:
                    path.append(before[path[-1]])
                return (*reversed(path), start)
            if needed not in before:
                before[needed] = name
                queue.append(needed)
    raise AssertionError("a strongly connected component without a cycle")
