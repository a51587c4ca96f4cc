"""Objects of others that instances read: watched as long as one does, and a change wakes exactly those that do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from kro_es.api.objects import JsonObject, ObjectRef, Resource, labels
from kro_es.api.selector import Selector
from kro_es.api.watch import Watched
from kro_es.controller.ports import Reader
from kro_es.controller.queue import FIRST_DELAY, LONGEST_DELAY, Key
from kro_es.controller.single_watches import Watches
from kro_es.decisions.inputs import Child, unread_key
from kro_es.decisions.taint import Taints
from kro_es.errors import ApiError
from kro_es.events.redaction import paths_of
from kro_es.projections.projection import Row
from kro_es.runtime.expand import Fatal

logger = structlog.get_logger(__name__)

LIST_SECONDS = 10.0
"""A first list that takes longer is an error of the instances that read it; they go on when it arrives."""


@dataclass(slots=True)
class _Watch:
    """One watch and who needs it."""

    start: asyncio.Task[None]
    deadline: float
    readers: set[Key] = field(default_factory=set)


class ExternalWatches:
    """Which instance reads what; one per controller."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._kept: Watches | None = None
        self._watches: dict[Watched, _Watch] = {}
        self._by_kind: dict[tuple[str, str], set[Watched]] = {}
        self._wanted: dict[Key, frozenset[Watched]] = {}
        self._found: dict[Key, frozenset[str]] = {}
        self._readers: dict[str, set[Key]] = {}
        self._selected: dict[Watched, set[str]] = {}
        self.position = 0
        """Up to which event of the log this object has been told of changes."""

    def attach(self, watches: Watches) -> None:
        """What keeps the watches."""
        self._kept = watches

    # --- who reads what -----------------------------------------------------------------------------------------

    def reads(self, key: Key, wanted: Iterable[Watched], found: Iterable[str]) -> list[Watched]:
        """What the instance reads from now on, instead of what it read before; returns watches nobody needs any more.

        ``found``: keys of the objects it saw. Call it before the next await after the rows were read: an event
        committed later then finds the instance here.
        """
        before, after = self._wanted.pop(key, frozenset()), frozenset(wanted)
        for watched in after - before:
            self._watch(watched).readers.add(key)
        idle = []
        for watched in before - after:
            self._watches[watched].readers.discard(key)
            if not self._watches[watched].readers:
                idle.append(watched)
        if after:
            self._wanted[key] = after
        self._note_found(key, frozenset(found))
        return idle

    def _note_found(self, key: Key, found: frozenset[str]) -> None:
        before = self._found.pop(key, frozenset())
        for ref in before - found:
            self._readers[ref].discard(key)
            if not self._readers[ref]:
                del self._readers[ref]
        for ref in found - before:
            self._readers.setdefault(ref, set()).add(key)
        if found:
            self._found[key] = found

    def changed(self, ref: ObjectRef, found: Mapping[str, str] | None) -> None:
        """An object of labels ``found`` was seen, or (None) is gone: wake whoever saw it before or would see it now."""
        keys = set(self._readers.get(ref.key, ()))
        for watched in self._by_kind.get((ref.group, ref.kind), ()):
            selected = self._selected.get(watched)
            if found is not None and watched.covers(ref, found):
                keys |= self._watches[watched].readers
                if selected is not None:
                    selected.add(ref.key)
            elif selected is not None:
                selected.discard(ref.key)
        for key in sorted(keys):
            self._wake(key)

    # --- watches ------------------------------------------------------------------------------------------------

    def _watch(self, watched: Watched) -> _Watch:
        found = self._watches.get(watched)
        if found is None:
            assert self._kept is not None
            start = asyncio.create_task(self._begin(self._kept, watched))
            deadline = asyncio.get_running_loop().time() + LIST_SECONDS
            found = self._watches[watched] = _Watch(start, deadline)
            self._by_kind.setdefault((watched.resource.gvk.group, watched.resource.gvk.kind), set()).add(watched)
            start.add_done_callback(lambda task: self._started(watched, task))
        return found

    async def _begin(self, kept: Watches, watched: Watched) -> None:
        """Until it is listed; a refusal is tried again as long as somebody waits."""
        pause = FIRST_DELAY
        while True:
            try:
                await kept.ensure(watched)
            except ApiError as error:
                logger.warning("cannot be watched", kind=watched.kind_key, what=watched.text, error=error.message)
                await asyncio.sleep(pause)  # a refusal, by nature: no event tells when it ends
                pause = min(2 * pause, LONGEST_DELAY)
            else:
                return

    def _started(self, watched: Watched, task: asyncio.Future[None]) -> None:
        found = self._watches.get(watched)
        if task.cancelled() or found is None:
            return
        error = task.exception()
        if error is not None:
            logger.warning("a watch cannot be started", kind=watched.kind_key, what=watched.text, error=str(error))
        elif asyncio.get_running_loop().time() > found.deadline:
            for key in sorted(found.readers):
                self._wake(key)

    def listed(self, watched: Watched) -> bool:
        """Whether the rows show what the watch covers."""
        found = self._watches.get(watched)
        return found is not None and found.start.done() and not found.start.cancelled() and not found.start.exception()

    def overdue(self, watched: Watched) -> bool:
        found = self._watches.get(watched)
        return found is not None and not self.listed(watched) and asyncio.get_running_loop().time() > found.deadline

    def selected(self, watched: Watched, position: int) -> list[str] | None:
        """Keys of what a watch covers at a position of the log; None when that is only to be found in the rows."""
        found = self._selected.get(watched)
        return sorted(found) if found is not None and position == self.position else None

    def note_selected(self, watched: Watched, position: int, found: Iterable[str]) -> None:
        """What the rows said, so that they need not be gone through again: a kind may have very many objects."""
        if position == self.position and watched in self._watches:
            self._selected[watched] = set(found)

    async def wait(self, wanted: Sequence[Watched]) -> None:
        """Until all are listed, or until the first of them is overdue."""
        watches = [self._watches[watched] for watched in wanted if watched in self._watches]
        if not watches:
            return
        left = min(watch.deadline for watch in watches) - asyncio.get_running_loop().time()
        await asyncio.wait([watch.start for watch in watches], timeout=max(left, 0) + 0.01)

    async def release(self, idle: Iterable[Watched]) -> None:
        """Stop the watches that still have no reader."""
        for watched in idle:
            found = self._watches.get(watched)
            if found is None or found.readers:
                continue
            del self._watches[watched]
            self._selected.pop(watched, None)
            self._by_kind[watched.resource.gvk.group, watched.resource.gvk.kind].discard(watched)
            found.start.cancel()
            assert self._kept is not None
            await self._kept.stop(watched)


