"""What one overload of a function is: the checker reads its types, the compiler its implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kro_es.cel.types import CelType, TypeParam
from kro_es.cel.values import CelValue

Implementation = Callable[..., CelValue]

T = TypeParam("T")
K = TypeParam("K")
V = TypeParam("V")


@dataclass(frozen=True, slots=True)
class Overload:
    """One signature; the receiver of a member function is its first parameter."""

    function: str
    parameters: tuple[CelType, ...]
    result: CelType
    implementation: Implementation
    member: bool = False
    generic: Implementation | None = None
    """Runs instead when a static type is dyn: it looks at the values itself."""


def function(name: str, parameters: tuple[CelType, ...], result: CelType, implementation: Implementation) -> Overload:
    return Overload(name, parameters, result, implementation)


def member(name: str, parameters: tuple[CelType, ...], result: CelType, implementation: Implementation) -> Overload:
    return Overload(name, parameters, result, implementation, member=True)
