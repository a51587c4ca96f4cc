"""Closures for constants, list literals and map literals."""

from __future__ import annotations

from kro_es.cel.calls import Closure, Frame, no_such_overload
from kro_es.cel.values import CelValue, Optional, map_key

Entries = tuple[tuple[Closure, Closure, bool], ...]
"""Key, value, and whether the entry was written with a question mark."""


def constant(value: CelValue) -> Closure:
    return lambda _: value


def optional_list(elements: tuple[tuple[Closure, bool], ...]) -> Closure:
    def run(frame: Frame) -> CelValue:
        found = []
        for element, optional in elements:
            value = element(frame)
            if not optional:
                found.append(value)
            elif not isinstance(value, Optional):
                raise no_such_overload()
            elif value.present:
                found.append(value.value)
        return found

    return run


def text_map(entries: Entries) -> Closure:
    if any(optional for _, _, optional in entries):
        return any_map(entries)
    plain = tuple((key([]), value) for key, value, _ in entries)
    return lambda frame: {key: value(frame) for key, value in plain}


def any_map(entries: Entries) -> Closure:
    def run(frame: Frame) -> CelValue:
        found = {}
        for key, element, optional in entries:
            value = element(frame)
            if optional:
                if not isinstance(value, Optional):
                    raise no_such_overload()
                if not value.present:
                    continue
                value = value.value
            found[map_key(key(frame))] = value
        return found

    return run
