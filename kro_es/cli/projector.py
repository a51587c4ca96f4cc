"""``kro-es projector``: fold projections in a process of their own."""

from __future__ import annotations

from typing import Annotated

import typer


def projector(
    database: Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="postgresql://...")],
    projection: Annotated[
        list[str] | None, typer.Option(help="Only this one; repeatable. [default: all a controller may leave]")
    ] = None,
    health_address: Annotated[
        str, typer.Option(envvar="KRO_ES_HEALTH_ADDRESS", help="host:port of /healthz and /readyz.")
    ] = "127.0.0.1:8079",
    metrics_address: Annotated[
        str, typer.Option(envvar="KRO_ES_METRICS_ADDRESS", help="host:port of /metrics.")
    ] = "127.0.0.1:8078",
    log_level: Annotated[str, typer.Option(envvar="KRO_ES_LOG_LEVEL", help="debug, info, warning or error.")] = "info",
) -> None:
    """Fold what a controller with --projections needed leaves; of several one folds, the others stand by (PostgreSQL)."""
    import asyncio

    from kro_es.cli.garbage import collect_seldom
    from kro_es.controller.projector_process import ProjectorSettings, run
    from kro_es.controller.telemetry import configure_logging

    configure_logging(log_level)
    collect_seldom()
    asyncio.run(run(ProjectorSettings(database, tuple(projection or ()), health_address, metrics_address)))
