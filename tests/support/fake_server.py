"""An API server in memory, as kubectl sees it: server-side apply, versions, finalizers, and a history for watches."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kro_es.api.conditions import rfc3339
from kro_es.api.objects import Gvk, ObjectRef, Resource, labels
from kro_es.api.watch import Watched
from kro_es.errors import ApiError
from kro_es.graph.published import of_crd
from kro_es.schema.openapi import KindSchema, Schema
from tests.support.fake_fields import ABSENT, Path, dotted, fields_v1, merged, owned_paths, value_at, without
from tests.support.fake_kinds import own_kinds
from tests.unit.graph.kinds import KINDS

Object = dict[str, Any]
NOW = 1_700_000_000_000_000
_DEFINITION = Resource(Gvk("kro.run", "v1alpha1", "ResourceGraphDefinition"), "resourcegraphdefinitions", False)
_REVISION = Resource(Gvk("internal.kro.run", "v1alpha1", "GraphRevision"), "graphrevisions", False)
_LABEL = 63
_PLAIN = frozenset(["ConfigMap", "Secret", "Service", "Namespace", "ClusterRole", "Event"])
"""Kinds without metadata.generation."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: what the object was and is; None where it was not or is not there."""

    version: int
    before: Object | None
    after: Object | None


@dataclass(eq=False)
class Watcher:
    watched: Watched
    cursor: int
    news: asyncio.Event = field(default_factory=asyncio.Event)
    broken: str = ""
    idle: bool = False


