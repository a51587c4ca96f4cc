"""How often a process that runs for long looks for cycles of objects that nothing refers to any more: seldom."""

from __future__ import annotations

import gc

_THRESHOLDS = (10_000, 20, 50)


def collect_seldom() -> None:
    """To be called once, when everything is imported.

    Objects of Kubernetes are trees, which go with their last reference. Looking through them for cycles took a tenth
    of the writer's time, and everybody waits while the whole of the memory is looked through.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
