"""Closures for macros that bind variables; each pays for its items before it looks at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import length_hint

from kro_es.api.objects import JsonValue
from kro_es.cel.calls import Closure, Frame, no_such_overload
from kro_es.cel.errors import CelError, CostExceeded, EvaluationError
from kro_es.cel.libraries.lists import sort_by
from kro_es.cel.values import NONE, CelValue, Optional, key_value, map_key

Items = Callable[[Frame], list[CelValue]]
ItemsReader = Callable[[list[JsonValue]], list[CelValue]]


_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Price:
    """What each item of one loop costs, and the error when the budget does not reach."""

    units: int
    exceeded: Callable[[], CostExceeded]


def items(source: Closure, price: Price, *, pairs: bool, read: ItemsReader | None) -> Items:
    """The values one variable takes, or the pairs two take; maps go in the order of their keys."""
    units, exceeded = price.units, price.exceeded

    def run(frame: Frame) -> list[CelValue]:
        found = source(frame)
        if not isinstance(found, list | dict):
            raise no_such_overload()
        frame[1] -= len(found) * units
        if frame[1] < 0:
            raise exceeded()
        if isinstance(found, list):
            values = found if read is None else read(found)
            return list(enumerate(values)) if pairs else values
        keys = _ordered(found)
        if not pairs:
            return [key_value(key) for key in keys]
        values = [found[key] for key in keys]
        return list(zip(map(key_value, keys), values if read is None else read(values), strict=True))

    return run


def _ordered(entries: dict[CelValue, CelValue]) -> list[CelValue]:
    try:
        return sorted(entries)
    except TypeError:
        return sorted(entries, key=lambda key: (type(key).__name__, str(key)))


def _holds(predicate: Closure, frame: Frame) -> bool:
    value = predicate(frame)
    if type(value) is bool:
        return value
    raise no_such_overload()


def quantifier(source: Items, slot: int, predicate: Closure, units: int, *, decisive: bool) -> Closure:
    """``exists`` (decisive True) and ``all`` (decisive False): a decision outweighs errors of other items."""
    other = not decisive

    def run(frame: Frame) -> CelValue:
        failure: CelError | None = None
        left = iter(source(frame))
        for item in left:
            frame[slot] = item
            try:
                value = predicate(frame)
            except CostExceeded:
                raise
            except CelError as error:
                failure = failure or error
                continue
            if value is decisive:
                # what was paid for and not looked at is given back
                frame[1] += length_hint(left) * units
                return decisive
            if value is not other:
                failure = failure or no_such_overload()
        if failure is not None:
            raise failure
        return other

    return run


def exactly_one(source: Items, slot: int, predicate: Closure) -> Closure:
    def run(frame: Frame) -> CelValue:
        count = 0
        for item in source(frame):
            frame[slot] = item
            count += _holds(predicate, frame)
        return count == 1

    return run


def select_items(source: Items, slot: int, predicate: Closure) -> Closure:
    """``filter``."""

    def run(frame: Frame) -> CelValue:
        found = []
        for item in source(frame):
            frame[slot] = item
            value = predicate(frame)
            if value is True:
                found.append(item)
            elif value is not False:
                raise no_such_overload()
        return found

    return run


def transform_list(source: Items, slot: int, predicate: Closure | None, result: Closure) -> Closure:
    """``map`` and ``transformList``."""

    def run(frame: Frame) -> CelValue:
        found = []
        for item in source(frame):
            frame[slot] = item
            if predicate is None or _holds(predicate, frame):
                found.append(result(frame))
        return found

    return run


def transform_map(source: Items, slot: int, predicate: Closure | None, result: Closure) -> Closure:
    """``transformMap``: the key of each pair with a new value."""

    def run(frame: Frame) -> CelValue:
        found = {}
        for item in source(frame):
            frame[slot] = item
            if predicate is None or _holds(predicate, frame):
                found[map_key(item[0])] = result(frame)
        return found

    return run


def transform_entries(source: Items, slot: int, predicate: Closure | None, result: Closure) -> Closure:
    """``transformMapEntry``: a map for each pair; no key twice."""

    def run(frame: Frame) -> CelValue:
        found: dict[CelValue, CelValue] = {}
        for item in source(frame):
            frame[slot] = item
            if predicate is not None and not _holds(predicate, frame):
                continue
            entries = result(frame)
            if not isinstance(entries, dict):
                raise no_such_overload()
            for key, value in entries.items():
                if key in found:
                    raise EvaluationError(f"insert failed: key {key_value(key)} already exists")
                found[key] = value
        return found

    return run


def sort_items(source: Items, slot: int, result: Closure) -> Closure:
    """``sortBy``."""

    def run(frame: Frame) -> CelValue:
        found, keys = source(frame), []
        for item in found:
            frame[slot] = item
            keys.append(result(frame))
        return sort_by(found, keys)

    return run


@dataclass(frozen=True, slots=True)
class _Failed:
    """A bound value whose evaluation failed."""

    error: CelError


def bind(slot: int, result: Closure) -> Closure:
    """``cel.bind``; what it binds is evaluated by :func:`bound` when it is first asked for."""

    def run(frame: Frame) -> CelValue:
        frame[slot] = _UNKNOWN
        return result(frame)

    return run


def bound(value: Closure, slot: int) -> Closure:
    """The variable of a ``cel.bind``: evaluated once, whether that succeeds or fails."""

    def run(frame: Frame) -> CelValue:
        found = frame[slot]
        if found is _UNKNOWN:
            found = frame[slot] = evaluate(frame)
        if type(found) is _Failed:
            raise found.error
        return found

    def evaluate(frame: Frame) -> CelValue | _Failed:
        try:
            return value(frame)
        except CostExceeded:
            raise
        except CelError as error:
            return _Failed(error)

    return run


def optional_map(source: Closure, slot: int, result: Closure, *, flat: bool) -> Closure:
    """``optMap`` and ``optFlatMap``."""

    def run(frame: Frame) -> CelValue:
        optional = source(frame)
        if not isinstance(optional, Optional):
            raise no_such_overload()
        if not optional.present:
            return NONE
        frame[slot] = optional.value
        value = result(frame)
        if not flat:
            return Optional(value, True)
        if isinstance(value, Optional):
            return value
        raise no_such_overload()

    return run