@dataclass
class FakeServer:
    """What is stored. Tests use its methods as kubectl would; a controller speaks through a ``Connection``."""

    now: int = NOW
    refuse: Callable[[str, Object], ApiError | None] = lambda verb, obj: None
    """Admission: an error for a write (apply, create, update, delete) of an object, or None."""
    mutate: Callable[[Object], None] = lambda obj: None
    """A mutating webhook and the defaults of a kind: changes the object in place."""
    version: int = 1000
    oldest: int = 0
    """Watches from before this version get a 410."""
    held: set[str] = field(default_factory=set)
    """Kinds (group/Kind) whose watches deliver nothing for now."""
    forbidden: set[str] = field(default_factory=set)
    """Kinds (group/Kind) the controller may neither list nor watch."""
    uninstalled: set[Gvk] = field(default_factory=set)
    objects: dict[ObjectRef, Object] = field(default_factory=dict)
    _history: list[Entry] = field(default_factory=list)
    _uids: Iterable[int] = field(default_factory=lambda: itertools.count(1))
    watchers: list[Watcher] = field(default_factory=list)

    # --- kinds --------------------------------------------------------------------------------------------------

    def kinds(self) -> dict[Gvk, KindSchema]:
        crds = [obj for ref, obj in self.objects.items() if ref.kind == "CustomResourceDefinition"]
        installed = [of_crd(obj) for obj in crds if "versions" in obj["spec"]]
        found = {**KINDS, **own_kinds(), **{gvk: kind for kinds in installed for gvk, kind in kinds.items()}}
        return {gvk: kind for gvk, kind in found.items() if gvk not in self.uninstalled}

    def resource(self, group: str, kind: str) -> Resource | None:
        for own in (_DEFINITION, _REVISION):
            if (own.gvk.group, own.gvk.kind) == (group, kind):
                return own
        found = [k.resource for gvk, k in self.kinds().items() if (gvk.group, gvk.kind) == (group, kind)]
        return found[0] if found else None

    def check_served(self, resource: Resource) -> None:
        if self.resource(resource.gvk.group, resource.gvk.kind) is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")

    # --- reads --------------------------------------------------------------------------------------------------

    def find(self, kind: str, name: str, namespace: str = "team-a") -> Object | None:
        """By kind alone; kinds of the tests have one group each."""
        for ref, obj in self.objects.items():
            if (ref.kind, ref.name) == (kind, name) and ref.namespace in ("", namespace):
                return copy.deepcopy(obj)
        return None

    def get(self, ref: ObjectRef) -> Object:
        if ref not in self.objects:
            raise ApiError(404, "NotFound", f'{self.plural(ref)} "{ref.name}" not found')
        return copy.deepcopy(self.objects[ref])

    def plural(self, ref: ObjectRef) -> str:
        found = self.resource(ref.group, ref.kind)
        plural = found.plural if found else ref.kind.lower() + "s"
        return f"{plural}.{ref.group}" if ref.group else plural

    def matching(self, watched: Watched, wanted: Callable[[Object], bool] = lambda obj: True) -> list[Object]:
        found = [(ref, obj) for ref, obj in self.objects.items() if watched.covers(ref, labels(obj)) and wanted(obj)]
        return [copy.deepcopy(obj) for _, obj in sorted(found, key=lambda item: (item[0].namespace, item[0].name))]

    def since(self, cursor: int) -> list[Entry]:
        return [entry for entry in self._history if entry.version > cursor]

    # --- writes -------------------------------------------------------------------------------------------------

    def create(self, obj: Object, manager: str = "kubectl") -> Object:
        ref = ObjectRef.of(obj)
        if ref in self.objects:
            raise ApiError(409, "AlreadyExists", f'{self.plural(ref)} "{ref.name}" already exists')
        return self._put(None, copy.deepcopy(obj), "create", manager, self._updated(None, obj, manager))

    def update(self, obj: Object, manager: str = "kubectl", *, status: bool = False) -> Object:
        """Replaces the object (or its status); without a resourceVersion whatever it was."""
        ref = ObjectRef.of(obj)
        live = self.get(ref)
        version = obj["metadata"].get("resourceVersion")
        if version not in (None, live["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", f'Operation cannot be fulfilled on {self.plural(ref)} "{ref.name}"')
        if obj["metadata"].get("uid") not in (None, live["metadata"]["uid"]):
            raise ApiError(409, "Conflict", f"Precondition failed: UID in precondition: {obj['metadata']['uid']}")
        new = copy.deepcopy({**live, "status": obj.get("status", {})} if status else {**obj, **_status_of(live)})
        return self._put(live, new, "update", manager, self._updated(live, new, manager))

    def patch(self, ref: ObjectRef, body: Object, manager: str = "kubectl", *, status: bool = False) -> Object:
        """JSON merge patch."""
        live = self.get(ref)
        new = _merge_patch(live, body)
        if body.get("metadata", {}).get("uid") not in (None, live["metadata"]["uid"]):
            raise ApiError(409, "Conflict", "Precondition failed: UID in precondition")
        if body.get("metadata", {}).get("resourceVersion") not in (None, live["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", f'Operation cannot be fulfilled on {self.plural(ref)} "{ref.name}"')
        new = {**new, **_status_of(live)} if not status else {**live, "status": new.get("status", {})}
        return self._put(live, new, "update", manager, self._updated(live, new, manager))

    def apply(self, obj: Object, manager: str, *, force: bool) -> Object:
        ref = ObjectRef.of(obj)
        live = self.objects.get(ref)
        exactly = obj["metadata"].get("uid")
        if exactly is not None and live is None:
            text = f"uid mismatch: the provided object specified uid {exactly}, and no existing object was found"
            raise ApiError(409, "Conflict", text)
        if exactly is not None and live is not None and live["metadata"]["uid"] != exactly:
            text = f'metadata.uid: Invalid value: "{exactly}": field is immutable'
            raise ApiError(422, "Invalid", f'{ref.kind} "{ref.name}" is invalid: {text}')
        meta = {name: value for name, value in obj["metadata"].items() if name != "uid"}
        wanted = {**{name: value for name, value in obj.items() if name != "status"}, "metadata": meta}
        mine = owned_paths(wanted)
        entries = self._entries(live)
        key = (manager, "Apply", "")
        if live is not None and not force:
            self._refuse_conflicts(live, wanted, mine, {k: v for k, v in entries.items() if k != key})
        others: set[Path] = set()
        for other in [k for k in entries if k != key]:
            entries[other] = {
                path
                for path in entries[other]
                if path not in mine or live is None or value_at(live, path) == value_at(wanted, path)
            }
            others |= entries[other]
        gone = entries.get(key, set()) - mine - others
        base = without(live, gone, mine | others) if live is not None else None
        new = merged(base, wanted) if base is not None else copy.deepcopy(wanted)
        entries[key] = mine
        return self._put(live, new, "apply", manager, entries)

    def tried(self, act: Callable[[], Object]) -> Object:
        """A dry run: what the write would answer, or its refusal; afterwards everything is as it was."""
        before = copy.copy(self.objects), list(self._history), self.version
        try:
            return act()
        finally:
            self.objects, self._history, self.version = before

    def delete(self, ref: ObjectRef, uid: str = "") -> Object | None:
        live = self.get(ref)
        if uid and uid != live["metadata"]["uid"]:
            raise ApiError(409, "Conflict", f"Precondition failed: UID in precondition: {uid}")
        error = self.refuse("delete", live)
        if error is not None:
            raise error
        if not live["metadata"].get("finalizers"):
            self._remove(ref, live)
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        if "deletionTimestamp" not in live["metadata"]:
            new = copy.deepcopy(live)
            new["metadata"]["deletionTimestamp"] = rfc3339(self.now)
            new["metadata"]["deletionGracePeriodSeconds"] = 0
            if "generation" in new["metadata"]:
                new["metadata"]["generation"] += 1
            self._store(ref, live, new)
        return self.get(ref)

    def erase(self, ref: ObjectRef) -> None:
        """Gone at once, finalizers or not, as after a restore."""
        self._remove(ref, self.objects[ref])

    def _refuse_conflicts(self, live: Object, wanted: Object, mine: set[Path], others: Mapping[Any, set[Path]]) -> None:
        found = sorted(
            (manager[0], dotted(path))
            for manager, paths in others.items()
            for path in paths & mine
            if value_at(live, path) != value_at(wanted, path)
        )
        if found:
            text = ", ".join(f'conflict with "{manager}": {path}' for manager, path in found)
            raise ApiError(409, "Conflict", f"Apply failed with {len(found)} conflict(s): {text}")

    def _updated(self, live: Object | None, new: Object, manager: str) -> dict[tuple[str, str, str], set[Path]]:
        entries = self._entries(live)
        after = owned_paths(new)
        before = owned_paths(live) if live is not None else set()
        changed = {p for p in after if live is None or p not in before or value_at(live, p) != value_at(new, p)}
        for key in entries:
            entries[key] = {path for path in entries[key] if path not in changed and value_at(new, path) is not ABSENT}
        if changed:
            entries.setdefault((manager, "Update", ""), set()).update(changed)
        return entries

    @staticmethod
    def _entries(live: Object | None) -> dict[tuple[str, str, str], set[Path]]:
        found: dict[tuple[str, str, str], set[Path]] = {}
        for entry in (live or {"metadata": {}})["metadata"].get("managedFields") or ():
            paths: set[Path] = set()
            _collect(entry["fieldsV1"], (), paths)
            found[(entry["manager"], entry["operation"], entry.get("subresource", ""))] = paths
        return found

    def _put(
        self,
        live: Object | None,
        new: Object,
        verb: str,
        manager: str,
        entries: dict[tuple[str, str, str], set[Path]],
    ) -> Object:
        """Validates, defaults, stamps and stores; a write that changes nothing leaves no trace."""
        ref = ObjectRef.of(new)
        self.check_served(self.resource(ref.group, ref.kind) or Resource(Gvk.of(new), "", True))
        for name, value in labels(new).items():
            if len(value) > _LABEL:
                text = f'metadata.labels: Invalid value: "{value}": must be no more than 63 bytes ({name})'
                raise ApiError(422, "Invalid", f'{ref.kind} "{ref.name}" is invalid: {text}')
        self._default(ref, new)
        self.mutate(new)
        error = self.refuse(verb, new) or _immutable(live, new)
        if error is not None:
            raise error
        old_meta = live["metadata"] if live else {}
        times = {(e["manager"], e["operation"]): e for e in old_meta.get("managedFields") or ()}
        managed = []
        for (name, operation, sub), paths in entries.items():
            if not paths:
                continue
            fields = fields_v1(paths)
            old = times.get((name, operation))
            # who loses a field to another manager did nothing: the time of the entry stays
            when = old["time"] if old and name != manager else rfc3339(self.now)
            managed.append(
                {"manager": name, "operation": operation, "apiVersion": new["apiVersion"], "time": when}
                | {"fieldsType": "FieldsV1", "fieldsV1": fields}
                | ({"subresource": sub} if sub else {})
            )
        stamped = {name: old_meta[name] for name in ("uid", "creationTimestamp", "generation") if name in old_meta}
        deletion = {k: old_meta[k] for k in ("deletionTimestamp", "deletionGracePeriodSeconds") if k in old_meta}
        meta = {k: v for k, v in new["metadata"].items() if k not in ("resourceVersion", "managedFields")}
        new = {**new, "metadata": {**meta, **stamped, **deletion}}
        if live is not None and _content(new) == _content(live) and _owners(managed) == _owners(times.values()):
            return copy.deepcopy(live)
        new["metadata"]["managedFields"] = managed
        self._stamp(ref, live, new)
        if deletion and not new["metadata"].get("finalizers"):
            self._remove(ref, new)
            return {**new, "metadata": {**new["metadata"], "finalizers": []}}
        self._store(ref, live, new)
        return self.get(ref)

    def _stamp(self, ref: ObjectRef, live: Object | None, new: Object) -> None:
        meta = new["metadata"]
        if live is None:
            meta["uid"] = f"uid-{next(iter(self._uids))}"
            meta["creationTimestamp"] = rfc3339(self.now)
            if ref.kind not in _PLAIN:
                meta["generation"] = 1
        elif "generation" in meta and _spec(new) != _spec(live):
            meta["generation"] += 1

    def _default(self, ref: ObjectRef, new: Object) -> None:
        if ref.kind == "CustomResourceDefinition":
            conditions = [{"type": t, "status": "True"} for t in ("NamesAccepted", "Established")]
            new["status"] = {"conditions": conditions, "acceptedNames": new["spec"].get("names", {})}
        kind = self.kinds().get(Gvk.of(new))
        if kind is not None and ref.group not in ("", "apps"):
            _defaults(kind.schema, new)
        if ref.kind == "Service":
            for port in new.get("spec", {}).get("ports") or ():
                port.setdefault("protocol", "TCP")

    def _store(self, ref: ObjectRef, live: Object | None, new: Object) -> None:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self.objects[ref] = new
        self._tell(Entry(self.version, live and copy.deepcopy(live), copy.deepcopy(new)))

    def _remove(self, ref: ObjectRef, live: Object) -> None:
        self.version += 1
        del self.objects[ref]
        last = copy.deepcopy(live)
        last["metadata"]["resourceVersion"] = str(self.version)
        self._tell(Entry(self.version, last, None))

    def _tell(self, entry: Entry) -> None:
        self._history.append(entry)
        self.wake()

    # --- watches ------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        for watcher in self.watchers:
            watcher.news.set()

    def release(self, *kinds: str) -> None:
        """Held watches go on."""
        self.held -= set(kinds) or set(self.held)
        self.wake()

    def break_watches(self, reason: str = "disconnect", *, expired: bool = False) -> None:
        """Every watch ends; with ``expired`` none can go on where it was."""
        if expired:
            self.oldest = self.version + 1
        for watcher in self.watchers:
            watcher.broken = reason
        self.wake()


def _collect(fields: Object, path: Path, found: set[Path]) -> None:
    below = [name for name in fields if name != "."]
    if path and (not below or "." in fields):
        found.add(path)
    for name in below:
        _collect(fields[name], (*path, name), found)


def _merge_patch(live: Any, body: Any) -> Any:
    if not isinstance(body, dict):
        return copy.deepcopy(body)
    found = dict(live) if isinstance(live, dict) else {}
    for name, value in body.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merge_patch(found.get(name), value)
    return found


def _defaults(schema: Schema, value: Any) -> None:
    if isinstance(value, dict):
        for name, below in schema.properties():
            if name not in value and "default" in below.resolved:
                value[name] = copy.deepcopy(below.resolved["default"])
            if name in value:
                _defaults(below, value[name])


def _immutable(live: Object | None, new: Object) -> ApiError | None:
    if live is None or not live.get("immutable") or live.get("data") == new.get("data"):
        return None
    text = "data: Forbidden: field is immutable when `immutable` is set"
    return ApiError(422, "Invalid", f'{new["kind"]} "{new["metadata"]["name"]}" is invalid: {text}')


def _status_of(live: Object) -> Object:
    return {"status": live["status"]} if "status" in live else {}


def _content(obj: Object) -> Object:
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**obj, "metadata": meta}


def _owners(entries: Iterable[Object]) -> list[Any]:
    return sorted((e["manager"], e["operation"], str(e["fieldsV1"])) for e in entries)


def _spec(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status")}
