"""Which resource waits for which: the order they are worked on, the waves they are deleted in, and cycles."""

from __future__ import annotations

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
    dependents = _dependents(dependencies)
    missing = {name: len(set(needed)) for name, needed in dependencies.items()}
    ready = [index[name] for name, count in missing.items() if not count]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        order.append(names[heapq.heappop(ready)])
        for name in dependents[order[-1]]:
            missing[name] -= 1
            if not missing[name]:
                heapq.heappush(ready, index[name])
    if len(order) < len(names):
        raise CycleError(_cycle(dependencies))
    return tuple(order)


def waves(dependencies: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Apply order of each resource: what nothing depends on has the highest number (spec/03 §2.4).

    Raises CycleError.
    """
    dependents = _dependents(dependencies)
    depths: dict[str, int] = {}
    for name in reversed(topological_order(dependencies)):
        depths[name] = max((depths[other] + 1 for other in dependents[name]), default=0)
    layers = max(depths.values(), default=-1) + 1
    return {name: layers - depths[name] for name in dependencies}


def _dependents(dependencies: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in dependencies}
    for name, needed in dependencies.items():
        for other in dict.fromkeys(needed):
            found[other].append(name)
    return found


def _cycle(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Shortest cycle through the first resource that is on one; ties go to what is listed first."""
    index = {name: position for position, name in enumerate(dependencies)}
    for start in dependencies:
        before: dict[str, str] = {}
        queue = deque([start])
        while queue:
            name = queue.popleft()
            for needed in sorted(dependencies[name], key=index.__getitem__):
                if needed == start:
                    path = [name]
                    while path[-1] != start:
                        path.append(before[path[-1]])
                    return (*reversed(path), start)
                if needed not in before:
                    before[needed] = name
                    queue.append(needed)
    raise AssertionError("asked for a cycle where there is none")
