"""The parts of the kubernetes library that are used, configuration and session, without the rest of it being loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes.aio import config
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.client.rest import RESTClientObject

__all__ = ["Configuration", "RESTClientObject", "config"]
_EMPTY = ("kubernetes", "kubernetes.aio", "kubernetes.aio.client")
"""What these packages import by themselves, a second library without asyncio among it, is of no use here: 17 MiB and a
sixth of a second of every start."""


@contextmanager
def _packages_alone() -> Iterator[dict[str, ModuleType]]:
    """While it lasts the packages that nobody has loaded yet lead to what is below them, and hold nothing themselves.

    Who imports one of them afterwards gets the whole.
    """
    made: dict[str, ModuleType] = {}
    try:
        for name in _EMPTY:
            if name not in sys.modules and (spec := find_spec(name)) is not None:
                sys.modules[name] = made[name] = module_from_spec(spec)
        yield made
    finally:
        for name in made:
            del sys.modules[name]


with _packages_alone() as _made:
    from kubernetes.aio.client.configuration import Configuration

    if "kubernetes.aio.client" in _made:
        _made["kubernetes.aio.client"].__dict__.update(Configuration=Configuration, ApiClient=None)
    from kubernetes.aio import config
    from kubernetes.aio.client.rest import RESTClientObject
