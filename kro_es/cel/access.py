"""Closures that read variables, fields and elements; JSON is decoded at the leaf the types name, never before."""

from __future__ import annotations

from collections.abc import Callable

from kro_es.cel.calls import Closure, Frame, no_such_overload
from kro_es.cel.conversion import json_class, reader
from kro_es.cel.errors import DataPending
from kro_es.cel.omit import OMIT
from kro_es.cel.types import DYN, CelType
from kro_es.cel.values import NONE, CelValue, Optional


def variable(name: str, of: CelType) -> Closure:
    """A variable of the caller; one without a value is data still to come."""
    wanted = json_class(of)
    read = reader(of) if wanted else None

    def run(frame: Frame) -> CelValue:
        try:
            value = frame[0][name]
        except KeyError:
            raise DataPending(f"no such attribute(s): {name}", name) from None
        return value if read is None or type(value) is wanted else read(value)

    return run


def struct_field(operand: Closure, key: str, of: CelType, path: str) -> Closure:
    """A declared field; null counts as absent."""
    wanted = json_class(of)
    read = reader(of) if wanted else None

    def run(frame: Frame) -> CelValue:
        value = operand(frame).get(key)
        if type(value) is wanted:
            return value
        if value is None:
            raise DataPending(f"no such key: {key}", path)
        return read(value) if read is not None else value

    return run


def map_entry(operand: Closure, key: str, of: CelType, path: str) -> Closure:
    """An entry of a map or of a dyn value; ``of`` is dyn when it needs no reading."""
    wanted = json_class(of)
    read = reader(of) if wanted else None

    def run(frame: Frame) -> CelValue:
        entries = operand(frame)
        if not isinstance(entries, dict):
            raise DataPending(f"no such key: {key}", path) if entries is OMIT else no_such_overload()
        if key not in entries:
            raise DataPending(f"no such key: {key}", path)
        value = entries[key]
        return value if read is None or type(value) is wanted else read(value)

    return run


def direct(steps: tuple[str | int, ...], of: CelType, careful: Closure) -> Closure:
    """Fields of a variable in one step; whatever is not as the schema says is left to ``careful``."""
    wanted, (root, *keys) = json_class(of), steps or ("",)
    if wanted is None:
        return careful
    if isinstance(root, int):
        return _from_slot(root, keys[0], wanted, careful) if len(keys) == 1 else careful
    match keys:
        case first, second:
            return _two_fields(root, (first, second), wanted, careful)
        case first, second, third:
            return _three_fields(root, (first, second, third), wanted, careful)
        case _:
            return careful


def _from_slot(slot: int, key: str | int, wanted: type, careful: Closure) -> Closure:
    def run(frame: Frame) -> CelValue:
        try:
            value = frame[slot][key]
        except (LookupError, TypeError):
            return careful(frame)
        return value if type(value) is wanted else careful(frame)

    return run


def _two_fields(name: str, keys: tuple[str | int, str | int], wanted: type, careful: Closure) -> Closure:
    first, second = keys

    def run(frame: Frame) -> CelValue:
        try:
            value = frame[0][name][first][second]
        except (LookupError, TypeError):
            return careful(frame)
        return value if type(value) is wanted else careful(frame)

    return run


def _three_fields(name: str, keys: tuple[str | int, str | int, str | int], wanted: type, careful: Closure) -> Closure:
    first, second, third = keys

    def run(frame: Frame) -> CelValue:
        try:
            value = frame[0][name][first][second][third]
        except (LookupError, TypeError):
            return careful(frame)
        return value if type(value) is wanted else careful(frame)

    return run


def element(container: Closure, key: Closure, of: CelType, pick: Callable[..., CelValue], path: str) -> Closure:
    """``container[key]`` where ``pick`` finds the element; ``of`` is dyn when it needs no reading."""
    wanted = json_class(of)
    read = reader(of) if wanted else None

    def run(frame: Frame) -> CelValue:
        items, wanted_key = container(frame), key(frame)
        try:
            value = pick(items, wanted_key)
        except DataPending as pending:
            raise DataPending(str(pending), path + pending.path) from None
        return value if read is None or type(value) is wanted else read(value)

    return run


def has_field(operand: Closure, key: str, *, declared: bool) -> Closure:
    """``has(operand.key)``; a declared field that is null is absent."""

    def run(frame: Frame) -> CelValue:
        entries = operand(frame)
        if isinstance(entries, Optional):
            if not entries.present:
                return False
            entries = entries.value
        if not isinstance(entries, dict):
            if entries is OMIT:
                return False
            raise no_such_overload()
        return entries.get(key) is not None if declared else key in entries

    return run


def optional_field(
    operand: Closure, key: str, read: Callable[[CelValue], CelValue] | None, *, declared: bool
) -> Closure:
    """``operand.?key``, and any selection from an optional."""

    def run(frame: Frame) -> CelValue:
        entries = operand(frame)
        if isinstance(entries, Optional):
            if not entries.present:
                return NONE
            entries = entries.value
        if not isinstance(entries, dict):
            raise no_such_overload()
        if key not in entries or (declared and entries[key] is None):
            return NONE
        value = entries[key]
        return value if isinstance(value, Optional) else Optional(value if read is None else read(value), True)

    return run


def leaf(of: CelType, raw: bool) -> CelType:
    """The type to read an element with: what is not raw needs no reading."""
    return of if raw else DYN
