"""The one table of functions: what the checker accepts, the compiler can run, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter

from kro_es.cel.libraries import conversions, encoding, kro, lists, operators, optionals, runtime, strings, times
from kro_es.cel.overloads import Overload

_LIBRARIES = (operators, conversions, strings, lists, optionals, times, encoding, kro, runtime)


def _table() -> dict[str, tuple[Overload, ...]]:
    every = [overload for library in _LIBRARIES for overload in library.OVERLOADS]
    name = attrgetter("function")
    return {key: tuple(group) for key, group in groupby(sorted(every, key=name), key=name)}


FUNCTIONS: Mapping[str, tuple[Overload, ...]] = _table()

UNSUPPORTED = frozenset(
    {
        "type", "format", "quantity", "isQuantity", "sign", "url", "isURL", "ip", "isIP", "cidr", "isCIDR",
        "semver", "isSemver", "json.encode", "strings.quote", "ip.isCanonical",
    }
)  # fmt: skip
"""Functions kro has and we do not have yet: refused by name, so that nobody looks for a typing mistake."""


def is_namespaced(name: str) -> bool:
    """Whether ``receiver.function`` is one function, so that its receiver is no variable."""
    return name in FUNCTIONS or name in UNSUPPORTED


def is_global(name: str) -> bool:
    return any(not overload.member for overload in FUNCTIONS.get(name, ()))
