"""Two JSON values field by field; items of a list that carry an id or a name are matched by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from kro_es.api.near import meant
from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.events.redaction import MARK

Path: TypeAlias = tuple[str, ...]
"""Names of members and of list items; an item is spelled ``[name]``."""
NOISE: frozenset[Path] = frozenset(
    ("metadata", name) for name in ("resourceVersion", "generation", "uid", "creationTimestamp", "managedFields")
)
"""What every object has and no question is about."""
_TOKEN = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")


def changes(old: JsonValue, new: JsonValue) -> Iterator[JsonObject]:
    """Each difference as ``{path, change, old, new}``; change is added, removed or changed."""
    for path, change, before, after in differences(old, new):
        yield {"path": spelled(path), "change": change, "old": before, "new": after}


def differences(old: JsonValue, new: JsonValue, path: Path = ()) -> Iterator[tuple[Path, str, JsonValue, JsonValue]]:
    if _incomparable(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _members(old, new, path, list_item=False)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _members(keyed(old), keyed(new), path, list_item=True)
    elif type(old) is not type(new) or old != new:
        yield path, "changed", old, new


def _incomparable(old: JsonValue, new: JsonValue) -> bool:
    """Digests under two keys, or a value that is redacted from here on: nobody can tell whether it changed."""
    keys = [value.get("key") if isinstance(value, dict) and MARK in value else None for value in (old, new)]
    return keys[0] != keys[1]


def _members(
    old: JsonObject, new: JsonObject, path: Path, *, list_item: bool
) -> Iterator[tuple[Path, str, JsonValue, JsonValue]]:
    for name in [*old, *(name for name in new if name not in old)]:
        at = (*path, f"[{name}]" if list_item else str(name))
        if name not in new:
            yield at, "removed", old[name], None
        elif name not in old:
            yield at, "added", None, new[name]
        else:
            yield from differences(old[name], new[name], at)


def keyed(items: list[JsonValue]) -> JsonObject:
    """A list as an object: by id or name where every item has one of its own, by index otherwise."""
    for key in ("id", "name"):
        names = [item.get(key) if isinstance(item, dict) else None for item in items]
        if None not in names and len(set(names)) == len(names):
            return {str(name): item for name, item in zip(names, items, strict=True)}
    return {str(index): item for index, item in enumerate(items)}


def leaves(value: JsonValue, path: Path = ()) -> Iterator[tuple[Path, JsonValue]]:
    """Every field with a value of its own; an empty object or list is one."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            if (*path, str(name)) not in NOISE:
                yield from leaves(item, (*path, str(name)))
    elif isinstance(value, list) and value:
        for name, item in keyed(value).items():
            yield from leaves(item, (*path, f"[{name}]"))
    else:
        yield path, value


def spelled(path: Path) -> str:
    """``spec.containers[app].image``; a name with a dot stands in brackets too."""
    text = ""
    for part in path:
        if part.startswith("["):
            text += part
        elif "." in part or not part:
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def parsed(text: str) -> Path:
    """Names of a path as a person writes it, without brackets."""
    return tuple(found[0] or found[1] for found in _TOKEN.findall(text.strip("{}").removeprefix("$")))


def touches(path: Path, wanted: Path, old: JsonValue, new: JsonValue) -> bool:
    """Whether a change at ``path`` changed the wanted field: one in it, or one around it that brought or took it."""
    if starts(path, wanted):
        return True
    names = tuple(part.strip("[]") for part in path)
    rest = wanted[len(names) :]
    return wanted[: len(names)] == names and (_has(old, rest) or _has(new, rest))


def _has(value: JsonValue, names: Path) -> bool:
    for name in names:
        inside = keyed(value) if isinstance(value, list) else value
        if not isinstance(inside, dict) or name not in inside:
            return False
        value = inside[name]
    return True


def below(paths: Iterable[Path], text: str) -> list[Path]:
    """The paths at or below the one a person wrote. Raises UserError with the nearest ones."""
    known = list(paths)
    wanted = parsed(text)
    found = [path for path in known if starts(path, wanted)]
    if not found:
        raise UserError(f"no field {text!r}{meant(text, map(spelled, known))}")
    return found


def starts(path: Path, wanted: Path) -> bool:
    """Whether ``path`` is the wanted one or lies below it."""
    return tuple(part.strip("[]") for part in path[: len(wanted)]) == wanted
