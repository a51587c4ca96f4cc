"""The kinds of a running cluster instead of those that ship."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from kro_es.api.objects import Gvk
from kro_es.cluster.client import connect
from kro_es.cluster.discovery import Discovery
from kro_es.schema.openapi import KindSchema


def cluster_kinds(
    gvks: Iterable[Gvk], kubeconfig: str | None, context: str | None, *, version: str
) -> dict[Gvk, KindSchema]:
    """Those of ``gvks`` the cluster serves. Raises UserError and ApiError."""

    async def ask() -> dict[Gvk, KindSchema]:
        client = await connect(kubeconfig, context, user_agent=f"kro-es/{version}")
        try:
            return await Discovery(client).kinds(gvks, {})
        finally:
            await client.close()

    return asyncio.run(ask())
