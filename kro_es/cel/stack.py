"""Room on the interpreter's stack: the stages walk a tree by recursion, and the limit of depth is theirs to set."""

from __future__ import annotations

import sys

MAX_DEPTH = 1_000
"""Levels of a tree: a chain of operators nests without brackets."""
SHALLOW = 60
"""Levels any stack has room for."""
_FRAMES = 8
"""At most, for each level, in the deepest of the stages."""


def make_room(levels: int) -> None:
    """Raises the recursion limit where a tree needs more than every stack has; the frames are Python's, not C's."""
    if levels > SHALLOW and sys.getrecursionlimit() < _FRAMES * MAX_DEPTH:
        sys.setrecursionlimit(_FRAMES * MAX_DEPTH)
