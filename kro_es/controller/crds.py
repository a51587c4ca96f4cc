"""Which definitions depend on which custom resource definitions: one that arrives or changes wakes exactly those."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kro_es.api.objects import Gvk, JsonObject, Resource, terminating
from kro_es.controller.queue import Key
from kro_es.events.types import Event, ObjectDeleted, ObjectGoneUnseen, ObjectObserved

GroupKind: TypeAlias = tuple[str, str]
GROUP, KIND = "apiextensions.k8s.io", "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class Served:
    """How a kind stands with the API server; a change of it is news to whoever compiled against the kind."""

    name: str
    generation: int
    established: bool
    plural: str
    namespaced: bool
    versions: frozenset[str]
    """Those that are served."""

    @classmethod
    def of(cls, crd: JsonObject) -> Served:
        """``crd``: the object as the server shows it or as it is recorded."""
        conditions = (crd.get("status") or {}).get("conditions") or ()
        established = any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
        meta, spec = crd["metadata"], crd["spec"]
        return cls(
            meta["name"],
            meta.get("generation", 0),
            established and not terminating(crd),
            spec["names"]["plural"],
            spec["scope"] != "Cluster",
            frozenset(version["name"] for version in spec["versions"] if version.get("served", True)),
        )


class CustomKinds:
    """Memory of every CRD the watch shows; ``wake`` queues a definition."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._served: dict[GroupKind, Served] = {}
        self._kind_of: dict[str, GroupKind] = {}
        self._readers: dict[GroupKind, set[Key]] = {}
        self._reads: dict[Key, frozenset[GroupKind]] = {}
        self._moved: set[GroupKind] = set()

    def reads(self, key: Key, kinds: Iterable[GroupKind]) -> None:
        """What the definition is compiled against from now on, served or not; its own kind included."""
        after = frozenset(kinds)
        before = self._reads.pop(key, frozenset())
        for kind in before - after:
            self._readers[kind].discard(key)
        for kind in after - before:
            self._readers.setdefault(kind, set()).add(key)
        if after:
            self._reads[key] = after

    @property
    def names(self) -> Mapping[GroupKind, str]:
        """Group and kind to the CRD, of every custom kind that is served."""
        return {kind: served.name for kind, served in self._served.items() if served.established}

    def standing(self, key: Key) -> tuple[tuple[GroupKind, Served | None], ...]:
        """How everything the definition reads stands now; equal answers mean that no kind of it changed."""
        return tuple((kind, self._served.get(kind)) for kind in sorted(self._reads.get(key, ())))

    def served_to(self, key: Key) -> frozenset[GroupKind]:
        """The custom kinds that are served of those the definition reads."""
        found = ((kind, self._served.get(kind)) for kind in self._reads.get(key, ()))
        return frozenset(kind for kind, served in found if served is not None and served.established)

    def moved(self, key: Key) -> bool:
        """Whether anything the definition reads was found otherwise since the start than the log had it."""
        return not self._moved.isdisjoint(self._reads.get(key, ()))

    def missing(self, kind: GroupKind) -> None:
        """A kind of the log was found to be gone: who reads it has to look at everything."""
        self._moved.add(kind)

    def located(self, gvk: Gvk) -> Resource | None:
        """Where a custom kind's objects are; None for one that is not served at this version, or no custom kind."""
        served = self._served.get((gvk.group, gvk.kind))
        if served is None or not served.established or gvk.version not in served.versions:
            return None
        return Resource(gvk, served.plural, served.namespaced)

    def accepted(self, kind: GroupKind, served: Served) -> None:
        """The server's answer to a pass that installs a CRD: its echo on the watch is not news."""
        self._served[kind] = served
        self._kind_of[served.name] = kind

    def seed(self, crds: Iterable[JsonObject]) -> None:
        """Recorded CRDs, at the start: what has not changed since then makes no event."""
        for crd in crds:
            names = crd["spec"]
            self.accepted((names["group"], names["names"]["kind"]), Served.of(crd))

    def committed(self, event: Event) -> None:
        if (event.subject.group, event.subject.kind) != (GROUP, KIND):
            return
        match event.body:
            case ObjectObserved(object=crd):
                names = crd["spec"]
                self._changed((names["group"], names["names"]["kind"]), Served.of(crd))
            case ObjectDeleted() | ObjectGoneUnseen() if event.subject.name in self._kind_of:
                self._changed(self._kind_of.pop(event.subject.name), None)
            case _:
                pass

    def _changed(self, kind: GroupKind, served: Served | None) -> None:
        before = self._served.get(kind)
        if before == served or (before and served and served.generation < before.generation):
            return
        self._moved.add(kind)
        if served is None:
            self._served.pop(kind, None)
        else:
            self.accepted(kind, served)
        for key in sorted(self._readers.get(kind, ())):
            self._wake(key)
