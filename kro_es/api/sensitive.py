"""Rules that name fields whose values are never recorded: ``ConfigMap:data.*_TOKEN``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

from kro_es.api import metadata
from kro_es.api.objects import Gvk, JsonValue
from kro_es.errors import UserError

Path: TypeAlias = tuple[str | int, ...]
"""Steps into an object; a number stands for every item of a list, a :class:`Glob` for what it matches."""
_STEP = re.compile(r"""\["(?P<quoted>[^"]+)"\]|\[(?P<item>[^\]"]+)\]|(?P<name>[^.\[\]"]+)""")
_POD = ("spec", "containers"), ("spec", "initContainers"), ("spec", "ephemeralContainers")
_TEMPLATED = ("Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps", "Job.batch")
_FORM = "KIND:PATH, KIND.GROUP:PATH or env:NAME, for example ConfigMap:data.*_TOKEN"
_KEPT = (metadata.DEFINITION_KIND, metadata.REVISION_KIND)


class Glob(str):
    """A step that stands for every member whose name matches, or every item of a list whose ``name`` does."""

    __slots__ = ()

    def matches(self, name: str) -> bool:
        return fnmatchcase(name, self)

    def picks(self, item: JsonValue) -> bool:
        """Whether it stands for this item of a list."""
        if self == "*":
            return True
        return isinstance(item, dict) and isinstance(item.get("name"), str) and self.matches(item["name"])


@dataclass(frozen=True, slots=True)
class Rule:
    """``path`` of objects whose kind and group match."""

    kind: str
    group: str | None
    """None: of any group."""
    path: Path

    def covers(self, group: str, kind: str) -> bool:
        """Definitions and their revisions are kept as written: they are what a rollback puts back."""
        if group == metadata.GROUP and kind in _KEPT:
            return False
        return fnmatchcase(kind, self.kind) and self.group in (None, group)


def parse(text: str) -> tuple[Rule, ...]:
    """The rules a text stands for; raises UserError that says what is wrong with it.

    ``env:GLOB`` stands for the environment variables of that name in every kind of workload. Steps of a path are
    names, globs, ``["quoted.name"]``, and ``[GLOB]`` for members or for items of a list by their ``name``.
    """
    left, colon, right = text.partition(":")
    if not (left and colon and right):
        raise UserError(f"--redact {text!r} is not {_FORM}")
    if left == "env":
        return tuple(_environment(Glob(right)))
    kind, _, group = left.partition(".")
    if kind in _KEPT:
        raise UserError(f"--redact {text!r}: a {kind} is kept as written, it is what a rollback puts back")
    path = _path(text, right)
    if path[0] in ("apiVersion", "kind") or (path[0] == "metadata" and path[1:2] != ("annotations",)):
        raise UserError(f"--redact {text!r}: what an object is known by is kept; of metadata, name annotations only")
    return (Rule(kind, group or None, path),)


def parse_all(texts: Iterable[str]) -> tuple[Rule, ...]:
    return tuple(rule for text in texts for rule in parse(text))


def reached(value: JsonValue, path: Path) -> Iterator[JsonValue]:
    """Everything there is at the path."""
    if not path:
        yield value
        return
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        for item in value:
            if stands_for(head, item):
                yield from reached(item, rest)
    elif isinstance(value, dict):
        for name in filter(head.matches, value) if isinstance(head, Glob) else (head,):
            if name in value:
                yield from reached(value[name], rest)


def holds(value: JsonValue, path: Path) -> bool:
    """Whether there is anything at the path."""
    return any(True for _ in reached(value, path))


def stands_for(step: str | int, item: JsonValue) -> bool:
    """Whether a step into a list reaches this item."""
    return step.picks(item) if isinstance(step, Glob) else isinstance(step, int)


def own_paths(rules: Iterable[Rule], gvk: Gvk) -> tuple[Path, ...]:
    """Where objects of a kind hold values that are not to be recorded."""
    return tuple(rule.path for rule in rules if rule.covers(gvk.group, gvk.kind))


def _path(text: str, given: str) -> Path:
    steps: list[str | int] = []
    position = 0
    while position < len(given):
        found = _STEP.match(given, position)
        if found is None:
            raise UserError(f"--redact {text!r}: cannot read the path at {given[position:]!r}")
        position = found.end()
        if given[position : position + 1] == ".":
            position += 1
            if position == len(given):
                raise UserError(f"--redact {text!r}: the path ends in a dot")
        steps.append(_step(found))
    return tuple(steps)


def _step(found: re.Match[str]) -> str:
    if found["quoted"]:
        return found["quoted"]
    if found["item"]:
        return Glob(found["item"])
    return Glob(found["name"]) if set(found["name"]) & set("*?") else found["name"]


def _environment(name: Glob) -> Iterable[Rule]:
    """Variables set to a literal, wherever a pod is described."""
    every = Glob("*")
    for containers in _POD:
        value = (*containers, every, "env", name, "value")
        yield Rule("Pod", "", value)
        for workload in _TEMPLATED:
            kind, _, group = workload.partition(".")
            yield Rule(kind, group, ("spec", "template", *value))
        yield Rule("ReplicationController", "", ("spec", "template", *value))
        yield Rule("CronJob", "batch", ("spec", "jobTemplate", "spec", "template", *value))
