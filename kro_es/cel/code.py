"""What the compiler knows of a compiled node, and the choices that follow from it."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from kro_es.api.objects import JsonValue
from kro_es.cel import loops
from kro_es.cel.calls import Closure
from kro_es.cel.conversion import Decoder, decoder, item_reader, json_class, leaf_decoder
from kro_es.cel.errors import CelError, EvaluationError
from kro_es.cel.inference import erased
from kro_es.cel.libraries.regexes import compile_pattern
from kro_es.cel.merging import adder, comparison
from kro_es.cel.overloads import Implementation, Overload
from kro_es.cel.types import BOOL, DYN, INT, CelType, ListType, MapType, OptionalType, Primitive
from kro_es.cel.values import CelValue


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled node; ``of`` is what is certain of its values, which may be less than the checker promised.

    A dyn goes with every type: ``list(int) + dyn([x])`` is a list(int) to the checker, and whatever x is to us.
    """

    run: Closure
    of: CelType
    json: bool = False
    """The value comes straight from observed JSON."""
    size: int | None = None
    """Of a constant: its size in tenths (see ``cost.Meter``)."""
    steps: tuple[str | int, ...] = ()
    """Of nothing but fields of a variable: its name or slot, then the keys."""

    @property
    def raw(self) -> bool:
        """A list or map of observed JSON whose elements are not decoded yet; scalars were decoded when read."""
        return self.json and isinstance(self.of, ListType | MapType)


def native(code: Code, *, into_dyn: bool = False) -> Closure:
    """A value that can leave the care of its static type."""
    read = decoder(code.of, raw=code.raw, into_dyn=into_dyn)
    if read is None:
        return code.run
    run, decode = code.run, read
    return lambda frame: decode(run(frame))


def json_reader(of: CelType) -> Decoder | None:
    """Reads a JSON value of this type completely, structs excepted."""
    return leaf_decoder(of) or decoder(of)


def items_reader(of: CelType) -> loops.ItemsReader | None:
    """Reads the elements of an observed list or map; None for dyn."""
    read, plain = item_reader(of), frozenset({json_class(of)})
    if read is None:
        return None

    def run(found: list[JsonValue]) -> list[CelValue]:
        return found if plain.issuperset(map(type, found)) else [read(value) for value in found]

    return run


def listed(source: CelType) -> ListType:
    """A list of what one variable goes through."""
    return ListType(key_type(source) if isinstance(source, MapType) else element_type(source))


def key_type(of: CelType) -> CelType:
    """Type of the first of two variables."""
    match of:
        case MapType():
            return of.key
        case ListType():
            return INT
        case _:
            return DYN


def common(overloads: tuple[Overload, ...]) -> CelType:
    results = {erased(overload.result) for overload in overloads}
    return results.pop() if len(results) == 1 else DYN


def element_type(of: CelType) -> CelType:
    match of:
        case ListType():
            return of.element
        case MapType():
            return of.value
        case OptionalType():
            return of.inner
        case _:
            return DYN


def is_scalar(of: CelType) -> bool:
    return isinstance(of, Primitive) and of != DYN


def specialised(function: str, given: tuple[CelType, ...], merge: tuple[str, ...] | None) -> Implementation | None:
    """A quicker or narrower implementation that only the static types can choose."""
    if function == "_+_" and merge is not None:
        return adder(merge)
    if function not in ("_==_", "_!=_"):
        return None
    if merge is not None:
        return comparison(function)
    if given[0] == given[1] and is_scalar(given[0]):
        return operator.eq if function == "_==_" else operator.ne
    return None


def check_pattern(pattern: CelValue) -> None:
    try:
        compile_pattern(pattern)
    except EvaluationError as error:
        raise CelError(f"compile: {error}") from None


@dataclass(frozen=True, slots=True)
class Loop:
    """The compiled parts of one comprehension."""

    source: Code
    items: loops.Items
    units: int
    element_raw: bool
    predicate: Closure | None
    result: Code | None


def predicate_loop(kind: str, slot: int, loop: Loop) -> Code:
    """A macro with a predicate only."""
    assert loop.predicate is not None
    if kind == "filter":
        run = loops.select_items(loop.items, slot, loop.predicate)
        return Code(run, listed(loop.source.of), loop.element_raw)
    if kind == "exists_one":
        return Code(loops.exactly_one(loop.items, slot, loop.predicate), BOOL)
    run = loops.quantifier(loop.items, slot, loop.predicate, loop.units, decisive=kind == "exists")
    return Code(run, BOOL)
