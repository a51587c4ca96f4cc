"""Room on the interpreter's stack: the stages walk a tree by recursion, and the limit of depth is theirs to set."""

from __future__ import annotations

import sys

MAX_DEPTH = 1_000
"""Levels of a tree: a chain of operators nests without brackets."""
SHALLOW = 100
"""Up to here any stack will do."""
_FRAMES = 8
"""At most, for each level, in the deepest of the stages."""


def make_room() -> None:
    """Raises the recursion limit if some other library left it too low; the frames are Python's, not C's."""
    if sys.getrecursionlimit() < _FRAMES * MAX_DEPTH:
        sys.setrecursionlimit(_FRAMES * MAX_DEPTH)
