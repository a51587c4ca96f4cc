"""What one pass over an instance read, all of it at one log position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, ObjectRef, Resource, labels
from kro_es.api.selector import Selector
from kro_es.api.sensitive import Path
from kro_es.api.watch import Watched
from kro_es.decisions.pin import Moved, Pin
from kro_es.events.redaction import Redactor
from kro_es.events.types import Input
from kro_es.graph.node import ResourceGraph
from kro_es.projections.projection import Row


@dataclass(frozen=True, slots=True)
class Child:
    """A live object of the instance, values in clear (they live in memory only)."""

    object: JsonObject
    row: Row

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef.of(self.object)

    @property
    def uid(self) -> str:
        return str(self.row["uid"])

    @property
    def node(self) -> str:
        """What it is recorded under: the node's id, for an item of a collection see :func:`item_key`."""
        node = str(self.row["node"])
        return item_key(node, self.ref) if metadata.COLLECTION_INDEX in labels(self.object) else node


def item_key(node: str, ref: ObjectRef) -> str:
    """``node/namespace/name``: an item is told by its name, never by its place, which moves."""
    return f"{node}/{ref.namespace}/{ref.name}"


def unread_key(watched: Watched) -> str:
    return f"{watched.kind_key} {watched.text}".rstrip()


class Externals(Protocol):
    """Objects of others that the graph refers to, as recorded at the position of the inputs."""

    def named(self, resource: Resource, namespace: str, name: str) -> Child | None: ...

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[Child]:
        """In the order the API server lists them: by the text ``namespace/name``."""
        ...

    @property
    def found(self) -> Sequence[Child]:
        """Everything either of them returned so far."""
        ...

    @property
    def unread(self) -> Mapping[str, str]:
        """What could not be listed, by :func:`unread_key`, with the error."""
        ...


@dataclass(frozen=True, slots=True)
class Followed:
    """The revision the instance runs, compiled."""

    definition: str
    definition_uid: str
    number: int
    graph: ResourceGraph
    activated_position: int
    """Where its definition was told to serve it; of a pinned one that was never active, where it was issued."""


@dataclass(frozen=True, slots=True)
class InstanceInputs:
    """Everything a decision about one instance may depend on."""

    instance: JsonObject
    instance_row: Row
    followed: Followed | None
    """None when the definition has no active revision."""
    children: tuple[Child, ...]
    externals: Externals
    nodes: Mapping[str, Row]
    """Recorded node rows by node id, items of collections by :func:`item_key`."""
    offenders: Sequence[Row]
    """Rows of ``offenders`` of the instance."""
    settled: Row | None
    """The instance's row in ``instances``."""
    field_set: Callable[[str], JsonObject | None]
    """fieldsV1 by digest."""
    seen_fields: Mapping[str, JsonObject]
    """By uid of a child: what our manager owns in it, where the log has no apply of it."""
    owner_of: Callable[[ObjectRef], str]
    """Apply set id an object is recorded as part of; empty when free or unknown."""
    redact: Callable[[JsonObject], JsonObject]
    """An object with its secret leaves redacted, as it is recorded."""
    redactor: Redactor
    status_paths: tuple[Path, ...]
    position: int
    now: int
    """The clock event, microseconds since the epoch."""
    version: str
    """What the version label says."""
    failed: Mapping[str, str]
    """Nodes whose write failed in this pass already, with the error: not tried again before the next pass."""
    max_collection: int
    """Items one collection may have."""
    hold: Row | None = None
    """Its row in ``holds``; ``instance`` has the spec it is held at then."""
    notices: bool = False
    """Whether conditions that turn are told as Kubernetes Events."""
    pin: Pin | None = None
    """What it is pinned to."""
    unkept: str = ""
    """Why it cannot run the revision it is pinned to; ``followed`` is None then."""
    uncompiled: str = ""
    """Why that revision does not compile."""
    lacking: int = 0
    """Number of the revision that has to be compiled before anything is decided."""
    served_by: str = ""
    """uid of the definition that serves its kind."""
    moved: Moved | None = None
    """A pin by labels that begins or ends: recorded before anything else is decided, ``pin`` is None then."""
    moved_by: int = 0
    """Position of what led to that."""

    @property
    def instance_uid(self) -> str:
        return str(self.instance_row["uid"])

    @property
    def following(self) -> tuple[str, int]:
        """uid of the definition and number of the revision it runs, or is pinned to and cannot; empty and 0: none."""
        if self.followed is not None:
            return self.followed.definition_uid, self.followed.number
        return (self.served_by, self.pin.number) if self.pin is not None and self.unkept else ("", 0)

    @property
    def given(self) -> JsonObject:
        """What is no row, as it is recorded with the decision."""
        found = {
            "failed": dict(self.failed),
            "unread": dict(self.externals.unread),
            "uncompiled": self.uncompiled,
        }
        return {name: texts for name, texts in found.items() if texts}

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The streams read, at the versions they were read at."""
        rows = [(f"object/{ObjectRef.of(self.instance).key}", self.instance_row)]
        rows += [(f"object/{child.ref.key}", child.row) for child in self.children]
        rows += {f"object/{child.ref.key}": child.row for child in self.externals.found}.items()
        found = [Input(stream, _int(row["stream_version"]), _int(row["position"])) for stream, row in rows]
        if self.followed is not None:
            activation = self.followed.activated_position
            found.append(Input(f"definition/{self.followed.definition_uid}", 0, activation))
        commands = [row for row in (self.hold, self.pin.row if self.pin else None) if row is not None]
        # both are of the stream of the instance: the later one stands for it
        for row in sorted(commands, key=lambda row: _int(row["position"]))[-1:]:
            found.append(Input(str(row["stream"]), _int(row["stream_version"]), _int(row["position"])))
        return tuple(sorted(found, key=lambda item: item.stream))


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
