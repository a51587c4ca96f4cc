"""Server-side apply as the API server does it, for the kinds of the tests: who owns which field, and what a merge gives."""

from __future__ import annotations

import copy
import json
from typing import Any

Path = tuple[str, ...]
"""Steps as fieldsV1 writes them: ``f:name``, ``k:{...}`` (item of a keyed list), ``v:...`` (item of a set)."""

_SERVERS = frozenset(
    ["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
     "deletionGracePeriodSeconds", "managedFields"]
)  # fmt: skip
_KEYED = {
    "containers": ("name",), "initContainers": ("name",), "env": ("name",), "volumes": ("name",),
    "imagePullSecrets": ("name",), "volumeMounts": ("mountPath",), "ownerReferences": ("uid",),
}  # fmt: skip
_SETS = frozenset(["finalizers"])
_ATOMIC_MAPS = frozenset(["selector"])


def list_keys(path: Path, item: Any) -> tuple[str, ...] | None:
    """Key fields of a keyed list; None for a set or an atomic list."""
    name = path[-1].removeprefix("f:")
    if name == "ports":
        return ("port", "protocol") if "port" in item else ("containerPort", "protocol")
    if name == "conditions" and path[0] == "f:status" and "observedGeneration" not in item:
        return ("type",)
    return _KEYED.get(name)


def _step(path: Path, item: Any) -> str | None:
    if not isinstance(item, dict):
        return f"v:{json.dumps(item)}" if path[-1].removeprefix("f:") in _SETS else None
    keys = list_keys(path, item)
    if keys is None:
        return None
    found = {key: item.get(key, "TCP" if key == "protocol" else None) for key in keys}
    return "k:" + json.dumps(found, separators=(",", ":"), sort_keys=True)


def _granular(path: Path, value: list[Any]) -> bool:
    return bool(value) and all(_step(path, item) is not None for item in value)


def owned_paths(obj: dict[str, Any]) -> set[Path]:
    """Every field an apply of ``obj`` owns."""
    found: set[Path] = set()
    for name, value in obj.items():
        if name == "metadata":
            for key, item in value.items():
                if key not in _SERVERS:
                    found |= _paths(item, ("f:metadata", f"f:{key}"))
        elif name not in ("apiVersion", "kind"):
            found |= _paths(value, (f"f:{name}",))
    return found


def _paths(value: Any, path: Path) -> set[Path]:
    if isinstance(value, dict) and value and path[-1].removeprefix("f:") not in _ATOMIC_MAPS:
        return set().union(*(_paths(item, (*path, f"f:{key}")) for key, item in value.items()))
    if isinstance(value, list) and _granular(path, value):
        found: set[Path] = set()
        for item in value:
            at = (*path, str(_step(path, item)))
            found |= {at} | (set() if not isinstance(item, dict) else _paths(item, at))
        return found
    return {path}


def value_at(obj: Any, path: Path) -> Any:
    """What is there; a marker of absence otherwise."""
    for index, step in enumerate(path):
        if step.startswith("f:"):
            if not isinstance(obj, dict) or step[2:] not in obj:
                return ABSENT
            obj = obj[step[2:]]
        else:
            items = [item for item in obj if _step(path[:index], item) == step] if isinstance(obj, list) else []
            if not items:
                return ABSENT
            obj = items[0]
    return obj


ABSENT = object()


def merged(live: Any, applied: Any, path: Path = ()) -> Any:
    """What the server makes of both: maps and keyed lists item by item, everything else replaced."""
    name = path[-1].removeprefix("f:") if path else ""
    if isinstance(live, dict) and isinstance(applied, dict) and name not in _ATOMIC_MAPS:
        return {**live, **{k: merged(live.get(k), v, (*path, f"f:{k}")) for k, v in applied.items()}}
    if isinstance(live, list) and isinstance(applied, list) and _granular(path, live) and _granular(path, applied):
        new = {_step(path, item): item for item in applied}
        old = {_step(path, item): item for item in live}
        keys = [*old, *(key for key in new if key not in old)]
        return [merged(old.get(k), new[k], (*path, str(k))) if k in new else old[k] for k in keys]
    return copy.deepcopy(applied)


def without(obj: dict[str, Any], gone: set[Path], kept: set[Path]) -> dict[str, Any]:
    """``obj`` without the fields at ``gone``; maps that become empty go too, unless somebody owns something in them."""
    found = copy.deepcopy(obj)
    for path in sorted(gone, key=len, reverse=True):
        parent = value_at(found, path[:-1]) if len(path) > 1 else found
        step = path[-1]
        below = any(other[: len(path)] == path for other in kept)
        if parent is ABSENT or below:
            continue
        if isinstance(parent, list):
            parent[:] = [item for item in parent if _step(path[:-1], item) != step]
        elif isinstance(parent, dict):
            parent.pop(step[2:], None)
        for end in range(len(path) - 1, 0, -1):
            at = path[:end]
            holder = value_at(found, at[:-1]) if end > 1 else found
            if at[-1].startswith("f:") and isinstance(holder, dict) and holder.get(at[-1][2:]) in ({}, []):
                if at == ("f:metadata",) or at in kept:
                    break
                del holder[at[-1][2:]]
    return found


def fields_v1(paths: set[Path]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in sorted(paths):
        at = root
        for step in path:
            at = at.setdefault(step, {})
    for path in paths:
        if any(other != path and other[: len(path)] == path for other in paths):
            value = root
            for step in path:
                value = value[step]
            value["."] = {}
    return root


def dotted(path: Path) -> str:
    """As the server names a field in a conflict: ``.data.color``."""
    return "".join(f".{step[2:]}" if step.startswith("f:") else f"[{step[2:]}]" for step in path)