class ExternalReads:
    """What one decision reads of others, at the position of its reader."""

    def __init__(
        self, reader: Reader, watches: ExternalWatches, taints: Taints, clear: Callable[[Row], JsonObject | None]
    ) -> None:
        self._reader = reader
        self._watches = watches
        self._taints = taints
        self._clear = clear
        self._seen: dict[str, Child] = {}
        self.wanted: dict[Watched, None] = {}
        self.unread: dict[str, str] = {}
        self.missing: list[Watched] = []
        """Not listed yet: the decision is made on too little and has to be made again."""

    @property
    def found(self) -> Sequence[Child]:
        return tuple(self._seen.values())

    def named(self, resource: Resource, namespace: str, name: str) -> Child | None:
        """Raises Fatal when it cannot be read."""
        gvk = resource.gvk
        if not self._known(Watched(resource, None, namespace, name)):
            return None
        row = self._reader.row("objects", ObjectRef(gvk.group, gvk.kind, namespace, name).key)
        return None if row is None else self._child(row)

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> Sequence[Child]:
        """Raises Fatal when they cannot be read."""
        watched = Watched(resource, selector, namespace)
        if not self._known(watched):
            return ()
        rows = self._rows(watched)
        return [child for row in rows if (child := self._child(row)) is not None]

    def _rows(self, watched: Watched) -> list[Row]:
        position = self._reader.position
        keys = self._watches.selected(watched, position)
        if keys is not None:
            return [row for key in keys if (row := self._reader.row("objects", key)) is not None]
        found = {}
        for row in self._reader.rows("objects", "kind_key", watched.kind_key):
            obj = row["object"]
            assert isinstance(obj, dict)
            ref = ObjectRef.of(obj)
            if watched.covers(ref, labels(obj)):
                found[ref.key] = row
        self._watches.note_selected(watched, position, found)
        return list(found.values())

    def _known(self, watched: Watched) -> bool:
        self.wanted[watched] = None
        if self._watches.listed(watched):
            return True
        if self._watches.overdue(watched):
            what = "external collection" if watched.selector is not None else "external ref"
            gvk = watched.resource.gvk
            where = f"{gvk.group}/{gvk.version}, Kind={gvk.kind} {watched.text}".rstrip()
            text = f"{what} get {where}: no list within {LIST_SECONDS:.0f} s: may the controller list and watch it?"
            self.unread[unread_key(watched)] = text
            raise Fatal(text)
        self.missing.append(watched)
        return False

    def _child(self, row: Row) -> Child | None:
        recorded = row["object"]
        assert isinstance(recorded, dict)
        ref = ObjectRef.of(recorded)
        if set(self._taints.paths(recorded)) - set(paths_of(ref.kind, ref.group)):
            raise Fatal(f"external ref get {ref}: it holds values made from a Secret: refer to the Secret itself")
        obj = self._clear(row)
        if obj is None:
            return None
        child = self._seen[ref.key] = Child(obj, row)
        return child
