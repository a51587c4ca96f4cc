"""What a crowd of one definition costs an instance of another: seconds until its child is there, alone and beside the crowd."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time

from kro_es.api.objects import JsonObject, Resource
from kro_es.cluster.client import connect
from kro_es.cluster.kubernetes import KubernetesCluster
from tests.benchmarks.database import measured
from tests.benchmarks.eyes import Eyes, watching
from tests.benchmarks.figures import Figure
from tests.support.controlplane import ControlPlane
from tests.support.steps import config_map, definition, instance

ALONE = 10
BAR = 1000
"""Milliseconds that the crowd may delay one of another definition."""
_NAMESPACE = "fairness-bench"
_KINDS = ("FairCrowd", "FairOther")


def fairness() -> list[Figure]:
    """``FAIRNESS=5000`` makes the crowd larger; a thousand come at once otherwise."""
    crowd = int(os.environ.get("FAIRNESS", "1000"))
    with ControlPlane() as plane, measured("fairness") as database:
        operator = database.operator(plane.kubeconfig("controller")).start()
        try:
            for kind in _KINDS:
                cfg = config_map("cfg", "${schema.metadata.name}-cfg", {"value": "${schema.spec.value}"})
                made = definition(f"{kind.lower()}s", kind, {"value": "string | default=x"}, cfg)
                plane.kubectl("apply", "-f", "-", stdin=json.dumps(made))
                plane.kubectl("wait", f"rgd/{kind.lower()}s", "--for=condition=Ready", "--timeout=30s")
            plane.kubectl("create", "namespace", _NAMESPACE)
            alone, beside, took = asyncio.run(_measured(str(plane.kubeconfig("admin")), crowd))
        finally:
            operator.stop()
    usual = statistics.median(alone)
    delay = max(beside) - usual
    return [
        *database.figures,
        Figure("fairness.alone.p50", usual, "ms"),
        Figure(f"fairness.beside.{crowd}.p50", statistics.median(beside), "ms"),
        Figure(f"fairness.beside.{crowd}.max", max(beside), "ms"),
        Figure(f"fairness.beside.{crowd}.delay", delay, "ms", delay / BAR, f"{BAR} ms"),
        Figure(f"fairness.beside.{crowd}.count", len(beside), "instances"),
        Figure(f"fairness.crowd.{crowd}", took, "s"),
    ]


async def _measured(kubeconfig: str, crowd: int) -> tuple[list[float], list[float], float]:
    """Milliseconds of those that came alone, of those that came while the crowd was worked on, and the crowd's seconds."""
    async with await connect(kubeconfig, user_agent="kro-es-bench") as client:
        cluster = KubernetesCluster(client)
        many, other = [await cluster.resource_for_group_kind("kro.run", kind) for kind in _KINDS]
        assert many is not None
        assert other is not None
        async with watching(cluster, _NAMESPACE) as eyes:
            # the API server takes two seconds over the first object of a new kind, whoever asks
            await _one(cluster, eyes, many, "first-crowd")
            await _one(cluster, eyes, other, "first-other")
            alone = [await _one(cluster, eyes, other, f"alone{number}") for number in range(ALONE)]
            began = time.monotonic()
            names = [f"c{number}" for number in range(crowd)]
            coming = asyncio.gather(*(cluster.create(many, _made(many, name), "bench") for name in names))
            beside: list[float] = []
            # all of them are known, and most of them wait: who comes now comes last
            await coming
            while any(f"{name}-cfg" not in eyes.maps for name in names):
                beside.append(await _one(cluster, eyes, other, f"beside{len(beside)}"))
            return alone, beside, time.monotonic() - began


async def _one(cluster: KubernetesCluster, eyes: Eyes, resource: Resource, name: str) -> float:
    began = time.monotonic()
    await cluster.create(resource, _made(resource, name), "bench")
    return 1000 * (await eyes.see(f"{name}-cfg", lambda obj: obj is not None, 120) - began)


def _made(resource: Resource, name: str) -> JsonObject:
    found = instance(resource.gvk.kind, name, {})
    return {**found, "metadata": {**found["metadata"], "namespace": _NAMESPACE}}
