"""A body and its stored form turn into each other without loss; stored is a chosen name and version, never a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import cast, get_args, get_origin, get_type_hints

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import KroEsError
from kro_es.events.types import Body

Upcaster = Callable[[JsonObject], JsonObject]
_Convert = Callable[[JsonValue], JsonValue]

VERSIONS: dict[str, int] = {}
"""Type to the version written today; a type that is not here is at version 1."""
UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(type, version) to the function that turns a payload of that version into one of the next."""

TYPES: dict[str, type[Body]] = {cls.TYPE: cls for cls in get_args(Body)}


class CodecError(KroEsError):
    """A stored payload this program cannot read: written by a newer one, or damaged."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    to_json: _Convert | None
    """None when the value is JSON already."""
    from_json: _Convert | None
    required: bool


_PLANS: dict[type, tuple[_Field, ...]] = {}
"""Reading the fields of a type is slow and always gives the same."""


def encode(body: Body) -> tuple[str, int, JsonObject]:
    """Type, version and payload of a body; the payload shares the body's JSON values."""
    return body.TYPE, VERSIONS.get(body.TYPE, 1), _to_json(body)


def decode(
    type_name: str,
    version: int,
    payload: JsonObject,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
) -> Body:
    """The body as today's type, whatever version it was written at; raises CodecError."""
    cls = TYPES.get(type_name)
    if cls is None:
        raise CodecError(f"event type {type_name!r} is not known to this version")
    current = VERSIONS.get(type_name, 1)
    while (type_name, version) in upcasters:
        payload = upcasters[type_name, version](payload)
        version += 1
    if version > current:
        raise CodecError(f"event type {type_name!r} version {version} is newer than {current}")
    return cast(Body, _from_json(cls, payload))


def _to_json(value: object) -> JsonObject:
    found: JsonObject = {}
    for field in _plan(type(value)):
        item = getattr(value, field.name)
        found[field.name] = item if field.to_json is None else field.to_json(item)
    return found


def _from_json(cls: type, payload: JsonObject) -> object:
    plan = _plan(cls)
    values: JsonObject = {}
    for field in plan:
        if field.name in payload:
            item = payload[field.name]
            values[field.name] = item if field.from_json is None else field.from_json(item)
        elif field.required:
            raise CodecError(f"payload of {cls.__name__} lacks {field.name!r}")
    if len(values) < len(payload):
        unknown = sorted(set(payload) - set(values))
        raise CodecError(f"payload of {cls.__name__} has unknown fields {unknown}")
    return cls(**values)


def _plan(cls: type) -> tuple[_Field, ...]:
    plan = _PLANS.get(cls)
    if plan is None:
        plan = _PLANS[cls] = _made_plan(cls)
    return plan


def _made_plan(cls: type) -> tuple[_Field, ...]:
    hints = get_type_hints(cls)
    return tuple(
        _Field(
            field.name,
            *_converters(hints[field.name]),
            required=field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(cls)
    )


def _converters(hint: JsonValue) -> tuple[_Convert | None, _Convert | None]:
    """What a type needs on the way out and in: only tuples and nested dataclasses are not JSON already."""
    if is_dataclass(hint) and isinstance(hint, type):
        return _to_json, lambda item: _from_json(hint, item)
    origin: object = get_origin(hint)
    if origin is not tuple:
        return None, None
    out, back = _converters(get_args(hint)[0])
    return (
        list if out is None else lambda items: [out(item) for item in items],
        tuple if back is None else lambda items: tuple(back(item) for item in items),
    )
