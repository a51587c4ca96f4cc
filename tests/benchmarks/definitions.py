"""Many active definitions in one controller: its memory, and what each one costs. The fake cluster is in the same process."""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, Resource
from kro_es.authoring.kinds import shipped
from kro_es.authoring.yaml_reader import Document, read
from kro_es.graph.compile import compile_graph
from kro_es.graph.published import of_crd
from kro_es.schema.openapi import KindSchema
from tests.benchmarks.authoring import large
from tests.benchmarks.figures import Figure
from tests.support.fake_server import Entry, FakeServer, Object
from tests.support.inside import Inside, empty_database

COUNT, BATCH = 1000, 50
SEEDS = sorted((Path(__file__).resolve().parents[2] / "deploy" / "examples").glob("*/definition.yaml"))


@dataclass
class _LargeServer(FakeServer):
    """The kinds of a real cluster, found by index; a change wakes only those who watch its kind and is then forgotten."""

    _served: dict[Gvk, KindSchema] = field(default_factory=lambda: dict(shipped().kinds))

    def kinds(self) -> dict[Gvk, KindSchema]:
        return self._served

    def resource(self, group: str, kind: str) -> Resource | None:
        for version in ("v1", "v1alpha1"):
            found = self._served.get(Gvk(group, version, kind))
            if found is not None:
                return found.resource
        return super().resource(group, kind)

    def _tell(self, entry: Entry) -> None:
        obj: Object = entry.after or entry.before or {}
        if obj["kind"] == "CustomResourceDefinition":
            self._served |= of_crd(obj)
        key = f"{Gvk.of(obj).group}/{obj['kind']}"
        for watcher in self.watchers:
            if watcher.watched.kind_key != key and watcher.idle and watcher.cursor == entry.version - 1:
                watcher.cursor = entry.version
        oldest = min((watcher.cursor for watcher in self.watchers), default=0)
        self._history = [old for old in self._history if old.version > oldest] + [entry]
        self.wake()

    def wake(self) -> None:
        for watcher in self.watchers:
            if watcher.cursor != self.version:
                watcher.news.set()


def definitions() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return [Figure("definitions.compile_large_cpu", _compile(), "ms"), *asyncio.run(_measured(Path(folder)))]


def _compile() -> float:
    """Of 50 resources with 300 expressions; processor time, the best of some runs: the machine has other work."""
    with tempfile.TemporaryDirectory() as folder:
        parsed = parse(_seed(large(Path(folder)) / "large.yaml"))
    kinds, found = shipped().kinds, []
    for _ in range(7):
        began = time.process_time()
        compile_graph(parsed, kinds)
        found.append(time.process_time() - began)
    return min(found) * 1000


async def _measured(folder: Path) -> list[Figure]:
    inside = Inside(empty_database(folder / "log.db"))
    inside.server, inside.rest_seconds = _LargeServer(), 600.0
    seeds = [_seed(file) for file in SEEDS]
    await inside.start()
    started, rss = time.process_time(), {0: _rss()}
    for first in range(0, COUNT, BATCH):
        for number in range(first, first + BATCH):
            inside.server.create(_numbered(seeds[number % len(seeds)], number))
        await inside.rest()
        rss[first + BATCH] = _rss()
    spent = time.process_time() - started
    states = [inside.get("ResourceGraphDefinition", name)["status"]["state"] for name in _names(inside)]
    assert states == ["Active"] * COUNT
    await inside.end()
    half = COUNT // 2
    return [
        Figure("definitions.rss", rss[COUNT], "MiB"),
        Figure("definitions.each_more", (rss[COUNT] - rss[half]) / (COUNT - half) * 1024, "KiB"),
        Figure("definitions.cpu_each", spent * 1000 / COUNT, "ms"),
    ]


def _names(inside: Inside) -> list[str]:
    return inside.names("ResourceGraphDefinition")


def _seed(file: Path) -> Any:
    (document,) = [found for found in read(file.read_text()) if isinstance(found, Document)]
    return document.root.value


def _numbered(seed: Any, number: int) -> Object:
    """A copy with a name and a kind of its own."""
    found: Object = json.loads(json.dumps(seed))
    found["metadata"]["name"] += f"-{number}"
    found["spec"]["schema"]["kind"] += str(number)
    return found


def _rss() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20
