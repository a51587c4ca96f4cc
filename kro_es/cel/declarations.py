"""The one table of functions: what the checker accepts, the compiler can run, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from kro_es.cel.libraries import (
    conversions,
    encoding,
    formatting,
    kro,
    lists,
    mathematics,
    names,
    network,
    operators,
    optionals,
    quantities,
    reflection,
    regexes,
    runtime,
    sets,
    strings,
    times,
    urls,
    versions,
)
from kro_es.cel.overloads import Overload

_KRO: tuple[tuple[Overload, ...], ...] = (
    operators.OVERLOADS, conversions.OVERLOADS, reflection.OVERLOADS, strings.OVERLOADS, regexes.OVERLOADS,
    formatting.OVERLOADS, lists.OVERLOADS, optionals.OVERLOADS, times.OVERLOADS, encoding.OVERLOADS,
    urls.OVERLOADS, quantities.OVERLOADS, network.OVERLOADS, versions.OVERLOADS, kro.OVERLOADS, runtime.OVERLOADS,
)  # fmt: skip
_BEYOND: tuple[tuple[Overload, ...], ...] = (
    operators.ACROSS_NUMBERS, mathematics.OVERLOADS, sets.OVERLOADS, regexes.EXTENSION, lists.INCLUDES,
    versions.NORMALIZING, names.OVERLOADS,
)  # fmt: skip


def _table(libraries: Iterable[tuple[Overload, ...]]) -> dict[str, tuple[Overload, ...]]:
    every = [overload for library in libraries for overload in library]
    name = attrgetter("function")
    return {key: tuple(group) for key, group in groupby(sorted(every, key=name), key=name)}


@dataclass(frozen=True, eq=False)
class Environment:
    """What an expression may use, beyond its variables."""

    name: str
    functions: Mapping[str, tuple[Overload, ...]] = field(repr=False)

    def is_namespaced(self, name: str) -> bool:
        """Whether ``receiver.function`` is one function: of ``math.abs`` the receiver is no variable."""
        return name in self.functions or name in UNSUPPORTED


KRO = Environment("kro", _table(_KRO))
"""Exactly what kro's own environment has (spec/02 §4.1)."""
FULL = Environment("full", _table((*_KRO, *_BEYOND)))
"""kro's environment and the libraries of cel-go and Kubernetes that kro leaves out; what is used by default."""

ENVIRONMENTS: Mapping[str, Environment] = {environment.name: environment for environment in (FULL, KRO)}

UNSUPPORTED: Mapping[str, str] = {
    **dict.fromkeys(
        ("authorizer.path", "authorizer.group", "authorizer.serviceAccount"),
        "the authorizer asks the API server, and expressions ask nobody",
    ),
    **dict.fromkeys(("proto.hasExt", "proto.getExt"), "there are no protobuf messages"),
}
"""Functions of other CEL environments that are left out for a reason: refused by name and with that reason."""
