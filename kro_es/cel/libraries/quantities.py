"""Kubernetes quantities: exact decimals with the same idea of what an integer is as the API server's."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import re2

from kro_es.cel.errors import BadQuantity
from kro_es.cel.overloads import Overload, function, member
from kro_es.cel.types import BOOL, DOUBLE, INT, STRING, OpaqueType
from kro_es.cel.values import INT_MAX, INT_MIN, Opaque

QUANTITY = OpaqueType("kubernetes.Quantity")

_FORM = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_BAD_FORM = f"quantities must match the regular expression '{_FORM}'"
_BAD_SUFFIX = "unable to parse quantity's suffix"
_PARTS = re2.compile(r"^([+-]?)0*([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_NANO = -9
_DIGITS = 18
"""So many decimal digits surely fit into 64 bits."""
_MAX_EXPONENT = 1_000
"""Beyond any quantity; two far exponents must not be added by writing out the zeros between."""


@dataclass(frozen=True, slots=True)
class Quantity(Opaque):
    """``units`` times ten to ``scale``; ``small`` as long as the API server would keep it in 64 bits."""

    cel_type: ClassVar[str] = QUANTITY.name
    units: int
    scale: int
    small: bool

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.compare(other) == 0

    def __hash__(self) -> int:
        return hash(Fraction(self.units) * Fraction(10) ** self.scale)

    def _at(self, scale: int) -> int:
        return self.units * int(10 ** (self.scale - scale))

    def compare(self, other: Quantity) -> int:
        scale = min(self.scale, other.scale)
        left, right = self._at(scale), other._at(scale)
        return (left > right) - (left < right)

    def plus(self, other: Quantity, sign: int = 1) -> Quantity:
        if self.units == 0 and sign > 0:
            return other
        if other.units == 0:
            return self
        scale = min(self.scale, other.scale)
        left, right = self._at(scale), other._at(scale)
        total = left + sign * right
        fits = all(INT_MIN <= part <= INT_MAX for part in (left, right, total))
        return Quantity(total, scale, self.small and other.small and fits)

    def integer(self) -> int | None:
        """None for fractions, for what does not fit, and for what was written with decimals, as in ``1.0``."""
        if self.units == 0 and self.small:
            return 0
        if not self.small or self.scale < 0:
            return None
        value = self._at(0)
        return value if INT_MIN <= value <= INT_MAX else None


def parse_quantity(text: str) -> Quantity:
    """Raises BadQuantity when ``text`` is no quantity."""
    found = _PARTS.match(text) if text and len(text) < 1_000 else None
    if found is None:
        raise BadQuantity(_BAD_FORM)
    sign, whole, fraction, suffix = (part or "" for part in found.groups())
    digits = int(whole + fraction or "0") * (-1 if sign == "-" else 1)
    if suffix in _BINARY:
        return _binary(digits, len(whole), fraction, _BINARY[suffix])
    scale = _exponent(suffix) - len(fraction)
    if scale >= _NANO and len(whole or "0") + len(fraction) <= _DIGITS:
        return Quantity(digits, scale, True)
    return _rounded(digits, scale)


def _exponent(suffix: str) -> int:
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    try:
        exponent = int(suffix[1:]) if suffix[0] in "eE" and len(suffix) < 12 else None
    except ValueError:
        exponent = None
    if exponent is None or abs(exponent) > _MAX_EXPONENT:
        raise BadQuantity(_BAD_SUFFIX)
    return exponent


def _binary(digits: int, length: int, fraction: str, power: int) -> Quantity:
    value = digits << power
    # the API server's estimate of the digits such a product takes
    if not fraction and 15 - max(1, length) - power * 3 // 10 - 1 >= 0:
        return Quantity(value, 0, True)
    rounded = _rounded(value, -len(fraction))
    limit = Quantity(INT_MAX, 0, False)
    if abs(rounded.units) * 10 ** (rounded.scale + 9) > INT_MAX * 10**9:
        return Quantity(-limit.units if digits < 0 else limit.units, 0, False)
    return rounded


def _rounded(units: int, scale: int) -> Quantity:
    """No finer than nano, away from zero: who asks for some of a resource gets some."""
    if scale >= _NANO:
        return Quantity(units, scale, False)
    size = -(-abs(units) // 10 ** (_NANO - scale))
    return Quantity(-size if units < 0 else size, _NANO, False)


def _is_quantity(text: str) -> bool:
    try:
        parse_quantity(text)
    except BadQuantity:
        return False
    return True


def _integer(quantity: Quantity) -> int:
    value = quantity.integer()
    if value is None:
        raise BadQuantity("cannot convert value to integer")
    return value


def _float(quantity: Quantity) -> float:
    # two roundings, as in the API server
    return float(quantity.units) * float(f"1e{quantity.scale}") if quantity.scale else float(quantity.units)


def _whole(value: int) -> Quantity:
    return Quantity(value, 0, True)


_TWO = (QUANTITY, QUANTITY)

OVERLOADS: tuple[Overload, ...] = (
    function("quantity", (STRING,), QUANTITY, parse_quantity),
    function("isQuantity", (STRING,), BOOL, _is_quantity),
    function("sign", (QUANTITY,), INT, lambda quantity: (quantity.units > 0) - (quantity.units < 0)),
    member("isInteger", (QUANTITY,), BOOL, lambda quantity: quantity.integer() is not None),
    member("asInteger", (QUANTITY,), INT, _integer),
    member("asApproximateFloat", (QUANTITY,), DOUBLE, _float),
    member("isGreaterThan", _TWO, BOOL, lambda left, right: left.compare(right) > 0),
    member("isLessThan", _TWO, BOOL, lambda left, right: left.compare(right) < 0),
    member("compareTo", _TWO, INT, Quantity.compare),
    member("add", _TWO, QUANTITY, Quantity.plus),
    member("add", (QUANTITY, INT), QUANTITY, lambda left, right: left.plus(_whole(right))),
    member("sub", _TWO, QUANTITY, lambda left, right: left.plus(right, -1)),
    member("sub", (QUANTITY, INT), QUANTITY, lambda left, right: left.plus(_whole(right), -1)),
)
