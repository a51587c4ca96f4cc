"""Few single objects have a watch each; very many of one kind share one, and each is recorded as if it were alone."""

from __future__ import annotations

from typing import Any

from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.api.watch import Changed, Listed, Watched
from kro_es.controller.ingest import Ingest
from kro_es.controller.single_watches import MOST, SingleWatches
from kro_es.events.types import ObjectDeleted, ObjectGoneUnseen, ObjectObserved
from tests.support.ingesting import Log, ingest_for, observed

MAPS = Resource(Gvk("", "v1", "ConfigMap"), "configmaps", namespaced=True)
ALL = Watched(MAPS, picked=True)


class Kept:
    """Watches whose first list is empty unless said otherwise."""

    def __init__(self, ingest: Ingest, *first: JsonObject) -> None:
        self.running: list[Watched] = []
        self._ingest = ingest
        self._first = first

    async def ensure(self, watched: Watched) -> None:
        if watched not in self.running:
            self.running.append(watched)
            await self._ingest.sink(watched, Listed(self._first if watched.picked else (), "5"))

    async def stop(self, watched: Watched) -> None:
        self.running.remove(watched)


def _one(name: str) -> Watched:
    return Watched(MAPS, None, "n", name)


async def _full(log: Log, *live: JsonObject) -> tuple[SingleWatches, Kept, Ingest]:
    """As many watches of single objects as there may be."""
    ingest = ingest_for(log, live=live)
    kept = Kept(ingest, observed("stranger"), *live)
    watches = SingleWatches(kept, ingest, ingest._cluster)
    for number in range(MOST):
        await watches.ensure(_one(f"o{number}"))
    return watches, kept, ingest


async def test_beyond_the_first_objects_share_a_watch_of_their_kind() -> None:
    watches, kept, _ = await _full(Log())
    assert (len(kept.running), ALL in kept.running) == (MOST, False)
    await watches.ensure(_one("x"))
    await watches.ensure(_one("y"))
    assert kept.running[MOST:] == [ALL]
    await watches.stop(_one("x"))
    assert ALL in kept.running
    await watches.stop(_one("y"))
    assert ALL not in kept.running
    await watches.stop(_one("o0"))
    await watches.ensure(_one("x"))
    assert kept.running[-1] == _one("x")


async def test_where_the_whole_kind_must_not_be_listed_each_object_keeps_its_own_watch() -> None:
    watches, kept, ingest = await _full(Log())
    cluster: Any = ingest._cluster
    cluster.forbidden = True
    await watches.ensure(_one("x"))
    await watches.ensure(_one("y"))
    assert kept.running[MOST:] == [_one("x"), _one("y")]
    await watches.stop(_one("x"))
    assert kept.running[MOST:] == [_one("y")]


async def test_only_what_was_asked_for_is_recorded() -> None:
    log = Log()
    watches, _, ingest = await _full(log, observed("x", 4))
    await watches.ensure(_one("x"))
    await ingest.sink(ALL, Changed("MODIFIED", observed("stranger", 9)))
    await ingest.sink(ALL, Changed("MODIFIED", observed("x", 9, data={"v": "new"})))
    await ingest.sink(ALL, Changed("DELETED", observed("stranger", 10)))
    await ingest.sink(ALL, Changed("DELETED", observed("x", 10)))
    assert {event.subject.name for event in log.events} == {"x"}
    assert log.types == [ObjectObserved, ObjectObserved, ObjectDeleted]
    await watches.stop(_one("x"))
    await ingest.sink(ALL, Changed("ADDED", observed("x", 12, uid="another")))
    assert len(log.events) == 3


async def test_what_the_shared_watch_showed_before_it_was_asked_for_is_read() -> None:
    log = Log()
    live = observed("late", 7)
    watches, _, _ = await _full(log, live)
    await watches.ensure(_one("x"))
    assert log.types == []
    await watches.ensure(_one("late"))
    assert [(event.subject.name, type(event.body)) for event in log.events] == [("late", ObjectObserved)]


async def test_a_recorded_object_that_is_not_there_any_more_is_gone() -> None:
    log = Log()
    row: Any = {"kind_key": "/ConfigMap", "uid": "uid-x", "object": observed("x", 3), "resource_version": 3}
    ingest = ingest_for(log, rows=[row])
    await ingest.sink(ALL, Listed((), "9"))
    assert log.types == []  # nobody asked for it: whether it is there is not the question
    ingest.pick(ObjectRef.of(observed("x")))
    await ingest.sink(ALL, Listed((), "9"))
    assert log.types == [ObjectGoneUnseen]
