"""``kro-es``: run the controller, look after its database."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from kro_es.cli.database import app as database_app
from kro_es.controller.run import run as run_controller
from kro_es.controller.telemetry import configure_logging
from kro_es.errors import KroEsError
from kro_es.settings import VERSION, Settings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="kro's definitions, event-sourced."
)
app.add_typer(database_app, name="db")


def _option(name: str, text: str) -> Any:
    """A flag with its variable: ``KRO_ES_`` and the name of the setting."""
    return typer.Option(envvar=f"KRO_ES_{name.upper()}", help=text)


@app.command()
def run(  # noqa: PLR0913 - one parameter per flag
    database: Annotated[str, _option("database", "sqlite:///path or postgresql://...")],
    kubeconfig: Annotated[
        str | None, _option("kubeconfig", "None: $KUBECONFIG, in the cluster, the usual places.")
    ] = None,
    context: Annotated[str | None, _option("context", "Context of the kubeconfig.")] = None,
    leader_elect: Annotated[
        bool | None,
        typer.Option(
            "--leader-elect/--no-leader-elect",
            envvar="KRO_ES_LEADER_ELECT",
            help="One of several controllers acts, by a Lease in $POD_NAMESPACE or kro-system. [default: with PostgreSQL]",
        ),
    ] = None,
    install_crds: Annotated[
        bool, typer.Option("--install-crds", envvar="KRO_ES_INSTALL_CRDS", help="Install the two CRDs of kro first.")
    ] = False,
    redaction_key_file: Annotated[
        str | None, _option("redaction_key_file", "Key of the digests that stand for secrets.")
    ] = None,
    label_version: Annotated[str, _option("label_version", "What kro.run/kro-version says.")] = Settings.label_version,
    health_address: Annotated[
        str, _option("health_address", "host:port of /healthz and /readyz.")
    ] = Settings.health_address,
    metrics_address: Annotated[str, _option("metrics_address", "host:port of /metrics.")] = Settings.metrics_address,
    workers: Annotated[int, _option("workers", "Instances reconciled at the same time.")] = Settings.workers,
    concurrency: Annotated[int, _option("concurrency", "Requests in flight.")] = Settings.concurrency,
    resync_hours: Annotated[
        float, _option("resync_hours", "Hours between two passes over everything.")
    ] = Settings.resync_hours,
    max_revisions: Annotated[
        int, _option("max_revisions", "GraphRevision objects kept per definition; 0 keeps all.")
    ] = Settings.max_revisions,
    max_collection: Annotated[
        int, _option("max_collection", "Items one forEach collection may have.")
    ] = Settings.max_collection,
    omit: Annotated[bool, _option("omit", "Whether definitions may use omit().")] = Settings.omit,
    log_level: Annotated[str, _option("log_level", "debug, info, warning or error.")] = Settings.log_level,
) -> None:
    """Watch definitions and reconcile their instances, every observation and decision in the log."""
    settings = Settings(
        database=database,
        kubeconfig=kubeconfig or os.environ.get("KUBECONFIG"),
        context=context,
        leader_elect=leader_elect,
        install_crds=install_crds,
        redaction_key_file=redaction_key_file,
        label_version=label_version,
        health_address=health_address,
        metrics_address=metrics_address,
        workers=workers,
        concurrency=concurrency,
        resync_hours=resync_hours,
        max_revisions=max_revisions,
        max_collection=max_collection,
        omit=omit,
        log_level=log_level,
    )
    configure_logging(log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_controller(settings))


@app.command()
def version() -> None:
    """Print the version."""
    Console().print(VERSION)


def main() -> None:
    """Entry point; an expected error is one line on stderr and exit code 1."""
    try:
        app()
    except KroEsError as error:
        Console(stderr=True).print(f"kro-es: {error}", style="red", highlight=False, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
