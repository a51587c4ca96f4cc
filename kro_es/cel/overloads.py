"""What one overload of a function is: the checker reads its types, the compiler its implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kro_es.cel.types import CelType, TypeParam, type_name
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

    def __str__(self) -> str:
        """``string.find(string) -> string`` for a member, ``quantity(string) -> kubernetes.Quantity`` for the others."""
        names = [type_name(of, short=True) for of in self.parameters]
        receiver = f"{names.pop(0)}." if self.member else ""
        return f"{receiver}{self.function}({', '.join(names)}) -> {type_name(self.result, short=True)}"


def function(name: str, parameters: tuple[CelType, ...], result: CelType, implementation: Implementation) -> Overload:
    return Overload(name, parameters, result, implementation)


def member(name: str, parameters: tuple[CelType, ...], result: CelType, implementation: Implementation) -> Overload:
    return Overload(name, parameters, result, implementation, member=True)
