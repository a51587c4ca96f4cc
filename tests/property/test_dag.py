"""Any graph of resources has the order of spec/04 §3.11, or a cycle that starts where the list does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kro_es.graph.dag import CycleError, topological_order, waves

Graph = dict[str, tuple[str, ...]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    names = draw(st.permutations([f"n{number}" for number in range(draw(st.integers(0, 7)))]))
    return {
        name: tuple(
            draw(st.lists(st.sampled_from([other for other in names if other != name]), unique=True, max_size=2))
        )
        if len(names) > 1
        else ()
        for name in names
    }


def _by_hand(graph: Graph) -> list[str]:
    """Again and again the first of the list that has all it needs."""
    order: list[str] = []
    while True:
        ready = (name for name, needed in graph.items() if name not in order and set(needed) <= set(order))
        found = next(ready, None)
        if found is None:
            return order
        order.append(found)


def _reaches(graph: Graph, start: str, goal: str) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
            if goal in graph[name]:
                return True
    return False


def _check_cycle(graph: Graph, cycle: tuple[str, ...], first: str) -> None:
    assert cycle[0] == cycle[-1] == first
    assert all(right in graph[left] for left, right in pairwise(cycle))
    assert len(set(cycle)) == len(cycle) - 1


@settings(derandomize=True, deadline=None)
@given(graphs())
def test_the_order_is_the_list_as_far_as_dependencies_allow(graph: Graph) -> None:
    knots = [name for name in graph if _reaches(graph, name, name)]
    if knots:
        with pytest.raises(CycleError) as caught:
            topological_order(graph)
        _check_cycle(graph, caught.value.cycle, knots[0])
        return
    order = topological_order(graph)
    assert list(order) == _by_hand(graph)
    numbers = waves(graph)
    assert all(numbers[needed] < numbers[name] for name, all_needed in graph.items() for needed in all_needed)
    last = max(numbers.values(), default=0)
    needed_by_somebody = {needed for all_needed in graph.values() for needed in all_needed}
    assert all((numbers[name] == last) == (name not in needed_by_somebody) for name in graph)
