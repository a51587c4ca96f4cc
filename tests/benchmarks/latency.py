"""Time from a change to what follows from it, one instance at a time on a control plane, as a watch from outside sees it."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from kro_es.api.objects import JsonObject, Resource
from kro_es.cluster.client import connect
from kro_es.cluster.kubernetes import KubernetesCluster
from tests.benchmarks.database import measured
from tests.benchmarks.eyes import MAPS, Eyes, watching
from tests.benchmarks.figures import Figure
from tests.support.controlplane import ControlPlane
from tests.support.steps import config_map, definition, instance

ROUNDS = 30
LINKS = 5
BARS = {"created": 60, "edited": 60, "healed": 60, "chain": 250}
"""Milliseconds, p50, on a quiet machine."""
_BENCH = "latency-bench"


def latency() -> list[Figure]:
    with ControlPlane() as plane, measured("latency") as database:
        operator = database.operator(plane.kubeconfig("controller")).start()
        try:
            for found in _definitions():
                plane.kubectl("apply", "-f", "-", stdin=json.dumps(found))
                plane.kubectl("wait", f"rgd/{found['metadata']['name']}", "--for=condition=Ready", "--timeout=30s")
            plane.kubectl("create", "namespace", _BENCH)
            times = asyncio.run(_measured(str(plane.kubeconfig("admin"))))
        finally:
            operator.stop()
    figures = database.figures
    for name, found in times.items():
        middle = statistics.median(found)
        figures.append(Figure(f"latency.{name}.p50", middle, "ms", middle / BARS[name], f"{BARS[name]} ms"))
        figures.append(Figure(f"latency.{name}.max", max(found), "ms"))
    return figures


def _definitions() -> list[dict[str, Any]]:
    own = "${schema.metadata.name}"
    value = {"value": "string | default=x"}
    first = config_map("c0", f"{own}-0", {"value": "${schema.spec.value}"})
    rest = [
        config_map(f"c{n}", f"{own}-{n}", {"value": f"${{c{n - 1}.data.value}}", "of": f"${{c{n - 1}.metadata.uid}}"})
        for n in range(1, LINKS)
    ]
    return [definition("latones", "LatOne", value, first), definition("latchains", "LatChain", value, first, *rest)]


async def _measured(kubeconfig: str) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in BARS}
    async with await connect(kubeconfig, user_agent="kro-es-bench") as client:
        cluster = KubernetesCluster(client)
        kinds = {kind: await cluster.resource_for_group_kind("kro.run", kind) for kind in ("LatOne", "LatChain")}
        async with watching(cluster, _BENCH) as eyes:
            # the API server takes two seconds over the first object of a new kind, whoever asks
            for kind, resource in kinds.items():
                assert resource is not None
                await cluster.create(resource, _made(kind, f"first-{kind.lower()}"), "bench")
                await eyes.see(f"first-{kind.lower()}-0", lambda obj: obj is not None)
            for number in range(ROUNDS):
                await _round(cluster, eyes, kinds, number, times)
    return times


async def _round(
    cluster: KubernetesCluster,
    eyes: Eyes,
    kinds: dict[str, Resource | None],
    number: int,
    times: dict[str, list[float]],
) -> None:
    one, chain = kinds["LatOne"], kinds["LatChain"]
    assert one is not None
    assert chain is not None

    async def timed(name: str, doing: Any, child: str, good: Callable[[JsonObject | None], bool]) -> None:
        began = time.monotonic()
        await doing
        times[name].append(1000 * (await eyes.see(child, good) - began))
        await asyncio.sleep(0.2)  # what is measured is one change to a system at rest

    def shows(value: str) -> Callable[[JsonObject | None], bool]:
        return lambda obj: obj is not None and obj["data"]["value"] == value

    name, manager = f"o{number}", "bench"
    await timed("created", cluster.create(one, _made("LatOne", name), manager), f"{name}-0", shows("x"))
    edit = cluster.merge_patch(one, _BENCH, name, {"spec": {"value": "y"}}, manager=manager)
    await timed("edited", edit, f"{name}-0", shows("y"))
    drift = cluster.merge_patch(MAPS, _BENCH, f"{name}-0", {"data": {"value": "z"}}, manager=manager)
    began = time.monotonic()
    await drift
    await eyes.see(f"{name}-0", shows("z"))
    times["healed"].append(1000 * (await eyes.see(f"{name}-0", shows("y")) - began))
    await asyncio.sleep(0.2)  # as above
    name = f"c{number}"
    await timed("chain", cluster.create(chain, _made("LatChain", name), manager), f"{name}-{LINKS - 1}", shows("x"))


def _made(kind: str, name: str) -> JsonObject:
    found = instance(kind, name, {})
    return {**found, "metadata": {**found["metadata"], "namespace": _BENCH}}
