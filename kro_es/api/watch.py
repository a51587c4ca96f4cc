"""What a watch of one kind covers, and what it delivers, in order: a list, then changes, breaks in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, Resource
from kro_es.api.selector import Selector


@dataclass(frozen=True, slots=True)
class Watched:
    """One watch: a kind, narrowed by labels, to a namespace or to one object."""

    resource: Resource
    selector: Selector | None = None
    """None: whatever the labels."""
    namespace: str = ""
    """Empty: every namespace."""
    name: str = ""
    picked: bool = False
    """Only objects that were asked for one by one are recorded."""

    @property
    def kind_key(self) -> str:
        return f"{self.resource.gvk.group}/{self.resource.gvk.kind}"

    @property
    def text(self) -> str:
        """What narrows it, for people and for names; empty for the whole kind."""
        parts = [f"namespace={self.namespace}"] if self.namespace else []
        parts += [f"name={self.name}"] if self.name else []
        parts += [self.selector.text] if self.selector is not None else []
        parts += ["picked"] if self.picked else []
        return ",".join(parts)

    def covers(self, ref: ObjectRef, labels: Mapping[str, str]) -> bool:
        """Whether it shows an object of these labels."""
        gvk = self.resource.gvk
        return (
            (ref.group, ref.kind) == (gvk.group, gvk.kind)
            and self.namespace in ("", ref.namespace)
            and self.name in ("", ref.name)
            and (self.selector is None or self.selector.matches(labels))
        )


def lacking(*watched: Watched) -> str:
    """What to say of watches the controller has no right to, and how to give it one."""
    names = [one.resource.name + (f" in namespace {one.namespace}" if one.namespace else "") for one in watched]
    return (
        f"the controller may not list and watch {', '.join(names)}: its role lacks {'it' if len(names) == 1 else 'them'};"
        f" a ClusterRole labelled {metadata.AGGREGATED} adds to it"
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """Every object there is at ``resource_version``: what is not in it is gone."""

    objects: tuple[JsonObject, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Changed:
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: JsonObject


EXPIRED = "expired"
"""Why a watch broke that cannot go on where it was: the server has forgotten what happened since (410)."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Changes may have been missed from here on, until the next item of another kind."""

    reason: str
    silent: float = 0.0
    """Seconds before it since which the server may have been gone without a word."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Changes that arrived at once, in order: they can be recorded at once. None: a watch that broke goes on, unchanged."""

    changes: tuple[Changed, ...]


WatchItem: TypeAlias = Listed | Changed | Burst | Broken
